import assert from 'node:assert/strict';
import type { Chain, EpochResult, Head } from '../../../src/chain/types.ts';
import { settledEpochs } from '../../../src/devnet/settled.ts';
import type { Epoch, NodeId, SubnetId } from '../../../src/types/ids.ts';

const CLOCK = { subnet: 128_001 as SubnetId, slot: 3, epochLength: 20, first: 1 as Epoch };

/** A chain whose epochs ended like this, at these heads. */
function chainOf(heads: readonly number[], outcomes: Readonly<Record<number, EpochResult['outcome']>>): Chain {
  const chain: Partial<Chain> = {
    async *heads() {
      for (const number of heads) yield { number } as Head;
    },
    electedValidator: async () => 7 as NodeId,
    submission: async () => undefined,
    result: async (_subnet, epoch) => {
      const outcome = outcomes[epoch];
      return outcome === undefined ? undefined : ({ outcome } as EpochResult);
    },
  };
  return chain as Chain;
}

async function settledOf(heads: readonly number[], outcomes: Readonly<Record<number, EpochResult['outcome']>>) {
  const settled: string[] = [];
  for await (const { epoch, outcome } of settledEpochs(CLOCK, chainOf(heads, outcomes), new AbortController().signal))
    settled.push(`${epoch} ${outcome}`);
  return settled;
}

describe('devnet: settled epochs', () => {
  it('come once each, in order, in the first block of the next epoch', async () => {
    assert.deepEqual(await settledOf([22, 23, 42], { 1: 'Accepted' }), []);
    assert.deepEqual(await settledOf([42, 43, 44, 63], { 1: 'Accepted', 2: 'Absent' }), ['1 Accepted', '2 Absent']);
  });

  it('are caught up with when heads are missed', async () => {
    assert.deepEqual(await settledOf([90], { 1: 'Accepted', 2: 'Rejected', 3: 'Accepted' }), [
      '1 Accepted',
      '2 Rejected',
      '3 Accepted',
    ]);
  });

  it('the empty first submission and what is still open are left out', async () => {
    assert.deepEqual(await settledOf([83], { 1: 'Empty', 3: 'Accepted' }), ['3 Accepted']);
  });
});
