// Why a node was paid what it was paid: the chain's result of an epoch, read from its settlement block, put beside what the node's score
// would have earned with a vote in time (chain.md 5.2, 5.3).

import { z } from 'zod';
import type { Chain, ChainEvent, EpochResult, Submission, SubnetNode } from '../chain/types.ts';
import { type ClockParams, firstBlock } from '../consensus/phase.ts';
import { type Epoch, type NodeId, ONE, type SubnetId } from '../types/ids.ts';
import { errorCode } from '../util/errors.ts';

/** In the order in which they are looked for. */
export type RewardReason =
  | 'open'
  | 'nobody-elected'
  | 'no-proposal'
  | 'all-zero'
  | 'rejected'
  | 'not-in-epoch'
  | 'idle'
  | 'not-scored'
  | 'included'
  | 'not-a-voter'
  | 'silent'
  | 'late-vote'
  | 'paid';

export interface Reward {
  readonly node: NodeId;
  readonly score: bigint;
  /** Planck of stake that the epoch brought; undefined when it is open, or the endpoint has forgotten its settlement. */
  readonly paid: bigint | undefined;
  /** Planck for this score with a vote in time, without a proposer's bonus; undefined where nothing was minted. */
  readonly expected: bigint | undefined;
  readonly reason: RewardReason;
}

/** What the chain holds of one epoch. */
export interface EpochFacts {
  readonly epoch: Epoch;
  readonly elected: NodeId | undefined;
  readonly submission: Submission | undefined;
  readonly result: EpochResult | undefined;
  readonly paid: ReadonlyMap<NodeId, bigint> | undefined;
}

export async function readEpochFacts(
  chain: Chain,
  subnet: SubnetId,
  epoch: Epoch,
  clock: ClockParams,
  signal: AbortSignal,
): Promise<EpochFacts> {
  const [elected, submission, result] = await Promise.all([
    chain.electedValidator(subnet, epoch, undefined, signal),
    chain.submission(subnet, epoch, undefined, signal),
    chain.result(subnet, epoch, undefined, signal),
  ]);
  const isPaid = result?.outcome === 'Accepted';
  const told = isPaid ? await readPay(chain, subnet, (epoch + 1) as Epoch, clock, signal) : undefined;
  const paid = told === undefined || elected === undefined ? told : withBonus(told, elected, result?.bonus);
  return { epoch, elected, submission, result, paid };
}

/** On some chains the proposer's bonus is not among the rewards that the events tell. */
function withBonus(paid: ReadonlyMap<NodeId, bigint>, proposer: NodeId, bonus = 0n): ReadonlyMap<NodeId, bigint> {
  return bonus === 0n ? paid : new Map([...paid, [proposer, (paid.get(proposer) ?? 0n) + bonus]]);
}

/** Undefined where the endpoint no longer has the events of that block. */
async function readPay(
  chain: Chain,
  subnet: SubnetId,
  next: Epoch,
  clock: ClockParams,
  signal: AbortSignal,
): Promise<ReadonlyMap<NodeId, bigint> | undefined> {
  try {
    const hash = await chain.blockHash(firstBlock(next, clock), signal);
    return hash === undefined ? undefined : payIn(await chain.events(hash, signal), subnet);
  } catch (error) {
    if (errorCode(error) === 'CHAIN_STATE_DISCARDED') return undefined;
    throw error;
  }
}

const REWARDS = z.object({
  subnetId: z.number(),
  nodeRewards: z.array(z.tuple([z.number().transform((id) => id as NodeId), z.bigint()])),
});

function payIn(events: readonly ChainEvent[], subnet: SubnetId): ReadonlyMap<NodeId, bigint> | undefined {
  const told = events.filter(({ name }) => name === 'SubnetRewards').map(({ data }) => REWARDS.safeParse(data));
  const ours = told.find((one) => one.success && one.data.subnetId === subnet);
  return ours?.success ? new Map(ours.data.nodeRewards) : undefined;
}

/** One line for every node: what it got, what it could have got, and why. */
export function explainRewards(facts: EpochFacts, nodes: readonly Pick<SubnetNode, 'id'>[]): readonly Reward[] {
  const fullPay = fullPayOf(facts);
  return nodes.map(({ id }) => {
    const score = facts.submission?.scores.find(({ nodeId }) => nodeId === id)?.score ?? 0n;
    const mayEarn = facts.submission?.validators.includes(id) ?? false;
    return {
      node: id,
      score,
      paid: facts.paid === undefined ? undefined : (facts.paid.get(id) ?? 0n),
      expected: fullPay === undefined || !mayEarn ? undefined : fullPay(score),
      reason: reasonFor(facts, id, score),
    };
  });
}

/** The pay that a score has with a vote in time, read off the best paid node that is not the proposer (whose pay has a bonus in it). */
function fullPayOf({ submission, paid }: EpochFacts): ((score: bigint) => bigint) | undefined {
  if (submission === undefined || paid === undefined) return undefined;
  const models = submission.scores.flatMap(({ nodeId, score }) => {
    const factor = submission.attests.find((vote) => vote.nodeId === nodeId)?.rewardFactor ?? 0n;
    const pay = paid.get(nodeId) ?? 0n;
    return nodeId === submission.proposer || score === 0n || factor === 0n || pay === 0n
      ? []
      : [{ score, factor, pay }];
  });
  const [best] = models.sort((a, b) => (a.pay < b.pay ? 1 : -1));
  return best === undefined ? undefined : (score) => (best.pay * ONE * score) / (best.factor * best.score);
}

function reasonFor({ elected, submission, result }: EpochFacts, id: NodeId, score: bigint): RewardReason {
  if (elected === undefined) return 'nobody-elected';
  if (result === undefined) return 'open';
  if (result.outcome === 'Absent' || submission === undefined) return 'no-proposal';
  if (result.outcome === 'Empty') return 'all-zero';
  if (result.outcome === 'Rejected') return 'rejected';
  return reasonOfMember(submission, id, score);
}

function reasonOfMember({ nodes, validators, attests }: Submission, id: NodeId, score: bigint): RewardReason {
  const member = nodes.find((node) => node.id === id);
  if (member === undefined) return 'not-in-epoch';
  if (member.nodeClass === 'Idle') return 'idle';
  if (score === 0n) return 'not-scored';
  if (member.nodeClass === 'Included') return 'included';
  if (!validators.includes(id)) return 'not-a-voter';
  const vote = attests.find(({ nodeId }) => nodeId === id);
  if (vote === undefined) return 'silent';
  return vote.rewardFactor < LATE_FACTOR ? 'late-vote' : 'paid';
}

/** Votes in the first 70 % of the time left keep at least this much (chain.md 5.3). */
const LATE_FACTOR = (ONE * 98n) / 100n;
