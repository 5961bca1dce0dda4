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
  readonly addresses: readonly string[];
  /** Per mille of capacity in use. */
  readonly load: number;
  readonly rowsPerSecond: number;
  readonly version: string;
  readonly block: BlockNumber;
  readonly expires: BlockNumber;
}

export type RecordBody = HosterCommit | Reveal | ScoreCommit | PromptRecord | Announce;
export type RecordKind = RecordBody['kind'];
/** Kinds of which a node signs one per epoch; announcements are renewed. */
export type EpochKind = Exclude<RecordKind, 'an'>;

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
