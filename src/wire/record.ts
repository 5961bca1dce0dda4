// Records as bytes (protocol.md 4): CBOR [body, signature], the id of a body, what is signed. Sizes and shapes are checked here and only here.
// A decoded record is NOT yet trusted: its signature needs the peer id that the roster gives for its node.

import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../types/ids.ts';
import {
  type Announce,
  type Audit,
  type HosterCommit,
  type PromptRecord,
  type RecordBody,
  type RecordKind,
  type Reveal,
  type ScoreCommit,
  SHORT_ID_BYTES,
  type SignedRecord,
  WITNESSED,
  type Witness,
} from '../types/record.ts';
import { bitsOf } from '../util/bitmap.ts';
import { concatBytes } from '../util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import { bytes, exactly, type Field, list, parsing, readMap, refuse, text, tuple, U16, U32, uint } from './fields.ts';

/** The largest honest record is a reveal of 24 sketches (12.5 KB); a witness over 256 seats has 16.7 KB (protocol.md 14). */
export const MAX_RECORD_BYTES = 24 * 1024;
/** A node that listens on more addresses names the best ones. */
const MAX_ADDRESSES = 16;
const MAX_ADDRESS_CHARS = 256;
/** As many as a cut has shards at most; equals the number of seats, which no cut exceeds. */
const MAX_ANNOUNCED_SHARDS = 256;
const MAX_VERSION_CHARS = 64;
/** Blocks after which an announcement is worthless (protocol.md 4). */
export const ANNOUNCE_LIFE_BLOCKS = 15;
const HASH_BYTES = 32;
const MAX_SEATS = 256;
/** Findings in one audit (protocol.md 4). */
const MAX_VERDICTS = 64;
const SIGNATURE_BYTES = 64;

/** Why bytes are no record. */
export type RecordFault = 'RECORD_MALFORMED' | 'RECORD_TOO_LARGE';

export type DecodedRecord =
  | { readonly ok: true; readonly record: SignedRecord }
  | { readonly ok: false; readonly code: RecordFault };

/** Canonical CBOR of a body. */
export function encodeBody(body: RecordBody): Uint8Array {
  return encodeCbor({
    v: 1,
    t: body.kind,
    g: body.genesis,
    s: body.subnet,
    e: body.epoch,
    n: body.node,
    ...ownFields(body),
  });
}

/** SHA-256(tag("tessera/record-id/1") || body), 32 bytes. */
export function recordId(bodyBytes: Uint8Array): Uint8Array {
  return sha256(tag('tessera/record-id/1'), bodyBytes);
}

/** What the peer key signs: tag("tessera/record/1") || body. */
export function signedMessage(bodyBytes: Uint8Array): Uint8Array {
  return concatBytes(tag('tessera/record/1'), bodyBytes);
}

/** Encodes and signs; whoever calls this for anything but an announcement has asked the journal first (protocol.md 4). */
export function signRecord<Body extends RecordBody>(
  body: Body,
  identity: { sign(message: Uint8Array): Uint8Array },
): SignedRecord<Body> {
  const bodyBytes = encodeBody(body);
  const signature = identity.sign(signedMessage(bodyBytes));
  return { body, bodyBytes, signature, bytes: encodeCbor([bodyBytes, signature]), id: recordId(bodyBytes) };
}

/** The record in `bytes`, or why there is none. Never throws. */
export function decodeRecord(input: Uint8Array): DecodedRecord {
  if (input.length > MAX_RECORD_BYTES) return { ok: false, code: 'RECORD_TOO_LARGE' };
  const read = parsing(() => readRecord(input));
  return read.ok ? { ok: true, record: read.value } : { ok: false, code: 'RECORD_MALFORMED' };
}

const RECORD = tuple(bytes(0, MAX_RECORD_BYTES), bytes(SIGNATURE_BYTES));

function readRecord(input: Uint8Array): SignedRecord {
  const [bodyBytes, signature] = RECORD(decodeCbor(input));
  return { body: readBody(decodeCbor(bodyBytes)), bodyBytes, signature, bytes: input, id: recordId(bodyBytes) };
}

const hash = bytes(HASH_BYTES);
const HEAD = {
  v: exactly(1),
  g: hash,
  s: uint(U32) as Field<SubnetId>,
  e: uint(U32) as Field<Epoch>,
  n: uint(U32) as Field<NodeId>,
};
type Head = { v: number; g: Uint8Array; s: SubnetId; e: Epoch; n: NodeId };

const READERS: { readonly [K in RecordKind]: (value: Cbor) => RecordBody } = {
  hc: readHosterCommit,
  hr: (value) => readReveal('hr', value),
  sc: readScoreCommit,
  sr: (value) => readReveal('sr', value),
  wa: (value) => readWitness('wa', value),
  wb: (value) => readWitness('wb', value),
  au: readAudit,
  pr: readPrompt,
  an: readAnnounce,
};

function readBody(value: Cbor): RecordBody {
  const kind = typeof value === 'object' && 't' in value ? value.t : undefined;
  if (typeof kind !== 'string' || !Object.hasOwn(READERS, kind)) return refuse('unknown kind');
  return READERS[kind as RecordKind](value);
}

