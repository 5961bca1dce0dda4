// Signed requests (protocol.md 11): what a peer asked for can be proven later, to whom it was addressed and when. Verification comes
// before policy. Trusts the peer id that the transport proved and the signature function it is given, nothing else.

import { randomBytes } from 'node:crypto';
import type { BlockNumber, PeerId } from '../types/ids.ts';
import { peerToBytes } from '../types/peer-id.ts';
import { concatBytes, equalBytes, toHex } from '../util/bytes.ts';
import { encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import {
  bytes as blob,
  exactly,
  type Field,
  type Parsed,
  parsing,
  peerId,
  readCbor,
  readMap,
  text,
  tuple,
  U32,
  uint,
} from './fields.ts';

/** Requests are valid that many blocks around the receiver's head: long enough for a client whose head lags (protocol.md 11). */
export const REQUEST_WINDOW_BLOCKS = 20;
/** Nonces kept within the window (protocol.md 14), about 100 bytes each. */
export const MAX_NONCES = 65_536;
/** Nonces of one peer within the window: one peer cannot fill the cache; 50 requests per block are no honest client. */
const MAX_NONCES_PER_PEER = 1_024;
/** An OPEN over 64 hops is below 4 KB; everything else that is signed so far is smaller. */
const MAX_REQUEST_BYTES = 32 * 1024;
const MAX_NAME_CHARS = 64;
const NONCE_BYTES = 16;
const TAG = tag('tessera/request/1');

export type Sign = (message: Uint8Array) => Uint8Array;
export type Verify = (peer: PeerId, message: Uint8Array, signature: Uint8Array) => boolean;

export interface RequestFacts {
  readonly protocol: string;
  readonly method: string;
  readonly from: PeerId;
  readonly to: PeerId;
  /** Best head of the sender. */
  readonly issuedAt: BlockNumber;
  readonly body: Uint8Array;
}

export type RequestRefusal =
  | 'REQUEST_MALFORMED'
  | 'REQUEST_NOT_FOR_ME'
  | 'REQUEST_WRONG_SENDER'
  | 'REQUEST_OUT_OF_WINDOW'
  | 'REQUEST_REPLAYED'
  | 'REQUEST_TOO_MANY'
  | 'REQUEST_BAD_SIGNATURE';

export type RequestResult =
  | { readonly ok: true; readonly body: Uint8Array }
  | { readonly ok: false; readonly code: RequestRefusal };

/** CBOR [envelope, signature, body], with a fresh nonce. */
export function signRequest(facts: RequestFacts, sign: Sign): Uint8Array {
  const envelope = encodeCbor({
    v: 1,
    p: facts.protocol,
    m: facts.method,
    f: peerToBytes(facts.from),
    t: peerToBytes(facts.to),
    i: new Uint8Array(randomBytes(NONCE_BYTES)),
    a: facts.issuedAt,
    b: sha256(facts.body),
  });
  return encodeCbor([envelope, sign(concatBytes(TAG, envelope)), facts.body]);
}

/** What the receiver knows by itself when a request arrives. */
export interface RequestExpectation {
  readonly protocol: string;
  readonly method: string;
  readonly self: PeerId;
  /** The peer at the other end of the connection. */
  readonly from: PeerId;
  readonly head: BlockNumber;
}

/** Checks in the order of protocol.md 11; the nonce is only remembered for a request whose signature holds. */
export function verifyRequest(
  bytes: Uint8Array,
  expected: RequestExpectation,
  nonces: NonceCache,
  verify: Verify,
): RequestResult {
  const parsed = readRequest(bytes);
  if (!parsed.ok) return { ok: false, code: 'REQUEST_MALFORMED' };
  const { envelopeBytes, signature, body, envelope } = parsed.value;
  const refusal = judge(envelope, body, expected) ?? nonces.check(envelope, expected.head);
  if (refusal !== undefined) return { ok: false, code: refusal };
  if (!verify(expected.from, concatBytes(TAG, envelopeBytes), signature)) {
    return { ok: false, code: 'REQUEST_BAD_SIGNATURE' };
  }
  nonces.add(envelope);
  return { ok: true, body };
}

interface Envelope {
  readonly protocol: string;
  readonly method: string;
  readonly from: PeerId;
  readonly to: PeerId;
  readonly nonce: Uint8Array;
  readonly issuedAt: BlockNumber;
  readonly bodyHash: Uint8Array;
}

interface Request {
  readonly envelope: Envelope;
  readonly envelopeBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly body: Uint8Array;
}

const REQUEST = tuple(blob(0, MAX_REQUEST_BYTES), blob(64), blob(0, MAX_REQUEST_BYTES));
const ENVELOPE = {
  v: exactly(1),
  p: text(MAX_NAME_CHARS),
  m: text(MAX_NAME_CHARS),
  f: peerId,
  t: peerId,
  i: blob(NONCE_BYTES),
  a: uint(U32) as Field<BlockNumber>,
  b: blob(32),
};

function readRequest(bytes: Uint8Array): Parsed<Request> {
  return parsing(() => {
    const [envelopeBytes, signature, body] = REQUEST(readCbor(bytes, MAX_REQUEST_BYTES));
    return { envelopeBytes, envelope: readEnvelope(envelopeBytes), signature, body };
  });
}

function readEnvelope(bytes: Uint8Array): Envelope {
  const map = readMap(readCbor(bytes, MAX_REQUEST_BYTES), ENVELOPE);
  return { protocol: map.p, method: map.m, from: map.f, to: map.t, nonce: map.i, issuedAt: map.a, bodyHash: map.b };
}

function judge(envelope: Envelope, body: Uint8Array, expected: RequestExpectation): RequestRefusal | undefined {
  if (envelope.protocol !== expected.protocol || envelope.method !== expected.method) return 'REQUEST_NOT_FOR_ME';
  if (envelope.to !== expected.self) return 'REQUEST_NOT_FOR_ME';
  if (envelope.from !== expected.from) return 'REQUEST_WRONG_SENDER';
  if (!equalBytes(envelope.bodyHash, sha256(body))) return 'REQUEST_MALFORMED';
  const distance = Math.abs(envelope.issuedAt - expected.head);
  return distance > REQUEST_WINDOW_BLOCKS ? 'REQUEST_OUT_OF_WINDOW' : undefined;
}

type Sighting = Pick<Envelope, 'from' | 'nonce' | 'issuedAt'>;

/** Nonces seen within the window. Full means refused, never forgotten: forgetting would let a request be replayed. */
export interface NonceCache {
  /** Why this nonce cannot be taken at this head, if so. */
  check(request: Sighting, head: BlockNumber): RequestRefusal | undefined;
  add(request: Sighting): void;
  readonly size: number;
}

export function createNonceCache(limits = { total: MAX_NONCES, perPeer: MAX_NONCES_PER_PEER }): NonceCache {
  /** Peer -> nonce (hex) -> block at which the request was issued. */
  const seen = new Map<PeerId, Map<string, BlockNumber>>();
  let size = 0;
  /** Highest head so far. What was issued before its window is forgotten, and refused even if the head goes back. */
  let highest = 0;

  function prune(head: BlockNumber): void {
    if (head <= highest) return;
    highest = head;
    for (const [peer, nonces] of seen) {
      for (const [nonce, issuedAt] of nonces) {
        if (issuedAt < highest - REQUEST_WINDOW_BLOCKS && nonces.delete(nonce)) size -= 1;
      }
      if (nonces.size === 0) seen.delete(peer);
    }
  }

  return {
    check({ from, nonce, issuedAt }, head) {
      prune(head);
      if (issuedAt < highest - REQUEST_WINDOW_BLOCKS) return 'REQUEST_OUT_OF_WINDOW';
      const own = seen.get(from);
      if (own?.has(toHex(nonce))) return 'REQUEST_REPLAYED';
      return size >= limits.total || (own?.size ?? 0) >= limits.perPeer ? 'REQUEST_TOO_MANY' : undefined;
    },
    add({ from, nonce, issuedAt }) {
      const own = seen.get(from) ?? new Map<string, BlockNumber>();
      seen.set(from, own.set(toHex(nonce), issuedAt));
      size += 1;
    },
    get size() {
      return size;
    },
  };
}
