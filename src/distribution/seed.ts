// Serves the files of a model folder to whoever asks, within a rate, and says on the DHT that they are here. What is served was checked when the
// model was opened; askers check again.

import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { manifestBytes } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { Overlay } from '../p2p/types.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { chunkCount, hashChunks, readChunk } from './chunks.ts';
import {
  BLOCKS_OPTIONS,
  BLOCKS_PROTOCOL,
  type BlocksAnswer,
  type BlocksRequest,
  decodeBlocksRequest,
  encodeBlocksAnswer,
} from './protocol.ts';
import { createRate } from './rate.ts';

/** Pieces in memory at once; beyond, askers are told to come again. */
const MAX_SERVING = 16;
/** Provider records are kept for two days; who joins the DHT later learns of us within this time. */
const PROVIDE_MS = 3_600_000;
/** Soon after the start there may be nobody to tell. */
const FIRST_PROVIDE_MS = 10_000;
const PROVIDE_TIMEOUT_MS = 30_000;

export interface SeedOptions {
  readonly model: Pick<Model, 'manifest' | 'hash' | 'path'>;
  /** Whether a file of the manifest is here, whole; asked whenever somebody wants it. */
  readonly has: (file: string) => boolean;
  /** Where the draft table beside the model lies, if there is one. */
  readonly draft?: string;
  /** Bytes per second to all askers together; no limit unless given. */
  readonly uploadRate?: number | undefined;
}

export interface Seed {
  /** Says on the DHT that the model is here, now and then, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

interface SeedFile {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Of its pieces, made when first asked for. */
  hashes: Promise<Uint8Array | undefined> | undefined;
}

/** Serves from now on. */
export async function seedModel(
  { model, has, draft, uploadRate }: SeedOptions,
  { overlay, log }: { readonly overlay: Overlay; readonly log: Log },
): Promise<Seed> {
  /** By hash; two names may have the same bytes. */
  const files = new Map<string, SeedFile[]>();
  for (const [name, { sha256, bytes }] of Object.entries(model.manifest.files))
    files.set(sha256, [...(files.get(sha256) ?? []), { name, path: model.path(name), bytes, hashes: undefined }]);
  const manifest = manifestBytes(model.manifest);
  const rate = createRate(uploadRate ?? Number.POSITIVE_INFINITY);
  let serving = 0;

  async function find({ ask, hash, index }: BlocksRequest): Promise<BlocksAnswer> {
    const name = toHex(hash);
    if (ask === 'manifest') return name === model.hash ? manifest : 'absent';
    if (ask === 'draft') return name === model.hash ? readDraft(draft, index) : 'absent';
    const file = files.get(name)?.find((one) => has(one.name));
    if (file === undefined || index >= Math.max(1, chunkCount(file.bytes))) return 'absent';
    if (ask === 'hashes') {
      file.hashes ??= withFile(file.path, (handle) => hashChunks(handle, file.bytes));
      return (await file.hashes) ?? 'absent';
    }
    return (await withFile(file.path, (handle) => readChunk(handle, file.bytes, index))) ?? 'absent';
  }

  await overlay.handleRequest(BLOCKS_PROTOCOL, BLOCKS_OPTIONS, async (body, _from, signal) => {
    const request = decodeBlocksRequest(body);
    if (request === undefined) throw new Error('a request for blocks that is none');
    if (serving >= MAX_SERVING) return encodeBlocksAnswer('busy');
    serving += 1;
    try {
      const answer = encodeBlocksAnswer(await find(request));
      const waitMs = rate.take(answer.length, performance.now());
      if (waitMs > 0) await sleep(waitMs, undefined, { signal, ref: false });
      return answer;
    } finally {
      serving -= 1;
    }
  });

  return {
    async run(signal) {
      for (let pauseMs = FIRST_PROVIDE_MS; !signal.aborted; pauseMs = PROVIDE_MS) {
        await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
        if (signal.aborted) return;
        await overlay
          .provide(fromHex(model.hash), AbortSignal.any([signal, AbortSignal.timeout(PROVIDE_TIMEOUT_MS)]))
          .catch((error) => log.debug('model not provided', { error: errorMessage(error) }));
      }
    },
  };
}

/** Read anew for each piece: it may be made, or made anew, at any time. */
async function readDraft(path: string | undefined, index: number): Promise<BlocksAnswer> {
  if (path === undefined) return 'absent';
  try {
    return await withFile(path, async (handle) => {
      const { size } = await handle.stat();
      return index < chunkCount(size) ? ((await readChunk(handle, size, index)) ?? 'absent') : 'absent';
    });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 'absent';
    throw error;
  }
}

async function withFile<T>(path: string, use: (handle: Awaited<ReturnType<typeof open>>) => Promise<T>): Promise<T> {
  await using handle = await open(path, 'r');
  return await use(handle);
}
