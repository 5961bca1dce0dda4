// Shards as the runtime has repacked them, kept on disk: loaded again they are mapped pages of a file, which processes share, in place of memory of
// each (engine.md 1.1). A cache of this machine alone: entries are named by graph, weights, runtime and processor, and are never part of a model's
// identity. Nothing answers from an entry before all of it has been read and is as it was written. What this finds is accident: a write that was torn, a
// disk that forgets. Whoever can alter the weights there can alter their seal as well, whatever it is made of.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch, cpus } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
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

export interface PrepackedEntry {
  /** Path of the graph, which is as it was written; its weights are as long as they were. */
  readonly graph: string;
  /** Whether the weights are as they were written: reads all of them. */
  isWhole(): Promise<boolean>;
  discard(): Promise<void>;
}

export interface PrepackedCache {
  /** What is kept of a shard; what cannot be mapped safely is removed. */
  find(shard: ManifestShard): Promise<PrepackedEntry | undefined>;
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

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const seal = z.strictObject({
  [GRAPH]: sha256,
  /** `sums`: sumFile(). */
  [PREPACKED_WEIGHTS]: z.strictObject({ bytes: z.int().nonnegative(), sums: sha256 }),
});
type Seal = z.infer<typeof seal>;

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
      const discard = async () => {
        log.warn('prepacked shard is damaged and will be made again', { shard: shard.id, entry });
        await rm(entry, { recursive: true, force: true });
      };
      const sums = await readSeal(entry);
      if (sums !== undefined) return { graph: join(entry, GRAPH), isWhole: () => isWhole(entry, sums), discard };
      await discard();
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
          const sums: Seal = {
            [GRAPH]: await hashFile(join(draft, GRAPH)),
            [PREPACKED_WEIGHTS]: await sumFile(join(draft, PREPACKED_WEIGHTS)),
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

/** The seal of an entry whose graph is the written one and whose weights are not cut short, which would end the process that maps them. */
async function readSeal(entry: string): Promise<Seal | undefined> {
  try {
    const sums = seal.parse(JSON.parse(await readFile(join(entry, SEAL), 'utf8')));
    const { size } = await stat(join(entry, PREPACKED_WEIGHTS));
    const same = size === sums[PREPACKED_WEIGHTS].bytes && (await hashFile(join(entry, GRAPH))) === sums[GRAPH];
    return same ? sums : undefined;
  } catch {
    return undefined;
  }
}

async function isWhole(entry: string, sums: Seal): Promise<boolean> {
  const { bytes, sums: wanted } = sums[PREPACKED_WEIGHTS];
  try {
    const found = await sumFile(join(entry, PREPACKED_WEIGHTS));
    return found.bytes === bytes && found.sums === wanted;
  } catch {
    return false;
  }
}

async function hashFile(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** Bytes that have a CRC-32 of their own. */
const PIECE_BYTES = 1 << 20;
/** Pieces that are read at once. */
const READERS = 2;

/** Length, and the SHA-256 of the CRC-32 of all pieces in order: a fifth of what the SHA-256 of all bytes costs even where the processor has instructions for it. */
async function sumFile(path: string): Promise<Seal[typeof PREPACKED_WEIGHTS]> {
  await using handle = await open(path);
  const { size } = await handle.stat();
  const sums = Array.from({ length: Math.ceil(size / PIECE_BYTES) }, () => 0);
  let next = 0;
  const readSome = async (): Promise<void> => {
    const buffer = new Uint8Array(PIECE_BYTES);
    while (next < sums.length) {
      const piece = next++;
      const at = piece * PIECE_BYTES;
      sums[piece] = crc32(await readFully(handle, buffer.subarray(0, Math.min(PIECE_BYTES, size - at)), at));
    }
  };
  await Promise.all(Array.from({ length: READERS }, readSome));
  return { bytes: size, sums: createHash('sha256').update(sums.join()).digest('hex') };
}

async function readFully(handle: FileHandle, into: Uint8Array, from: number): Promise<Uint8Array> {
  for (let at = 0; at < into.length; ) {
    const { bytesRead } = await handle.read(into, at, into.length - at, from + at);
    if (bytesRead === 0) throw new RangeError(`the file ends at ${from + at}`);
    at += bytesRead;
  }
  return into;
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
