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
export interface NonceLimits {
  /** Nonces kept within the window, about 100 bytes each. */
  readonly total: number;
  /** Of one peer: 50 requests per block are no honest client. */
  readonly perPeer: number;
  /** Peers that were forgotten and wait until what they sent has expired. */
  readonly shutOut: number;
}

/** protocol.md 14. */
export const NONCE_LIMITS: NonceLimits = { total: 65_536, perPeer: 1_024, shutOut: 4_096 };
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

/**
 * Who asked for what, of a request that was taken by somebody else: for auditors, who judge neither its age nor whether it came twice.
 *
 * @param to the peer it must be addressed to
 */
export function readTakenRequest(
  bytes: Uint8Array,
  expected: { readonly protocol: string; readonly method: string; readonly to: PeerId },
  verify: Verify,
): Parsed<{ readonly from: PeerId; readonly body: Uint8Array }> {
  const parsed = readRequest(bytes);
  if (!parsed.ok) return parsed;
  const { envelope, envelopeBytes, signature, body } = parsed.value;
  const { protocol, method, to, from, bodyHash } = envelope;
  if (protocol !== expected.protocol || method !== expected.method || to !== expected.to)
    return { ok: false, why: 'a request for something else' };
  if (!equalBytes(bodyHash, sha256(body))) return { ok: false, why: 'a body that was not signed' };
  const isSigned = verify(from, concatBytes(TAG, envelopeBytes), signature);
  return isSigned ? { ok: true, value: { from, body } } : { ok: false, why: 'badly signed' };
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

/** Nonces seen within the window. None is forgotten without its peer being shut out: a request is never taken twice. */
export interface NonceCache {
  /** Why this nonce cannot be taken at this head, if so. */
  check(request: Sighting, head: BlockNumber): RequestRefusal | undefined;
  /** Remembers what passed `check`. When the cache is full, the peer of least stake that sent most is forgotten. */
  add(request: Sighting): void;
  readonly size: number;
}

/** Whatever many peers without stake send, others get in: what they fill is taken from them. */
export function createNonceCache(
  limits: NonceLimits = NONCE_LIMITS,
  stakeOf: (peer: PeerId) => bigint = () => 0n,
): NonceCache {
  /** Peer -> nonce (hex) -> block at which the request was issued. */
  const seen = new Map<PeerId, Map<string, BlockNumber>>();
  /** Forgotten peer -> requests issued up to this block are refused: one of them may have been seen. */
  const shutOut = new Map<PeerId, number>();
  let size = 0;
  /** Highest head so far. What was issued before its window is forgotten, and refused even if the head goes back. */
  let highest = 0;

  function prune(head: BlockNumber): void {
    if (head <= highest) return;
    highest = head;
    const oldest = highest - REQUEST_WINDOW_BLOCKS;
    for (const [peer, nonces] of seen) {
      for (const [nonce, issuedAt] of nonces) if (issuedAt < oldest && nonces.delete(nonce)) size -= 1;
      if (nonces.size === 0) seen.delete(peer);
    }
    for (const [peer, until] of shutOut) if (until < oldest) shutOut.delete(peer);
  }

  /** The peer of least stake, and of those the one that sent most: it makes room. Undefined when nobody may. */
  function hogBeside(peer: PeerId): PeerId | undefined {
    if (shutOut.size >= limits.shutOut) return undefined;
    let hog = { peer, stake: stakeOf(peer), sent: 1 + (seen.get(peer)?.size ?? 0) };
    for (const [other, { size: sent }] of seen) {
      const stake = stakeOf(other);
      if (stake < hog.stake || (stake === hog.stake && sent > hog.sent)) hog = { peer: other, stake, sent };
    }
    return hog.peer === peer ? undefined : hog.peer;
  }

  function forget(peer: PeerId): void {
    size -= seen.get(peer)?.size ?? 0;
    seen.delete(peer);
    shutOut.set(peer, highest + REQUEST_WINDOW_BLOCKS);
  }

  return {
    check({ from, nonce, issuedAt }, head) {
      prune(head);
      if (issuedAt < highest - REQUEST_WINDOW_BLOCKS) return 'REQUEST_OUT_OF_WINDOW';
      const own = seen.get(from);
      if (own?.has(toHex(nonce))) return 'REQUEST_REPLAYED';
      if (issuedAt <= (shutOut.get(from) ?? -1) || (own?.size ?? 0) >= limits.perPeer) return 'REQUEST_TOO_MANY';
      return size >= limits.total && hogBeside(from) === undefined ? 'REQUEST_TOO_MANY' : undefined;
    },
    add({ from, nonce, issuedAt }) {
      const hog = size >= limits.total ? hogBeside(from) : undefined;
      if (hog !== undefined) forget(hog);
      const own = seen.get(from) ?? new Map<string, BlockNumber>();
      seen.set(from, own.set(toHex(nonce), issuedAt));
      size += 1;
    },
    get size() {
      return size;
    },
  };
}
