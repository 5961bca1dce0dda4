// Signed records: what nodes tell each other about an epoch (protocol.md 4). Bytes <-> data is wire/record.ts; what counts is consensus/.

import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from './ids.ts';

/** Fields that every body has. */
interface RecordHead {
  /** Genesis hash, 32 bytes. */
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  readonly epoch: Epoch;
  readonly node: NodeId;
}

export interface HosterCommit extends RecordHead {
  readonly kind: 'hc';
  readonly commitment: Uint8Array;
  readonly manifest: Uint8Array;
  /** True when the node only audits. */
  readonly audits: boolean;
}

/** Opens `hc`, respectively `sc` of the epoch named by `epoch`. */
export interface Reveal extends RecordHead {
  readonly kind: 'hr' | 'sr';
  readonly salt: Uint8Array;
  readonly payload: Uint8Array;
}

export interface ScoreCommit extends RecordHead {
  readonly kind: 'sc';
  readonly commitment: Uint8Array;
}

/** Enough of an id to tell two records of one node apart. */
export const SHORT_ID_BYTES = 16;

/** What a node held in time of one kind. */
export interface WitnessList {
  /** Bitmap over the roster of the witness's epoch. */
  readonly seats: Uint8Array;
  /** The first SHORT_ID_BYTES of each record's id, in the order of the seats. */
  readonly ids: Uint8Array;
}

/** What a node held when its list of `hc` (wa), respectively `hr` (wb), closed. */
export interface Witness extends RecordHead {
  readonly kind: 'wa' | 'wb';
  /** One per kind of WITNESSED, in that order. */
  readonly held: readonly WitnessList[];
}

/** What a witness lists; `sc`, `sr`, `wb` in `wa` and `au` are those of the epoch before. */
export const WITNESSED = { wa: ['hc', 'sc', 'wb', 'au'], wb: ['hr', 'sr', 'wa'] } as const;

/** One finding of an audit (protocol.md 13). */
export interface AuditVerdict {
  readonly accused: NodeId;
  readonly shard: ShardIndex;
  /** Hash of receipt and segment, 32 bytes. */
  readonly segment: Uint8Array;
  readonly bad: boolean;
}

export interface Audit extends RecordHead {
  readonly kind: 'au';
  readonly verdicts: readonly AuditVerdict[];
}

/** The epoch's challenge for readers without a chain client; nothing depends on it. */
export interface PromptRecord extends RecordHead {
  readonly kind: 'pr';
  readonly seed: Uint8Array;
  readonly digest: Uint8Array;
}

/** A hoster's offer, renewed every few blocks; the one with the highest block counts. */
export interface Announce extends RecordHead {
  readonly kind: 'an';
  readonly shards: readonly ShardIndex[];
  /** Shards that it is about to serve; absent when there are none. */
  readonly coming?: readonly ShardIndex[];
  readonly addresses: readonly string[];
  /** Per mille of the time in which it worked lately. */
  readonly load: number;
  /** Rows of one session per second through one shard, while nobody else asked; 0 until it is known. */
  readonly rowsPerSecond: number;
  /** Free cache, in positions of one shard. */
  readonly freePositions: number;
  /** What it gives to weights and caches, MiB; 0 when its shards do not follow from that. */
  readonly memoryMiB: number;
  readonly version: string;
  readonly block: BlockNumber;
  readonly expires: BlockNumber;
}

export type RecordBody = HosterCommit | Reveal | ScoreCommit | Witness | Audit | PromptRecord | Announce;
export type RecordKind = RecordBody['kind'];
/** Kinds of which a node signs one per epoch; announcements are renewed. */
export type EpochKind = Exclude<RecordKind, 'an'>;
export const EPOCH_KINDS = ['pr', 'hc', 'hr', 'sc', 'sr', 'wa', 'wb', 'au'] as const satisfies readonly EpochKind[];

/** A decoded record. Its signature has NOT been checked by the decoder: that needs the roster. */
export interface SignedRecord<Body extends RecordBody = RecordBody> {
  readonly body: Body;
  /** The exact bytes that are signed, and the whole record as it travels. */
  readonly bodyBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly bytes: Uint8Array;
  /** SHA-256(tag("tessera/record-id/1") || body), 32 bytes. */
  readonly id: Uint8Array;
}
