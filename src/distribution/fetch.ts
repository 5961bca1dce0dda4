// Fetches the files of a model from several sources at once into a folder. Pieces are checked by the hash lists of their sources before they are
// written, files by the manifest before they get their name, the manifest by its own hash. A source that sends a wrong piece is asked no more.

import { mkdir, open, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { manifestBytes, manifestHash, parseManifest } from '../model/manifest.ts';
import { MANIFEST_FILE } from '../model/open.ts';
import type { Manifest, ManifestHash, ModelFile } from '../types/model.ts';
import { equalBytes, toHex } from '../util/bytes.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { chunkHash, chunkLength, hashAt, hashFile } from './chunks.ts';
import { distributionError } from './errors.ts';
import { openPart, type Part } from './part.ts';
import type { Source } from './source.ts';

/** A source that fails so often in a row is left alone for the rest of a round. */
const MAX_FAILURES = 3;
/** Rounds over a file: each asks all sources anew who has it, after a longer and longer pause when nothing came. */
const MAX_ROUNDS = 8;
const ROUND_PAUSE_MS = 250;

export interface FetchOptions {
  readonly manifest: ManifestHash;
  /** Where the files go; made if it is not there. */
  readonly folder: string;
  /** Which files of the manifest are needed; all unless given. */
  readonly needs?: (manifest: Manifest, file: string) => boolean;
}

/** Of a model whose manifest is known. */
export interface FetchFilesOptions {
  readonly manifest: Manifest;
  readonly folder: string;
  readonly needs: (file: string) => boolean;
}

export interface FetchProgress {
  readonly file: string;
  readonly source: string;
  /** Bytes of needed files that are here, and of all that are needed. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface FetchDeps {
  /** Asked for again for each file: sources may come while others go. */
  readonly sources: () => Promise<readonly Source[]>;
  readonly onProgress: (progress: FetchProgress) => void;
  readonly log: Log;
}

/** The sources in use: those that lied are out for good. */
interface Fleet {
  all(): Promise<readonly Source[]>;
  expel(source: Source, why: string): void;
  isOut(source: Source): boolean;
}

/**
 * Resolves when all needed files are in the folder, whole.
 *
 * @throws DistributionError MODEL_UNAVAILABLE, ModelError MODEL_MANIFEST, the signal's reason
 */
export async function fetchModel(
  { manifest: hash, folder, needs }: FetchOptions,
  deps: FetchDeps,
  signal: AbortSignal,
): Promise<Manifest> {
  const fleet = createFleet(deps);
  await mkdir(folder, { recursive: true });
  const manifest = await fetchManifest(hash, fleet, deps.log, signal);
  const wanted = { manifest, folder, needs: (file: string) => needs?.(manifest, file) ?? true };
  await fetchFrom(fleet, wanted, deps, signal);
  await writeFile(join(folder, MANIFEST_FILE), manifestBytes(manifest), { flush: true });
  return manifest;
}

/**
 * Resolves when the needed files are in the folder, whole.
 *
 * @throws DistributionError MODEL_UNAVAILABLE, the signal's reason
 */
export function fetchFiles(options: FetchFilesOptions, deps: FetchDeps, signal: AbortSignal): Promise<void> {
  return fetchFrom(createFleet(deps), options, deps, signal);
}

async function fetchFrom(
  fleet: Fleet,
  { manifest, folder, needs }: FetchFilesOptions,
  { onProgress, log }: FetchDeps,
  signal: AbortSignal,
): Promise<void> {
  const files = Object.entries(manifest.files).filter(([name]) => needs(name));
  const totalBytes = files.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  let doneBytes = 0;
  for (const [name, file] of files) {
    const path = join(folder, name);
    if (await isThere(path, file)) {
      doneBytes += file.bytes;
      continue;
    }
    const before = doneBytes;
    const onChunk = (source: Source, leftBytes: number) =>
      onProgress({ file: name, source: source.name, doneBytes: before + file.bytes - leftBytes, totalBytes });
    await fetchFile({ name, file, path }, fleet, { onChunk, log }, signal);
    doneBytes += file.bytes;
  }
}

function createFleet({ sources, log }: FetchDeps): Fleet {
  const expelled = new Set<string>();
  return {
    async all() {
      const known = await sources();
      const left = known.filter(({ name }) => !expelled.has(name));
      if (known.length === 0 || left.length > 0) return left;
      throw distributionError('MODEL_UNAVAILABLE', 'the model', 'all who have it sent wrong bytes');
    },
    expel(source, why) {
      expelled.add(source.name);
      log.warn('source left out', { source: source.name, why });
    },
    isOut: ({ name }) => expelled.has(name),
  };
}

async function fetchManifest(hash: ManifestHash, fleet: Fleet, log: Log, signal: AbortSignal): Promise<Manifest> {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    if (round > 0) await sleep(ROUND_PAUSE_MS * 2 ** round, undefined, { signal });
    for (const source of await fleet.all()) {
      const bytes = await tried(source, log, signal, () => source.manifest(hash, signal));
      if (bytes === undefined) continue;
      if (manifestHash(bytes) === hash) return parseManifest(bytes);
      fleet.expel(source, 'another manifest than the one asked for');
    }
  }
  throw distributionError('MODEL_UNAVAILABLE', `the model ${hash}`, 'nobody has its manifest');
}

