// Watches the chain for settled epochs of a subnet and tells each once, in order, as chain storage has it.

import type { Chain, Head } from '../chain/types.ts';
import { phaseAt } from '../consensus/phase.ts';
import { readScoredEpoch, type ScoredEpoch } from '../node/epochs.ts';
import type { Epoch, SubnetId } from '../types/ids.ts';

/**
 * Yields every settled epoch from `first` on, until the signal aborts. The empty first submission of a new subnet is left out:
 * there was nothing to score yet.
 */
export async function* settledEpochs(
  options: { readonly subnet: SubnetId; readonly slot: number; readonly epochLength: number; readonly first: Epoch },
  chain: Chain,
  signal: AbortSignal,
): AsyncGenerator<ScoredEpoch> {
  let next = options.first;
  for await (const head of chain.heads('best', signal)) {
    // Epoch e is settled in the first block of e + 1.
    for (const now = epochAt(head, options); next < now; next = (next + 1) as Epoch) {
      const settled = await readScoredEpoch(chain, options.subnet, next, signal);
      if (settled !== undefined && settled.outcome !== 'Empty' && settled.outcome !== 'Open') yield settled;
    }
  }
}

function epochAt(head: Head, clock: { readonly slot: number; readonly epochLength: number }): number {
  return phaseAt(head.number, clock)?.epoch ?? 0;
}
