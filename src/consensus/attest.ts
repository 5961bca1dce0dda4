// Is a proposal what the evidence says (protocol.md 9)? The answer is "attest" or the code of the abstention; nobody votes no.

import type { Epoch, NodeId } from '../types/ids.ts';
import { classRank, type NodeClass } from '../types/subnet.ts';
import type { NodeScore } from './commitment.ts';

/** Why a validator does not attest; tried again at each block until the epoch ends. */
export type AbstainCode =
  | 'PROPOSAL_FEW_WITNESSES'
  | 'PROPOSAL_MISSING_RECORD'
  | 'PROPOSAL_OMITS'
  | 'PROPOSAL_ROOT_MISMATCH'
  | 'PROPOSAL_SCORES_DIFFER'
  | 'PROPOSAL_UNREADABLE'
  | 'ROSTER_UNAVAILABLE';

/** What stands on chain. */
export interface ProposedScores {
  /** The submission's epoch: e+1 for scores of e. */
  readonly epoch: Epoch;
  readonly scores: readonly NodeScore[];
  /** Nodes in the state in which the proposal ran: the chain dropped pairs of all others. */
  readonly nodes: readonly { readonly id: NodeId; readonly nodeClass: NodeClass; readonly startEpoch: Epoch }[];
}

/** The pairs that the chain keeps of a result: class >= Included and started (chain.md 4.4). */
export function keptByChain(result: readonly NodeScore[], proposed: ProposedScores): readonly NodeScore[] {
  const included = classRank('Included');
  const scorable = new Set(
    proposed.nodes.filter((n) => classRank(n.nodeClass) >= included && n.startEpoch <= proposed.epoch).map((n) => n.id),
  );
  return result.filter(({ nodeId }) => scorable.has(nodeId));
}

/** Compared as sets: byte equality would fail whenever a node leaves between two blocks. */
export function scoresAgree(proposed: ProposedScores, recomputed: readonly NodeScore[]): boolean {
  const expected = new Map(keptByChain(recomputed, proposed).map(({ nodeId, score }) => [nodeId, score]));
  const found = proposed.scores.filter(({ score }) => score > 0n);
  return found.length === expected.size && found.every(({ nodeId, score }) => expected.get(nodeId) === score);
}
