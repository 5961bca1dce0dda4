// `/tessera/blocks/1`: one frame there, one back. Four questions: the manifest of this hash; the hashes of the pieces of the file of this hash; piece
// i of it; piece i of the draft table beside the model of this manifest. Nothing is signed: what matters is named by its hash, and the asker checks.
// Answer = one byte, then the bytes.

import { MAX_MANIFEST_BYTES } from '../model/manifest.ts';
import type { ProtocolOptions } from '../p2p/types.ts';
import { concatBytes } from '../util/bytes.ts';
import { encodeCbor } from '../util/cbor.ts';
import { bytes, exactly, parsing, readCbor, readMap, uint } from '../wire/fields.ts';
import { CHUNK_BYTES, HASH_BYTES } from './chunks.ts';

export const BLOCKS_PROTOCOL = '/tessera/blocks/1';
/** Files of 64 GiB: no layer of any published model is near. */
const MAX_CHUNKS = 65_536;
export const MAX_BLOCKS_FRAME = 1 + Math.max(MAX_MANIFEST_BYTES, CHUNK_BYTES, MAX_CHUNKS * HASH_BYTES);
const MAX_REQUEST_BYTES = 128;
/** Pieces that one peer may be sent at once. */
const MAX_STREAMS = 4;

export const BLOCKS_OPTIONS: ProtocolOptions = {
  maxFrameBytes: MAX_BLOCKS_FRAME,
  admit: () => true,
  maxStreamsPerPeer: MAX_STREAMS,
};

export interface BlocksRequest {
  readonly ask: 'manifest' | 'hashes' | 'chunk' | 'draft';
  /** SHA-256 of the manifest or file; a draft is known by its model's manifest. */
  readonly hash: Uint8Array;
  /** Of the piece; 0 for other questions. */
  readonly index: number;
}

export function encodeBlocksRequest({ ask, hash, index }: BlocksRequest): Uint8Array {
  return encodeCbor({ v: 1, q: ask, h: hash, i: index });
}

export function decodeBlocksRequest(body: Uint8Array): BlocksRequest | undefined {
  const read = parsing(() =>
    readMap(readCbor(body, MAX_REQUEST_BYTES), {
      v: exactly(1),
      q: exactly('manifest', 'hashes', 'chunk', 'draft'),
      h: bytes(HASH_BYTES),
      i: uint(MAX_CHUNKS - 1),
    }),
  );
  return read.ok ? { ask: read.value.q, hash: read.value.h, index: read.value.i } : undefined;
}

/** What is answered: the bytes, that they are not there, or that too many ask at once. */
export type BlocksAnswer = Uint8Array | 'absent' | 'busy';

const ABSENT = 0;
const HERE = 1;
const BUSY = 2;

export function encodeBlocksAnswer(answer: BlocksAnswer): Uint8Array {
  if (answer === 'absent') return Uint8Array.of(ABSENT);
  return answer === 'busy' ? Uint8Array.of(BUSY) : concatBytes(Uint8Array.of(HERE), answer);
}

/** Undefined for bytes that are no answer. */
export function decodeBlocksAnswer(body: Uint8Array): BlocksAnswer | undefined {
  if (body[0] === HERE) return body.subarray(1);
  if (body.length !== 1) return undefined;
  return body[0] === ABSENT ? 'absent' : body[0] === BUSY ? 'busy' : undefined;
}
