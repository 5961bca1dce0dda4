// Hypertensor's runtime docks every node that a proposal does not name, also those that the proposal cannot judge.

import type { Proposal, SubnetNode } from './types.ts';

/**
 * The proposal with a score of 0 for whom it cannot judge: who started after the epoch that it judges (the one before its own), and everybody
 * where there is nothing to judge. Who took part and earned nothing stays unnamed. Scores of 0 are no scores to those who recompute them.
 */
export function nameUnjudged(proposal: Proposal, nodes: readonly Pick<SubnetNode, 'id' | 'startEpoch'>[]): Proposal {
  const { epoch, scores } = proposal;
  const named = new Set(scores.map(({ nodeId }) => nodeId));
  const unjudged = nodes.filter(({ id, startEpoch }) => !named.has(id) && (named.size === 0 || startEpoch >= epoch));
  const all = [...scores, ...unjudged.map(({ id }) => ({ nodeId: id, score: 0n }))];
  return { ...proposal, scores: all.sort((one, other) => one.nodeId - other.nodeId) };
}
