// Commit and reveal (protocol.md 6): what is promised, and whether what was opened is what was promised. A payload that does not parse
// is as if absent: it comes from a stranger.

import { type Epoch, type NodeId, ONE, type PeerId, type ShardIndex, type SubnetId } from '../types/ids.ts';
import { peerToBytes } from '../types/peer-id.ts';
import { concatBytes, equalBytes, u8, u16le, u32le } from '../util/bytes.ts';
import { type Cbor, CborError, decodeCbor, encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import { SKETCH_BYTES } from './sketch.ts';

/** A reveal names at most this many shards, so that it fits a record (protocol.md 14). */
export const MAX_REVEALED_SHARDS = 24;
/** Seats of a roster. */
const MAX_SCORES = 256;
export const SALT_BYTES = 32;

/** Everything a commitment binds, so that a copied one opens for nobody else. */
export interface Binding {
  readonly what: 'hoster' | 'score';
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  readonly epoch: Epoch;
  readonly node: NodeId;
  readonly peer: PeerId;
  /** 32 bytes. */
  readonly manifest: Uint8Array;
  /** Only a hoster's commitment can be an auditor's. */
  readonly audits: boolean;
}

/** The private half of a commitment; journaled before the commitment is sent. */
export interface Opening {
  readonly salt: Uint8Array;
  readonly payload: Uint8Array;
}

export interface ShardSketch {
  readonly shard: ShardIndex;
  /** 512 bytes. */
  readonly sketch: Uint8Array;
}

export interface NodeScore {
  readonly nodeId: NodeId;
  /** At most ONE. */
  readonly score: bigint;
}

/** 32 bytes. */
export function commitmentOf(binding: Binding, opening: Opening): Uint8Array {
  const peer = peerToBytes(binding.peer);
  return sha256(
    tag(`tessera/${binding.what}-commit/1`),
    binding.genesis,
    u32le(binding.subnet),
    u32le(binding.epoch),
    u32le(binding.node),
    u8(peer.length),
    peer,
    binding.manifest,
    u8(binding.audits ? 1 : 0),
    opening.salt,
    opening.payload,
  );
}

/** False is REVEAL_MISMATCH: the node scores 0 for the epoch. */
export function opens(commitment: Uint8Array, binding: Binding, opening: Opening): boolean {
  return equalBytes(commitment, commitmentOf(binding, opening));
}

export function encodeHosterPayload(sketches: readonly ShardSketch[]): Uint8Array {
  return encodeCbor(sketches.map(({ shard, sketch }) => [shard, sketch]));
}

/** Sketches with strictly ascending shards, or undefined. */
export function decodeHosterPayload(payload: Uint8Array): readonly ShardSketch[] | undefined {
  const pairs = readPairs(payload, MAX_REVEALED_SHARDS);
  return pairs?.every(
    ([shard, sketch]) => shard <= 0xffff && sketch instanceof Uint8Array && sketch.length === SKETCH_BYTES,
  )
    ? pairs.map(([shard, sketch]) => ({ shard: shard as ShardIndex, sketch: sketch as Uint8Array }))
    : undefined;
}

export function encodeScorePayload(scores: readonly NodeScore[]): Uint8Array {
  return encodeCbor(scores.map(({ nodeId, score }) => [nodeId, score]));
}

/** Scores with strictly ascending node ids and values up to ONE, or undefined. Whether the ids are of the roster is score()'s question. */
export function decodeScorePayload(payload: Uint8Array): readonly NodeScore[] | undefined {
  const pairs = readPairs(payload, MAX_SCORES);
  return pairs?.every(([, score]) => (typeof score === 'number' || typeof score === 'bigint') && score <= ONE)
    ? pairs.map(([node, score]) => ({ nodeId: node as NodeId, score: BigInt(score as number | bigint) }))
    : undefined;
}

/**
 * The shards to name when a hoster serves more than a reveal holds: those with the smallest lot, in ascending order (protocol.md 14).
 */
export function shardsToName(seed: Uint8Array, node: NodeId, shards: readonly ShardIndex[]): readonly ShardIndex[] {
  const lot = (shard: ShardIndex): Uint8Array => sha256(tag('tessera/shards/1'), seed, u16le(shard), u32le(node));
  return [...new Set(shards)]
    .map((shard) => ({ shard, lot: lot(shard) }))
    .sort((a, b) => Buffer.compare(a.lot, b.lot))
    .slice(0, MAX_REVEALED_SHARDS)
    .map(({ shard }) => shard)
    .sort((a, b) => a - b);
}

/** An opening as one byte string for the journal. */
export function encodeOpening(opening: Opening): Uint8Array {
  return concatBytes(opening.salt, opening.payload);
}

/** `bytes` came from the own journal. */
export function decodeOpening(bytes: Uint8Array): Opening {
  return { salt: bytes.slice(0, SALT_BYTES), payload: bytes.slice(SALT_BYTES) };
}

/** [[u32, value], ...] with strictly ascending first members, or undefined. */
function readPairs(payload: Uint8Array, max: number): readonly (readonly [number, Cbor])[] | undefined {
  const value = tryDecode(payload);
  if (!Array.isArray(value) || value.length > max) return undefined;
  const pairs: (readonly [number, Cbor])[] = [];
  for (const item of value) {
    if (!Array.isArray(item) || item.length !== 2) return undefined;
    const key: Cbor = item[0];
    if (typeof key !== 'number' || key > 0xffff_ffff || key <= (pairs.at(-1)?.[0] ?? -1)) return undefined;
    pairs.push([key, item[1]]);
  }
  return pairs;
}

function tryDecode(payload: Uint8Array): Cbor | undefined {
  try {
    return decodeCbor(payload);
  } catch (error) {
    if (error instanceof CborError) return undefined;
    throw error;
  }
}
