import assert from 'node:assert/strict';
import fc from 'fast-check';
import { dutyPeriod, epochAt, lastBlockOf } from '../../../src/chain/clock.ts';
import type { BlockNumber, Epoch } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';

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

  it('gives a duty the longest era that ends with its epoch, none when too few blocks are left', () => {
    const cases = [
      [3, 16],
      [7, 16],
      [8, 8],
      [15, 8],
      [16, 4],
      [19, 4],
    ] as const;
    const period = (epoch: number, head: number) => dutyPeriod('attest', epoch as Epoch, head as BlockNumber, 3, 20);
    for (const [head, blocks] of cases) assert.equal(period(0, head), blocks, `block ${head}`);
    const isWrong = (error: unknown) => errorCode(error) === 'WRONG_EPOCH';
    for (const head of [20, 21, 22]) assert.throws(() => period(0, head), isWrong);
    for (const epoch of [0, 2]) assert.throws(() => period(epoch, 30), isWrong);
  });

  it('never lets a duty live into the next epoch', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.integer({ min: 10, max: 300 }), (head, length) => {
        const epoch = epochAt(head, 3, length);
        const left = lastBlockOf(epoch, 3, length) - head;
        if (left < 3) return;
        const period = dutyPeriod('attest', epoch, head as BlockNumber, 3, length);
        assert.ok(period - 1 <= left && period <= 64 && period >= 4);
      }),
      { seed: 5 },
    );
  });
});