function readHosterCommit(value: Cbor): HosterCommit {
  const map = readMap(value, { ...HEAD, t: exactly('hc'), c: hash, m: hash, a: exactly(0, 1) });
  return { kind: 'hc', ...head(map), commitment: map.c, manifest: map.m, audits: map.a === 1 };
}

function readReveal(kind: 'hr' | 'sr', value: Cbor): Reveal {
  const map = readMap(value, { ...HEAD, t: exactly(kind), z: hash, p: bytes(0, MAX_RECORD_BYTES) });
  return { kind, ...head(map), salt: map.z, payload: map.p };
}

function readScoreCommit(value: Cbor): ScoreCommit {
  const map = readMap(value, { ...HEAD, t: exactly('sc'), c: hash });
  return { kind: 'sc', ...head(map), commitment: map.c };
}

const LIST = tuple(bytes(0, MAX_SEATS / 8), bytes(0, MAX_SEATS * SHORT_ID_BYTES));

/** Whether the bitmaps are over the roster is for whoever knows it (consensus/witness.ts). */
function readWitness(kind: Witness['kind'], value: Cbor): Witness {
  const kinds = WITNESSED[kind].length;
  const map = readMap(value, { ...HEAD, t: exactly(kind), h: list(LIST, kinds, kinds) });
  const isWhole = map.h.every(([seats, ids]) => ids.length === bitsOf(seats).length * SHORT_ID_BYTES);
  if (!isWhole) return refuse('a list with more or fewer ids than seats');
  return { kind, ...head(map), held: map.h.map(([seats, ids]) => ({ seats, ids })) };
}

const VERDICT = tuple(uint(U32) as Field<NodeId>, uint(U16) as Field<ShardIndex>, hash, exactly(0, 1));

function readAudit(value: Cbor): Audit {
  const map = readMap(value, { ...HEAD, t: exactly('au'), q: list(VERDICT, MAX_VERDICTS) });
  const verdicts = map.q.map(([accused, shard, segment, bad]) => ({ accused, shard, segment, bad: bad === 1 }));
  return { kind: 'au', ...head(map), verdicts };
}

function readPrompt(value: Cbor): PromptRecord {
  const map = readMap(value, { ...HEAD, t: exactly('pr'), x: hash, d: hash });
  return { kind: 'pr', ...head(map), seed: map.x, digest: map.d };
}

function readAnnounce(value: Cbor): Announce {
  const comes = typeof value === 'object' && 'c' in value;
  const map = readMap(value, {
    ...HEAD,
    t: exactly('an'),
    k: list(uint(U16) as Field<ShardIndex>, MAX_ANNOUNCED_SHARDS),
    ...(comes ? { c: list(uint(U16) as Field<ShardIndex>, MAX_ANNOUNCED_SHARDS, 1) } : {}),
    a: list(text(MAX_ADDRESS_CHARS), MAX_ADDRESSES),
    l: uint(1000),
    r: uint(U32),
    f: uint(U32),
    m: uint(U32),
    w: text(MAX_VERSION_CHARS),
    b: uint(U32) as Field<BlockNumber>,
    x: uint(U32) as Field<BlockNumber>,
  });
  const coming = map.c ?? [];
  if (!isAscending(map.k) || !isAscending(coming)) return refuse('shards not ascending');
  if (map.x <= map.b || map.x - map.b > ANNOUNCE_LIFE_BLOCKS) return refuse('expires too late or before it begins');
  return {
    kind: 'an',
    ...head(map),
    shards: map.k,
    ...(coming.length === 0 ? {} : { coming }),
    addresses: map.a,
    load: map.l,
    rowsPerSecond: map.r,
    freePositions: map.f,
    memoryMiB: map.m,
    version: map.w,
    block: map.b,
    expires: map.x,
  };
}

function isAscending(shards: readonly ShardIndex[]): boolean {
  return shards.every((shard, i) => i === 0 || shard > (shards[i - 1] ?? 0));
}

function head(map: Head): { genesis: Uint8Array; subnet: SubnetId; epoch: Epoch; node: NodeId } {
  return { genesis: map.g, subnet: map.s, epoch: map.e, node: map.n };
}

function ownFields(body: RecordBody): { readonly [key: string]: Cbor } {
  switch (body.kind) {
    case 'hc':
      return { c: body.commitment, m: body.manifest, a: body.audits ? 1 : 0 };
    case 'hr':
    case 'sr':
      return { z: body.salt, p: body.payload };
    case 'sc':
      return { c: body.commitment };
    case 'wa':
    case 'wb':
      return { h: body.held.map(({ seats, ids }) => [seats, ids]) };
    case 'au':
      return { q: body.verdicts.map(({ accused, shard, segment, bad }) => [accused, shard, segment, bad ? 1 : 0]) };
    case 'pr':
      return { x: body.seed, d: body.digest };
    case 'an':
      return {
        k: body.shards,
        ...(body.coming === undefined ? {} : { c: body.coming }),
        a: body.addresses,
        l: body.load,
        r: body.rowsPerSecond,
        f: body.freePositions,
        m: body.memoryMiB,
        w: body.version,
        b: body.block,
        x: body.expires,
      };
  }
}
