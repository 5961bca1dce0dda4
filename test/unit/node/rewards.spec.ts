// The reason of a reward, case by case; that paid and expected come from the chain as they are is shown in test/e2e/cli-owner.spec.ts.

import assert from 'node:assert/strict';
import type { Chain, EpochResult, Submission } from '../../../src/chain/types.ts';
import { type EpochFacts, explainRewards, type RewardReason, readEpochFacts } from '../../../src/node/rewards.ts';
import { type BlockNumber, type Epoch, type Hash, type NodeId, ONE, type SubnetId } from '../../../src/types/ids.ts';
import type { NodeClass } from '../../../src/types/subnet.ts';

const HASH = `0x${'00'.repeat(32)}` as Hash;
const id = (n: number) => n as NodeId;
const ACCEPTED: EpochResult = { outcome: 'Accepted', attestationRatio: ONE, minted: 100n, slashed: 0n };

function submission(change: Partial<Submission> = {}): Submission {
  const member = (n: number, nodeClass: NodeClass) => ({ id: id(n), nodeClass, startEpoch: 1 as Epoch });
  const vote = (n: number, rewardFactor: bigint) => ({
    nodeId: id(n),
    block: 1 as BlockNumber,
    rewardFactor,
    data: new Uint8Array(),
  });
  return {
    proposer: id(1),
    block: 1 as BlockNumber,
    args: new Uint8Array(),
    scores: [1, 2, 3, 5, 6, 7].map((n) => ({ nodeId: id(n), score: 100n })),
    attests: [vote(1, ONE), vote(2, ONE), vote(3, ONE / 2n)],
    validators: [1, 2, 3, 4, 6].map(id),
    nodes: [...[1, 2, 3, 4, 6, 7].map((n) => member(n, 'Validator')), member(5, 'Included'), member(8, 'Idle')],
    ...change,
  };
}

function facts(change: Partial<EpochFacts> = {}): EpochFacts {
  const paid = new Map([
    [id(1), 130n],
    [id(2), 90n],
    [id(3), 45n],
    [id(6), 30n],
  ]);
  return { epoch: 9 as Epoch, elected: id(1), submission: submission(), result: ACCEPTED, paid, ...change };
}

describe('rewards', () => {
  const nodes = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => ({ id: id(n) }));

  it('has a reason for each node of an accepted epoch', () => {
    assert.deepEqual(
      explainRewards(facts(), nodes).map(({ reason }) => reason),
      ['paid', 'paid', 'late-vote', 'not-scored', 'included', 'silent', 'not-a-voter', 'idle', 'not-in-epoch'],
    );
  });

  it('expects of each score what it would have earned with a vote in time', () => {
    const expected = explainRewards(facts(), nodes).map((reward) => [reward.paid, reward.expected]);
    assert.deepEqual(expected, [
      [130n, 90n],
      [90n, 90n],
      [45n, 90n],
      [0n, 0n],
      [0n, undefined],
      [30n, 90n],
      [0n, undefined],
      [0n, undefined],
      [0n, undefined],
    ]);
  });

  it('counts a bonus that the events do not tell as the pay of the proposer', async () => {
    const nodeRewards = [
      [1, 30n],
      [2, 31n],
    ];
    const reward = { pallet: 'Network', name: 'SubnetRewards', data: { subnetId: 7, nodeRewards } };
    const chainWith = (result: EpochResult) =>
      ({
        electedValidator: async () => id(1),
        submission: async () => submission(),
        result: async () => result,
        blockHash: async (block: number) => (block === 203 ? HASH : undefined),
        events: async () => [reward],
      }) as unknown as Chain;
    const paid = async (result: EpochResult) => {
      const clock = { slot: 3, epochLength: 20 };
      const { signal } = new AbortController();
      return (await readEpochFacts(chainWith(result), 7 as SubnetId, 9 as Epoch, clock, signal)).paid;
    };
    const told = [
      [id(1), 30n],
      [id(2), 31n],
    ] as const;
    assert.deepEqual(await paid(ACCEPTED), new Map(told));
    assert.deepEqual(await paid({ ...ACCEPTED, bonus: 5n }), new Map([...told, [id(1), 35n]]));
    assert.equal(await paid({ ...ACCEPTED, outcome: 'Rejected', bonus: 5n }), undefined);
  });

  it('has one reason for all when nobody is paid', () => {
    const cases: readonly (readonly [Partial<EpochFacts>, RewardReason])[] = [
      [{ elected: undefined, result: undefined, submission: undefined }, 'nobody-elected'],
      [{ result: undefined }, 'open'],
      [{ result: { ...ACCEPTED, outcome: 'Absent' }, submission: undefined }, 'no-proposal'],
      [{ result: { ...ACCEPTED, outcome: 'Empty' } }, 'all-zero'],
      [{ result: { ...ACCEPTED, outcome: 'Rejected' } }, 'rejected'],
    ];
    for (const [change, reason] of cases) {
      const told = explainRewards(facts({ paid: undefined, ...change }), nodes);
      assert.ok(
        told.every((reward) => reward.reason === reason && reward.paid === undefined),
        reason,
      );
    }
  });
});
