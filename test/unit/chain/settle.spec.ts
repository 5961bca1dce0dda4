import assert from 'node:assert/strict';
import fc from 'fast-check';
import { attestorFactor } from '../../../src/chain/twin/calls.ts';
import { payNodes, subnetsEmission } from '../../../src/chain/twin/settle.ts';
import type { TwinSubmission } from '../../../src/chain/twin/state.ts';
import { type BlockNumber, type NodeId, ONE } from '../../../src/types/ids.ts';

/** N of chain.md 5.6. */
const PART = 210_942_809_222_495_720n;
const id = (n: number) => n as NodeId;

/** Node id -> [score, reward factor of its vote, if it voted]. */
function submission(proposerFactor: bigint, votes: readonly (readonly [bigint, bigint?])[]): TwinSubmission {
  const validators = votes.map((_, i) => id(i + 1));
  return {
    proposer: id(1),
    block: 0 as BlockNumber,
    proposerFactor,
    scores: votes.flatMap(([score], i) => (score > 0n ? [{ nodeId: id(i + 1), score }] : [])),
    args: new Uint8Array(),
    attests: votes.flatMap(([, factor], i) =>
      factor === undefined
        ? []
        : [{ nodeId: id(i + 1), block: 0 as BlockNumber, rewardFactor: factor, data: new Uint8Array() }],
    ),
    validators,
    nodes: [],
  };
}

describe('settlement: the worked examples of chain.md 5.6, to the planck', () => {
  it('emission of an epoch with five validators', () => {
    assert.equal(subnetsEmission(5, 20), 304_390_778_098_839_422n);
  });

  it('example 1: unanimous', () => {
    const f = attestorFactor((2n * ONE) / 18n);
    assert.equal(f, 999_999_999_807_845_877n);
    const fifth = ONE / 5n;
    const votes = [[fifth, ONE] as const, ...Array.from({ length: 4 }, () => [fifth, f] as const)];
    const pay = payNodes(PART, submission(ONE, votes));
    assert.equal(pay.get(id(1)), 37_969_705_660_049_229n + 21_094_280_922_249_572n);
    for (const other of [2, 3, 4, 5]) assert.equal(pay.get(id(other)), 37_969_705_652_753_193n);
  });

  it('example 2: late, silent, left out', () => {
    const votes = [
      [ONE / 10n, ONE],
      [ONE / 5n, attestorFactor(ONE / 10n)],
      [(3n * ONE) / 10n, attestorFactor((9n * ONE) / 10n)],
      [(4n * ONE) / 10n],
      [0n, attestorFactor((2n * ONE) / 10n)],
    ] as const;
    const pay = payNodes(PART, submission(ONE / 2n, votes));
    assert.equal(votes[1][1], 999_999_999_933_000_000n);
    assert.equal(votes[2][1], 766_385_445_133_000_000n);
    assert.equal(pay.get(id(1)), 18_984_852_830_024_614n + 10_547_140_461_124_786n);
    assert.equal(pay.get(id(2)), 37_969_705_657_505_258n);
    assert.equal(pay.get(id(3)), 43_649_144_660_768_727n);
    assert.equal(pay.get(id(4)), 25_060_005_735_632_491n);
    assert.equal(pay.get(id(5)), undefined);
  });

  it('never pays more than the part, and earlier votes never less than later ones', () => {
    const share = fc.bigInt(0n, ONE);
    fc.assert(
      fc.property(fc.array(share, { minLength: 1, maxLength: 9 }), share, share, (scores, y, z) => {
        const pay = payNodes(
          PART,
          submission(
            ONE,
            scores.map((score) => [score, attestorFactor(y)] as const),
          ),
        );
        assert.ok([...pay.values()].reduce((sum, amount) => sum + amount, 0n) <= PART);
        const [early, late] = y < z ? [y, z] : [z, y];
        assert.ok(attestorFactor(early) >= attestorFactor(late));
        assert.ok(attestorFactor(late) >= attestorFactor(ONE));
      }),
      { seed: 7 },
    );
  });
});
