// Puts the CUDA provider beside the runtime, says how it stands, takes it away. All files are made ready in a folder of their own and moved at the end, so
// that the runtime never sees half of them.

import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Wheel, WheelMember } from './packages.ts';
import { sizeOf, type WheelSource } from './source.ts';
import { extractMember, hashFile } from './wheel.ts';

export interface ProviderPlace {
  /** The package onnxruntime-node. */
  readonly root: string;
  /** Where it keeps its libraries. */
  readonly libraries: string;
}

export interface InstallOptions extends ProviderPlace {
  readonly platform: string;
  /** Of onnxruntime-node, which the wheels fit. */
  readonly version: string;
  readonly wheels: readonly Wheel[];
}

export interface InstallDeps {
  readonly source: WheelSource;
  /** Of the disk that a folder is on. */
  freeBytes(folder: string): Promise<number>;
  /** Of the wheels that are needed, all together. */
  onProgress(doneBytes: number, totalBytes: number): void;
}

export interface MemberState {
  readonly member: WheelMember;
  readonly is: 'right' | 'other' | 'missing';
}

const PLATFORM = 'linux-x64';
const WORK = '.gpu-install';
/** Left over when the disk is full to the brim, other programs stop. */
const SPARE_BYTES = 64 << 20;

export async function checkProvider(
  libraries: string,
  wheels: readonly Wheel[],
  signal: AbortSignal,
): Promise<readonly MemberState[]> {
  const states: MemberState[] = [];
  for (const member of wheels.flatMap(({ members }) => members))
    states.push({ member, is: await stateOf(join(libraries, member.name), member, signal) });
  return states;
}

async function stateOf(file: string, member: WheelMember, signal: AbortSignal): Promise<MemberState['is']> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return 'missing';
  return found.size === member.bytes && (await hashFile(file, signal)) === member.sha256 ? 'right' : 'other';
}

/** Answers how many files are new. */
export async function installProvider(
  { root, libraries, platform, version, wheels }: InstallOptions,
  { source, freeBytes, onProgress }: InstallDeps,
  signal: AbortSignal,
): Promise<number> {
  if (platform !== PLATFORM)
    throw new Error(`ONNX Runtime's CUDA provider is installed on ${PLATFORM} alone, and this is ${platform}`);
  const here = readVersion(root);
  if (here !== version)
    throw new Error(`${root} is onnxruntime-node ${here}, and the provider that is known here fits ${version}; npm ci`);
  const states = await checkProvider(libraries, wheels, signal);
  const wanted = states.filter(({ is }) => is !== 'right').map(({ member }) => member);
  if (wanted.length === 0) return 0;
  const work = join(libraries, WORK);
  const ready = await readyIn(work, wanted, signal);
  const open = wheels.filter(({ members }) => members.some((one) => wanted.includes(one) && !ready.has(one.name)));
  const unready = wanted.filter(({ name }) => !ready.has(name));
  await expectRoom(libraries, unready, open, freeBytes);
  await mkdir(work, { recursive: true });
  const totalBytes = open.reduce((sum, { bytes }) => sum + bytes, 0);
  let doneBytes = 0;
  for (const wheel of open) {
    const file = await source.bring(wheel, work, (bytes) => onProgress(doneBytes + bytes, totalBytes), signal);
    doneBytes += wheel.bytes;
    for (const member of wheel.members.filter((one) => unready.includes(one)))
      await extractMember(file, member, work, signal);
    if (dirname(file) === work) await rm(file);
  }
  // In the table's order, the provider itself last: it is what the runtime looks for.
  for (const { name } of wanted) await rename(join(work, name), join(libraries, name));
  await rm(work, { recursive: true });
  return wanted.length;
}

/** Answers how many files were there. */
export async function removeProvider(libraries: string, wheels: readonly Wheel[]): Promise<number> {
  // The provider first: without it nothing asks for the others.
  const names = wheels.flatMap(({ members }) => members.map(({ name }) => name)).reverse();
  const there = names.filter((name) => existsSync(join(libraries, name)));
  for (const name of there) await rm(join(libraries, name));
  await rm(join(libraries, WORK), { recursive: true, force: true });
  return there.length;
}

function readVersion(root: string): string {
  const file = join(root, 'package.json');
  if (!existsSync(file)) throw new Error(`${root} is no package; npm ci brings onnxruntime-node`);
  return String((JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }).version);
}

/** Names of members that an attempt before this one left whole; what else lies there and is no part of a download goes. */
async function readyIn(
  work: string,
  wanted: readonly WheelMember[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const ready = new Set<string>();
  for (const member of wanted)
    if ((await stateOf(join(work, member.name), member, signal)) === 'right') ready.add(member.name);
  for (const name of await readdir(work).catch(() => []))
    if (!ready.has(name) && !name.endsWith('.whl.part')) await rm(join(work, name), { recursive: true });
  return ready;
}

/** For files that will stay, and the largest of the wheels, which are there one at a time. */
async function expectRoom(
  libraries: string,
  members: readonly WheelMember[],
  wheels: readonly Wheel[],
  freeBytes: (folder: string) => Promise<number>,
): Promise<void> {
  const stay = members.reduce((sum, { bytes }) => sum + bytes, 0);
  const unread = wheels.map(async ({ file, bytes }) => bytes - (await sizeOf(join(libraries, WORK, `${file}.part`))));
  const needed = stay + Math.max(0, ...(await Promise.all(unread))) + SPARE_BYTES;
  const free = await freeBytes(libraries);
  if (free < needed)
    throw new Error(`no room in ${libraries}: ${needed} bytes are needed, ${free} are free; make room on that disk`);
}