interface Job {
  readonly name: string;
  readonly file: ModelFile;
  readonly path: string;
}

interface Watch {
  /** A piece has come, and so many bytes of the file are still missing. */
  readonly onChunk: (source: Source, leftBytes: number) => void;
  readonly log: Log;
}

async function fetchFile(job: Job, fleet: Fleet, watch: Watch, signal: AbortSignal): Promise<void> {
  const part = await openPart(job.path, job.file);
  try {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      if (round > 0) await sleep(ROUND_PAUSE_MS * 2 ** round, undefined, { signal });
      const plan = choosePlan(await offersOf(job, fleet, watch.log, signal));
      if (plan === undefined) continue;
      if (!(await fetchPieces(job, plan, part, { fleet, watch }, signal))) continue;
      if (await part.finish()) return;
      // All pieces were those of the list, so the list is not that of the file.
      for (const source of plan.owners) fleet.expel(source, 'pieces of another file');
      if (plan.hashes === undefined) await part.clear();
    }
  } finally {
    await part.close();
  }
  throw distributionError('MODEL_UNAVAILABLE', `the file ${job.name}`, 'no source has all of it');
}

interface Offer {
  readonly source: Source;
  readonly hashes: Uint8Array | 'unknown';
}

async function offersOf({ name, file }: Job, fleet: Fleet, log: Log, signal: AbortSignal): Promise<readonly Offer[]> {
  const asked = (await fleet.all()).map(async (source) => {
    const hashes = await tried(source, log, signal, () => source.hashes(name, file, signal));
    return hashes === undefined ? [] : [{ source, hashes }];
  });
  return (await Promise.all(asked)).flat();
}

interface Plan {
  /** What pieces must be; undefined when only sources without lists are left. */
  readonly hashes: Uint8Array | undefined;
  /** Whose word the hashes are. */
  readonly owners: ReadonlySet<Source>;
  readonly sources: readonly Source[];
}

/** Trusts the list that most sources name, until the whole file proves it; sources without lists help out. */
function choosePlan(offers: readonly Offer[]): Plan | undefined {
  const lists = new Map<string, Offer[]>();
  for (const offer of offers) {
    if (offer.hashes === 'unknown') continue;
    const key = toHex(chunkHash(offer.hashes));
    lists.set(key, [...(lists.get(key) ?? []), offer]);
  }
  const helpers = offers.filter(({ hashes }) => hashes === 'unknown').map(({ source }) => source);
  const [most] = [...lists.values()].toSorted((a, b) => b.length - a.length);
  const hashes = most?.[0]?.hashes;
  if (most !== undefined && hashes !== undefined && hashes !== 'unknown') {
    const owners = most.map(({ source }) => source);
    return { hashes, owners: new Set(owners), sources: [...owners, ...helpers] };
  }
  // Without hashes the pieces of two sources cannot be told apart: one source, in order.
  const alone = helpers.slice(0, 1);
  return alone.length === 0 ? undefined : { hashes: undefined, owners: new Set(alone), sources: alone };
}

/** Whether no piece is missing any more. */
async function fetchPieces(
  { name, file }: Job,
  plan: Plan,
  part: Part,
  { fleet, watch }: { readonly fleet: Fleet; readonly watch: Watch },
  signal: AbortSignal,
): Promise<boolean> {
  const queue = await part.missing(plan.hashes);
  let leftBytes = queue.reduce((sum, index) => sum + chunkLength(file.bytes, index), 0);

  /** False when the source is not to be asked for more. */
  async function takePiece(source: Source, index: number): Promise<boolean> {
    const chunk = await source.chunk(name, file, index, signal);
    if (plan.hashes !== undefined && !equalBytes(chunkHash(chunk), hashAt(plan.hashes, index))) {
      queue.push(index);
      // It has contradicted itself; a source without a list may be right, and the list wrong.
      if (plan.owners.has(source)) fleet.expel(source, 'a piece that is not what it said itself');
      return false;
    }
    await part.write(index, chunk);
    leftBytes -= chunk.length;
    watch.onChunk(source, leftBytes);
    return true;
  }

  async function work(source: Source): Promise<void> {
    for (let failures = 0; failures < MAX_FAILURES && !fleet.isOut(source); ) {
      const index = queue.shift();
      if (index === undefined) return;
      try {
        if (!(await takePiece(source, index))) return;
        failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        queue.unshift(index);
        failures += 1;
        watch.log.debug('piece not fetched', { source: source.name, file: name, index, code: errorCode(error) });
      }
    }
  }

  const workers = plan.sources.flatMap((source) =>
    Array.from({ length: plan.hashes === undefined ? 1 : source.width }, () => work(source)),
  );
  await Promise.all(workers);
  return leftBytes === 0;
}

/** What a source says, or undefined when it fails. */
async function tried<T>(source: Source, log: Log, signal: AbortSignal, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    signal.throwIfAborted();
    log.debug('source does not answer', { source: source.name, code: errorCode(error) });
    return undefined;
  }
}

/** Whether the file is here, whole: what has been damaged since is fetched again. */
async function isThere(path: string, { bytes, sha256 }: ModelFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true || found.size !== bytes) return false;
  await using handle = await open(path, 'r');
  return (await hashFile(handle, bytes)) === sha256;
}
