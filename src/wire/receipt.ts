// Receipts as bytes (protocol.md 13): what a hop signs for a segment of a session, and the usage that the client signs for it.
// A decoded receipt is NOT yet trusted: its signature needs the peer whose it should be.

import type { BlockNumber, PeerId, ShardIndex } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { peerToBytes } from '../types/peer-id.ts';
import { concatBytes, fromHex, toHex } from '../util/bytes.ts';
import { type Cbor, encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import {
  between,
  bytes as blob,
  exactly,
  type Field,
  type Parsed,
  parsing,
  peerId,
  readCbor,
  readMap,
  tuple,
  U16,
  U32,
  uint,
} from './fields.ts';
import { MAX_RECEIPT_BYTES, MAX_USAGE_BYTES, type SessionId } from './infer.ts';
import type { RowCodec } from './tensor.ts';

const MAX_POSITIONS = 1 << 24;
const MAX_SEGMENT = 32;
const SKETCH_BYTES = 128;
const SESSION_BYTES = 16;
const HASH_BYTES = 32;
const SIGNATURE_BYTES = 64;
const RECEIPT_TAG = tag('tessera/receipt/1');
const USAGE_TAG = tag('tessera/usage/1');

/** Positions [position, position + count) of a session, as one hop served them. */
export interface Receipt {
  readonly session: SessionId;
  readonly manifest: ManifestHash;
  /** Shards [from, to) of the hop's run. */
  readonly from: ShardIndex;
  readonly to: ShardIndex;
  readonly codec: RowCodec;
  readonly position: number;
  /** 1..32. */
  readonly count: number;
  /** Chain over all rows that came in so far, 32 bytes. */
  readonly taken: Uint8Array;
  /** Chain over all rows that went on so far, as the next hop counts them; at the last hop over the tokens drawn. 32 bytes. */
  readonly given: Uint8Array;
  /** Of what was computed for these positions, 128 bytes. */
  readonly sketch: Uint8Array;
  /** Best head when it was signed. */
  readonly block: BlockNumber;
}

/** What the client acknowledges at the end. */
export interface Usage {
  readonly session: SessionId;
  /** Place and peer that served. */
  readonly hop: number;
  readonly peer: PeerId;
  /** Rows that entered the route. */
  readonly positions: number;
  /** Tokens that it gave. */
  readonly tokens: number;
}

export interface Signed<T> {
  readonly value: T;
  /** Whole, as it travels. */
  readonly bytes: Uint8Array;
  /** What is signed. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

interface Signer {
  sign(message: Uint8Array): Uint8Array;
}

export function signReceipt(receipt: Receipt, signer: Signer): Signed<Receipt> {
  const body = encodeCbor({
    v: 1,
    s: fromHex(receipt.session),
    m: fromHex(receipt.manifest),
    f: receipt.from,
    t: receipt.to,
    c: receipt.codec,
    p: receipt.position,
    n: receipt.count,
    h: receipt.taken,
    o: receipt.given,
    k: receipt.sketch,
    b: receipt.block,
  });
  return signed(receipt, RECEIPT_TAG, body, signer);
}

const session: Field<SessionId> = (value) => toHex(blob(SESSION_BYTES)(value)) as SessionId;

const RECEIPT = {
  v: exactly(1),
  s: session,
  m: blob(HASH_BYTES),
  f: uint(U16) as Field<ShardIndex>,
  t: between(1, U16) as Field<ShardIndex>,
  c: exactly<RowCodec>('f16', 'f32'),
  p: uint(MAX_POSITIONS),
  n: between(1, MAX_SEGMENT),
  h: blob(HASH_BYTES),
  o: blob(HASH_BYTES),
  k: blob(SKETCH_BYTES),
  b: uint(U32) as Field<BlockNumber>,
};

export function decodeReceipt(bytes: Uint8Array): Parsed<Signed<Receipt>> {
  return decode(bytes, MAX_RECEIPT_BYTES, RECEIPT_TAG, (value) => {
    const map = readMap(value, RECEIPT);
    return {
      session: map.s,
      manifest: toHex(map.m),
      from: map.f,
      to: map.t,
      codec: map.c,
      position: map.p,
      count: map.n,
      taken: map.h,
      given: map.o,
      sketch: map.k,
      block: map.b,
    };
  });
}

/** What an audit's verdict names (protocol.md 4): SHA-256 over the receipt's bytes, its segment among them. */
export function receiptHash(bytes: Uint8Array): Uint8Array {
  return sha256(RECEIPT_TAG, bytes);
}

export function signUsage(usage: Usage, signer: Signer): Signed<Usage> {
  const { session: id, hop, peer, positions, tokens } = usage;
  const body = encodeCbor({ v: 1, s: fromHex(id), j: hop, h: peerToBytes(peer), n: positions, k: tokens });
  return signed(usage, USAGE_TAG, body, signer);
}

const USAGE = {
  v: exactly(1),
  s: session,
  j: uint(U16),
  h: peerId,
  n: uint(MAX_POSITIONS),
  k: uint(MAX_POSITIONS),
};

export function decodeUsage(bytes: Uint8Array): Parsed<Signed<Usage>> {
  return decode(bytes, MAX_USAGE_BYTES, USAGE_TAG, (value) => {
    const map = readMap(value, USAGE);
    return { session: map.s, hop: map.j, peer: map.h, positions: map.n, tokens: map.k };
  });
}

function signed<T>(value: T, of: Uint8Array, body: Uint8Array, signer: Signer): Signed<T> {
  const message = concatBytes(of, body);
  const signature = signer.sign(message);
  return { value, bytes: encodeCbor([body, signature]), message, signature };
}

function decode<T>(bytes: Uint8Array, limit: number, of: Uint8Array, read: (body: Cbor) => T): Parsed<Signed<T>> {
  return parsing(() => {
    const [body, signature] = tuple(blob(0, limit), blob(SIGNATURE_BYTES))(readCbor(bytes, limit));
    return { value: read(readCbor(body, limit)), bytes, message: concatBytes(of, body), signature };
  });
}
