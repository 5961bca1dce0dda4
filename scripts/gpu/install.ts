// `npm run gpu:install [-- --from URL|FOLDER] [--check] [--remove] [--package FOLDER]`: brings what ONNX Runtime needs to compute on NVIDIA GPUs, from PyPI.
// Exit codes: 0 done, or all there; 1 something failed or is missing; 2 a wrong command line; 3 all files are there, and no driver that fits them.

import { statfs } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checkDevice } from '../../src/cli/checks.ts';
import {
  bundledProviders,
  driverFits,
  findGpu,
  libraryFolder,
  MIN_DRIVER,
  probeGpu,
  runtimePackage,
} from '../../src/cli/gpu.ts';
import { createProgress, type Progress } from '../../src/cli/progress.ts';
import { errorMessage } from '../../src/util/errors.ts';
import { RUNTIME_VERSION, WHEELS } from './packages.ts';
import { checkProvider, installProvider, type ProviderPlace, removeProvider } from './provider.ts';
import { openSource } from './source.ts';

const USAGE = `usage: npm run gpu:install -- [--from URL|FOLDER] [--package FOLDER]
       npm run gpu:install -- --check | --remove [--package FOLDER]
  --from     a package index or web folder, or a folder of wheels, in place of PyPI
  --package  an onnxruntime-node other than the one of this program`;

const note = (line: string): void => void process.stderr.write(`${line}\n`);

async function main(signal: AbortSignal): Promise<number> {
  const values = readArguments();
  if (values === undefined) return 2;
  const root = values.package === undefined ? runtimePackage() : resolve(values.package);
  const place = { root, libraries: libraryFolder(root) };
  if (values.remove) {
    const count = await removeProvider(place.libraries, WHEELS);
    note(`${count} files taken away from ${place.libraries}`);
    return 0;
  }
  return values.check ? check(place, signal) : install(place, values.from, signal);
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        from: { type: 'string' },
        package: { type: 'string' },
        check: { type: 'boolean', default: false },
        remove: { type: 'boolean', default: false },
      },
    });
    if (!values.check || !values.remove) return values;
  } catch (error) {
    note(errorMessage(error));
  }
  note(USAGE);
  return undefined;
}

async function check({ root, libraries }: ProviderPlace, signal: AbortSignal): Promise<number> {
  const states = await checkProvider(libraries, WHEELS, signal);
  for (const { member, is } of states) console.log(`${is.padEnd(7)}  ${member.name} (${megabytes(member.bytes)})`);
  const { driver } = findGpu(root);
  console.log(driverLine(driver));
  if (states.some(({ is }) => is !== 'right')) {
    note('npm run gpu:install brings what is missing, and replaces what is other.');
    return 1;
  }
  return driver !== undefined && driverFits(driver) ? 0 : 3;
}

async function install(place: ProviderPlace, from: string | undefined, signal: AbortSignal): Promise<number> {
  const source = openSource(from);
  const stayBytes = WHEELS.flatMap(({ members }) => members).reduce((sum, { bytes }) => sum + bytes, 0);
  note(`From ${source.name} into ${place.libraries}, ${megabytes(stayBytes)} when all is there.`);
  note("NVIDIA's libraries come under its own licence: https://docs.nvidia.com/cuda/eula/");
  let bar: Progress | undefined;
  const onProgress = (doneBytes: number, totalBytes: number): void => {
    bar ??= createProgress({ label: 'download', unit: 'bytes', total: totalBytes });
    bar.at(doneBytes);
  };
  const platform = `${process.platform}-${process.arch}`;
  let count: number;
  try {
    const options = { ...place, platform, version: RUNTIME_VERSION, wheels: WHEELS };
    count = await installProvider(options, { source, freeBytes, onProgress }, signal);
  } finally {
    bar?.end();
  }
  note(count === 0 ? 'All files were there already.' : `${count} files are new.`);
  const found = findGpu(place.root);
  note(driverLine(found.driver));
  // Of another package nothing is loaded into this program.
  if (place.root !== runtimePackage()) return 0;
  const { verdict, says, todo } = checkDevice(await bundledProviders(), found, await probeGpu());
  const advice = todo === undefined ? '' : `\n         -> ${todo}`;
  note(`tessera doctor will say:\n${verdict.padEnd(7)}  device: ${says}${advice}`);
  return 0;
}

function driverLine(driver: string | undefined): string {
  const here = driver === undefined ? 'there is none here' : `here is ${driver}`;
  return `CUDA 13 needs NVIDIA's driver ${MIN_DRIVER} or newer; ${here}`;
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 2 : 0)} MB`;
}

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => stop.abort(new Error('stopped; call again to go on')));
try {
  process.exitCode = await main(stop.signal);
} catch (error) {
  note(`gpu:install: ${errorMessage(stop.signal.aborted ? stop.signal.reason : error)}`);
  process.exitCode = 1;
}
