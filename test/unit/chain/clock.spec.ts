import assert from 'node:assert/strict';
import fc from 'fast-check';
import { epochAt, lastBlockOf } from '../../../src/chain/clock.ts';
import { largestPeriod } from '../../../src/chain/substrate/submit.ts';

describe('clock', () => {
  it('counts subnet epochs from the slot', () => {
    const cases = [
      [0, 0],
      [2, 0],
      [3, 0],
      [22, 0],
      [23, 1],
      [42, 1],
      [43, 2],
    ] as const;
    for (const [block, epoch] of cases) assert.equal(epochAt(block, 3, 20), epoch, `block ${block}`);
  });

  it('ends an epoch where the next one begins', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.integer({ min: 5, max: 200 }), fc.nat(4), (block, length, slot) => {
        const epoch = epochAt(block, slot, length);
        const last = lastBlockOf(epoch, slot, length);
        assert.ok(last >= block);
        assert.equal(epochAt(last, slot, length), epoch);
        assert.equal(epochAt(last + 1, slot, length), epoch + 1);
      }),
      { seed: 3 },
    );
  });

  it('gives a transaction the longest era that fits, none below 4 blocks', () => {
    const cases = [
      [3, 0],
      [4, 4],
      [7, 4],
      [8, 8],
      [63, 32],
      [64, 64],
    ] as const;
    for (const [blocks, period] of cases) assert.equal(largestPeriod(blocks), period);
  });
});
