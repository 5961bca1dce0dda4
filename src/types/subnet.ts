// A subnet as its members see it: classes, nodes, the policy that its owner wrote on chain (protocol.md 1, chain.md 3.1).

import type { Address, Epoch, NodeId, PeerId } from './ids.ts';
import type { ManifestHash } from './model.ts';

export type NodeClass = 'Registered' | 'Idle' | 'Included' | 'Validator';

const LADDER: readonly NodeClass[] = ['Registered', 'Idle', 'Included', 'Validator'];

/** The place of a class on the ladder: 0 Registered ... 3 Validator. */
export function classRank(nodeClass: NodeClass): number {
  return LADDER.indexOf(nodeClass);
}

/** One seat of roster(e): what the rules need to know of a node (protocol.md 1). */
export interface RosterNode {
  readonly id: NodeId;
  readonly peer: PeerId;
  readonly hotkey: Address;
  readonly nodeClass: NodeClass;
  readonly startEpoch: Epoch;
}

/** roster(e): nodes of class >= Included with startEpoch <= e after block h(e) has run, ascending by id; bitmaps index it. */
export interface Roster {
  readonly epoch: Epoch;
  readonly nodes: readonly RosterNode[];
  /** Ids in the chain's election set after block h(e) has run. */
  readonly validators: readonly NodeId[];
  /** Whether the chain elected a validator for this epoch (a live epoch). */
  readonly live: boolean;
}

/** Who may ask for inference. */
export type Access = 'open' | 'registered' | 'private';

/** The subnet's parameters, canonical CBOR in the chain's `misc` field. */
export interface Policy {
  readonly manifest: ManifestHash;
  readonly cut: string;
  /** Fractions of ONE. */
  readonly hosterShare: bigint;
  readonly attestorShare: bigint;
  /** Positions per shard in a challenge. */
  readonly challengeTokens: number;
  readonly auditRate: bigint;
  readonly access: Access;
}
