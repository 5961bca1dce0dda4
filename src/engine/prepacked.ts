// Shards as the runtime has repacked them, kept on disk: loaded again they are mapped pages of a file, which processes share, in place of memory of
// each (engine.md 1.1). A cache of this machine alone: entries are named by graph, weights, runtime and processor, and are never part of a model's
// identity. Trusts nothing that lies there: an entry is used when every byte of it is the one that was written.

import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch, cpus } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { WeightFormat } from '../graph/formats.ts';
import type { Manifest, ManifestShard } from '../types/model.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { PREPACKED_WEIGHTS } from './lane-protocol.ts';

/** Where a lane writes what it repacks. */
export interface PrepackedDraft {
  /** Path of the graph; the weights lie beside it. */
  readonly graph: string;
  /** Makes the entry count. */
  commit(): Promise<void>;
  discard(): Promise<void>;
}

export interface PrepackedCache {
  /** Path of the shard's graph, if a whole entry is there. */
  find(shard: ManifestShard): Promise<string | undefined>;
  /** A place for a new entry; undefined where none is wanted or the folder cannot be written. */
  begin(shard: ManifestShard): Promise<PrepackedDraft | undefined>;
}

export interface PrepackedOptions {
  readonly folder: string;
  /** Shards with smaller weights are not worth their files; 32 MiB unless given. */
  readonly minBytes?: number;
}

/**
 * Formats whose kept weights mean the same as the original ones. Those of 4 bits do not: onnxruntime 1.30 reads them back wrongly as soon as a run has
 * more than one row (numbers that are none; x86-64, AVX-512).
 */
const KEPT_FORMATS: ReadonlySet<WeightFormat> = new Set<WeightFormat>(['f16', 'w8a8']);

const DEFAULT_MIN_BYTES = 32 << 20;
const GRAPH = 'graph.onnx';
const SEAL = 'seal.json';

const seal = z.strictObject({
  [GRAPH]: z.string().regex(/^[0-9a-f]{64}$/),
  [PREPACKED_WEIGHTS]: z.string().regex(/^[0-9a-f]{64}$/),
});

export function createPrepackedCache(
  { folder, minBytes = DEFAULT_MIN_BYTES }: PrepackedOptions,
  manifest: Manifest,
  runtime: string,
  log: Log,
): PrepackedCache {
  const machine = describeMachine(runtime);
  const hashes = (names: readonly string[]) => names.map((name) => manifest.files[name]?.sha256);
  const place = (shard: ManifestShard): string => {
    const named = JSON.stringify([machine, hashes([shard.graph, ...shard.weights])]);
    return join(folder, createHash('sha256').update(named).digest('hex'));
  };
  const bytesOf = (shard: ManifestShard) =>
    shard.weights.reduce((sum, name) => sum + (manifest.files[name]?.bytes ?? 0), 0);
  return {
    async find(shard) {
      const entry = place(shard);
      if (!(await isThere(entry))) return undefined;
      if (await isWhole(entry)) return join(entry, GRAPH);
      log.warn('prepacked shard is damaged and will be made again', { shard: shard.id, entry });
      await rm(entry, { recursive: true, force: true });
      return undefined;
    },
    async begin(shard) {
      if (!isKept(shard) || bytesOf(shard) < minBytes) return undefined;
      const entry = place(shard);
      const draft = `${entry}.draft-${process.pid}`;
      try {
        await rm(draft, { recursive: true, force: true });
        await mkdir(draft, { recursive: true, mode: 0o700 });
      } catch (error) {
        log.warn('prepacked shards cannot be kept', { folder, error: errorMessage(error) });
        return undefined;
      }
      const discard = () => rm(draft, { recursive: true, force: true });
      return {
        graph: join(draft, GRAPH),
        async commit() {
          const sums = {
            [GRAPH]: await hashFile(join(draft, GRAPH)),
            [PREPACKED_WEIGHTS]: await hashFile(join(draft, PREPACKED_WEIGHTS)),
          };
          await writeFile(join(draft, SEAL), JSON.stringify(sums));
          // Another process may have been faster: its entry is as good.
          await rename(draft, entry).catch(discard);
        },
        discard,
      };
    },
  };
}

function isKept({ format, layers = {} }: ManifestShard): boolean {
  return [format, ...Object.values(layers)].every((one) => KEPT_FORMATS.has(one));
}

async function isWhole(entry: string): Promise<boolean> {
  try {
    const sums = seal.parse(JSON.parse(await readFile(join(entry, SEAL), 'utf8')));
    for (const [file, sum] of Object.entries(sums)) if ((await hashFile(join(entry, file))) !== sum) return false;
    return true;
  } catch {
    return false;
  }
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** What repacked weights depend on beside the model: the runtime, and which kernels it takes on this processor. */
function describeMachine(runtime: string): string {
  return JSON.stringify([runtime, process.platform, arch(), cpus()[0]?.model, processorFlags()]);
}

function processorFlags(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:.*$/m)?.[0] ?? '';
  } catch {
    return '';
  }
}
