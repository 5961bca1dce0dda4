// Scores as people see them: what the chain holds of one submission, and how it ended.

import type { Chain, EpochResult } from '../chain/types.ts';
import type { Epoch, SubnetId } from '../types/ids.ts';

/** `epoch` is the submission's subnet epoch, `scored` the epoch that was judged. 'Open' is not settled yet. */
export interface ScoredEpoch {
  readonly epoch: number;
  readonly scored: number;
  readonly outcome: EpochResult['outcome'] | 'Open';
  readonly proposer: number;
  readonly attestations: number;
  readonly validators: number;
  readonly scores: readonly { readonly node: number; readonly score: bigint }[];
}

/** Undefined when nobody was elected for that epoch. */
export async function readScoredEpoch(
  chain: Chain,
  subnet: SubnetId,
  epoch: Epoch,
  signal: AbortSignal,
): Promise<ScoredEpoch | undefined> {
  const [elected, submission, result] = await Promise.all([
    chain.electedValidator(subnet, epoch, undefined, signal),
    chain.submission(subnet, epoch, undefined, signal),
    chain.result(subnet, epoch, undefined, signal),
  ]);
  if (elected === undefined) return undefined;
  return {
    epoch,
    scored: epoch - 1,
    outcome: result?.outcome ?? 'Open',
    proposer: elected,
    attestations: submission?.attests.length ?? 0,
    validators: submission?.validators.length ?? 0,
    scores: (submission?.scores ?? []).map(({ nodeId, score }) => ({ node: nodeId, score })),
  };
}
