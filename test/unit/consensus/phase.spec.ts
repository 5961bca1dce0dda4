import assert from 'node:assert/strict';
import fc from 'fast-check';
import { firstBlock, phaseAt, windowOf, windowsOf } from '../../../src/consensus/phase.ts';
import type { BlockNumber, Epoch } from '../../../src/types/ids.ts';

describe('clock', () => {
  it('cuts every epoch length from 10 on into windows in order, three blocks for reveals', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 20_000 }), (length) => {
        const { commit, reveal, score } = windowsOf(length);
        assert.ok(0 < commit && commit < reveal && reveal + 3 <= score && score < length);
      }),
    );
  });

  it('agrees with itself: a block stands at its offset behind the first of its epoch, inside one window at most of a kind', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 1 << 30 }),
        fc.integer({ min: 3, max: 9 }),
        fc.integer({ min: 10, max: 400 }),
        (b, slot, epochLength) => {
          const clock = { slot, epochLength };
          const moment = phaseAt(b as BlockNumber, clock);
          if (moment === undefined) return assert.ok(b < slot);
          assert.equal(firstBlock(moment.epoch, clock) + moment.offset, b);
          const { opens, closes } = windowOf('hc', moment.epoch, clock);
          assert.equal(b >= opens && b < closes, moment.phase === 'commit');
        },
      ),
    );
  });

  it('puts the reveal of scores into the next epoch', () => {
    const clock = { slot: 3, epochLength: 20 };
    assert.deepEqual(windowOf('sr', 7 as Epoch, clock), { opens: 173, closes: 176 });
    assert.deepEqual(windowOf('sc', 7 as Epoch, clock), { opens: 156, closes: 163 });
    assert.deepEqual(windowOf('hr', 7 as Epoch, clock), { opens: 153, closes: 156 });
    assert.deepEqual(windowOf('pr', 7 as Epoch, clock), { opens: 143, closes: 163 });
  });
});
