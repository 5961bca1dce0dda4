// Where files come from: a peer that speaks `/tessera/blocks/1`, or a web server that answers ranges. A source is believed in nothing: what it sends is
// checked by whoever fetches.

import type { Overlay } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import type { ManifestHash, ModelFile } from '../types/model.ts';
import { concatBytes, fromHex } from '../util/bytes.ts';
import { CHUNK_BYTES, chunkCount, chunkLength, HASH_BYTES } from './chunks.ts';
import { distributionError } from './errors.ts';
import {
  BLOCKS_PROTOCOL,
  type BlocksRequest,
  decodeBlocksAnswer,
  encodeBlocksRequest,
  MAX_BLOCKS_FRAME,
} from './protocol.ts';

export interface Source {
  readonly name: string;
  /** Pieces asked for at once. */
  readonly width: number;
  /** The manifest's bytes; undefined when it is not there. */
  manifest(hash: ManifestHash, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** The hashes of a file's pieces; undefined when the file is not there, 'unknown' from a source that has files but no such lists. */
  hashes(name: string, file: ModelFile, signal: AbortSignal): Promise<Uint8Array | 'unknown' | undefined>;
  /** Piece i of a file, of the right length. Throws SOURCE_FAILED. */
  chunk(name: string, file: ModelFile, index: number, signal: AbortSignal): Promise<Uint8Array>;
  /** The draft table beside the model, whatever it is worth; undefined when there is none. Throws SOURCE_FAILED, also for one that is too long. */
  draft(wanted: WantedDraft, signal: AbortSignal): Promise<Uint8Array | undefined>;
}

export interface WantedDraft {
  readonly manifest: ManifestHash;
  /** Its name in a folder. */
  readonly name: string;
  readonly maxBytes: number;
}

/** A question and its answer; a piece over 150 kbit/s. */
const ANSWER_MS = 60_000;
const PEER_WIDTH = 3;
const WEB_WIDTH = 4;

export function peerSource(overlay: Pick<Overlay, 'request'>, peer: PeerId): Source {
  async function ask(request: BlocksRequest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const asking = {
      maxFrameBytes: MAX_BLOCKS_FRAME,
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    };
    const answer = decodeBlocksAnswer(
      await overlay.request(peer, BLOCKS_PROTOCOL, encodeBlocksRequest(request), asking),
    );
    if (answer === undefined || answer === 'busy')
      throw distributionError('SOURCE_FAILED', peer, answer ?? 'no answer');
    return answer === 'absent' ? undefined : answer;
  }
  return {
    name: peer,
    width: PEER_WIDTH,
    manifest: (hash, signal) => ask({ ask: 'manifest', hash: fromHex(hash), index: 0 }, signal),
    async hashes(_name, { sha256, bytes }, signal) {
      const list = await ask({ ask: 'hashes', hash: fromHex(sha256), index: 0 }, signal);
      return list?.length === chunkCount(bytes) * HASH_BYTES ? list : undefined;
    },
    async chunk(_name, { sha256, bytes }, index, signal) {
      const chunk = await ask({ ask: 'chunk', hash: fromHex(sha256), index }, signal);
      if (chunk?.length !== chunkLength(bytes, index))
        throw distributionError('SOURCE_FAILED', peer, `piece ${index} is not there`);
      return chunk;
    },
    async draft({ manifest, maxBytes }, signal) {
      const pieces: Uint8Array[] = [];
      let length = 0;
      // How long it is only its end tells: a piece that is short, or not there.
      while (length <= maxBytes) {
        const piece = await ask({ ask: 'draft', hash: fromHex(manifest), index: pieces.length }, signal);
        if (piece === undefined && length === 0) return undefined;
        pieces.push(piece ?? new Uint8Array(0));
        length += piece?.length ?? 0;
        if (length <= maxBytes && (piece?.length ?? 0) < CHUNK_BYTES) return concatBytes(...pieces);
      }
      throw distributionError('SOURCE_FAILED', peer, `a draft table of more than ${maxBytes} bytes`);
    },
  };
}

/** @param base URL of a folder with manifest.json and the files that it names */
export function webSource(base: string, maxManifestBytes: number): Source {
  const url = (name: string) => new URL(name, base.endsWith('/') ? base : `${base}/`);
  return {
    name: base,
    width: WEB_WIDTH,
    async manifest(_hash, signal) {
      const response = await get(url('manifest.json'), {}, signal);
      return response.status === 200 ? readBody(response, maxManifestBytes, base) : undefined;
    },
    async hashes(name, _file, signal) {
      const response = await get(url(name), { method: 'HEAD' }, signal);
      return response.status === 200 ? 'unknown' : undefined;
    },
    async chunk(name, { bytes }, index, signal) {
      const from = index * CHUNK_BYTES;
      const length = chunkLength(bytes, index);
      const headers = { range: `bytes=${from}-${from + length - 1}` };
      const response = await get(url(name), { headers }, signal);
      // A server without ranges sends the whole file: of use only when that is one piece.
      const fits = response.status === 206 || (response.status === 200 && length === bytes);
      if (!fits)
        throw distributionError('SOURCE_FAILED', base, `${name}: status ${response.status} instead of a range`);
      const chunk = await readBody(response, length, base);
      if (chunk.length !== length)
        throw distributionError('SOURCE_FAILED', base, `${name}: piece ${index} is cut short`);
      return chunk;
    },
    async draft({ name, maxBytes }, signal) {
      const response = await get(url(name), {}, signal);
      return response.status === 200 ? readBody(response, maxBytes, base) : undefined;
    },
  };
}

async function get(url: URL, init: RequestInit, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]) });
  } catch (cause) {
    signal.throwIfAborted();
    throw distributionError('SOURCE_FAILED', url.href, 'no answer', cause);
  }
}

/** Reads no more than is due, whatever the server sends. */
async function readBody(response: Response, limit: number, name: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > limit) throw distributionError('SOURCE_FAILED', name, 'it sends more than was asked for');
    parts.push(part);
  }
  return concatBytes(...parts);
}
