// `tessera status`: where the chain, the subnet and its nodes stand now.

import type { Chain, Subnet, SubnetNode } from '../../chain/types.ts';
import { type ClockParams, phaseAt } from '../../consensus/phase.ts';
import { explainRewards, type Reward, readEpochFacts } from '../../node/rewards.ts';
import type { Epoch, SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { type Diary, readDiary } from '../diary.ts';
import { formatShare, formatTensor, table } from '../io.ts';
import { requireSubnet, withChain } from '../session.ts';
import { describeOutcome, REWARD_WORDS } from '../words.ts';

/** Epochs of the own node that a screen shows. */
const SHOWN_EPOCHS = 4;

export const status = defineCommand({
  name: 'status',
  describe: 'show the chain, the subnet and its nodes',
  examples: ['tessera status --subnet-id 128001', 'tessera status --json | jq .subnet'],
  options: ['rpc', 'subnet-id'],
  async run({ options, dataDir, io, log, signal }) {
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const found = await readStatus(chain, subnet, signal);
      const diary = readDiary(dataDir, subnet.id);
      io.result(diary === undefined ? found : { ...found, own: diary }, describeStatus(found));
      if (diary !== undefined && !io.json) io.result({}, describeDiary(diary));
    });
  },
});

interface Status {
  readonly event: 'status';
  readonly chain: {
    readonly genesis: string;
    readonly block: number;
    readonly finalized: number;
    readonly epochLength: number;
  };
  readonly subnet: {
    readonly id: number;
    readonly name: string;
    readonly state: string;
    readonly epoch: number | undefined;
    readonly phase: string | undefined;
    readonly elected: number | undefined;
  };
  readonly nodes: readonly {
    readonly id: number;
    readonly class: string;
    readonly startEpoch: number;
    readonly stake: bigint;
    readonly reputation: bigint;
    readonly peer: string;
    /** Of the last epoch that was settled. */
    readonly reward: Reward | undefined;
  }[];
}

async function readStatus(chain: Chain, subnet: Subnet, signal: AbortSignal): Promise<Status> {
  const info = await chain.info(signal);
  const [best, finalized] = await Promise.all([chain.head('best', signal), chain.head('finalized', signal)]);
  const now = phaseAt(best.number, { slot: subnet.slot, epochLength: info.epochLength });
  const id: SubnetId = subnet.id;
  const nodes = await chain.nodes(id, best.hash, signal);
  const clock = { slot: subnet.slot, epochLength: info.epochLength };
  const rewards =
    now === undefined || now.epoch === 0 ? [] : await lastRewards(chain, subnet, clock, now.epoch, nodes, signal);
  const elected =
    now === undefined ? undefined : await chain.electedValidator(id, now.epoch as Epoch, best.hash, signal);
  return {
    event: 'status',
    chain: { genesis: info.genesis, block: best.number, finalized: finalized.number, epochLength: info.epochLength },
    subnet: { id, name: subnet.name, state: subnet.state, epoch: now?.epoch, phase: now?.phase, elected },
    nodes: nodes.map((node) => describeNode(node, rewards)),
  };
}

async function lastRewards(
  chain: Chain,
  subnet: Subnet,
  clock: ClockParams,
  now: Epoch,
  nodes: readonly SubnetNode[],
  signal: AbortSignal,
): Promise<readonly Reward[]> {
  const facts = await readEpochFacts(chain, subnet.id, (now - 1) as Epoch, clock, signal);
  return explainRewards(facts, nodes);
}

function describeNode(node: SubnetNode, rewards: readonly Reward[]): Status['nodes'][number] {
  return {
    id: node.id,
    class: node.nodeClass,
    startEpoch: node.startEpoch,
    stake: node.stake,
    reputation: node.reputation,
    peer: node.peerInfo.peer,
    reward: rewards.find((reward) => reward.node === node.id),
  };
}

function describeStatus({ chain, subnet, nodes }: Status): string {
  const rows = nodes.map((node) => [
    String(node.id),
    node.class,
    `from ${node.startEpoch}`,
    `${formatTensor(node.stake)} T`,
    formatShare(node.reputation),
    node.peer,
    describeReward(node.reward),
  ]);
  return [
    `chain   block ${chain.block}, finalized ${chain.finalized}, ${chain.epochLength} blocks per epoch`,
    `subnet  ${subnet.id} "${subnet.name}" ${subnet.state}, epoch ${subnet.epoch ?? '-'}, phase ${subnet.phase ?? '-'}, elected ${subnet.elected ?? 'nobody'}`,
    table([['node', 'class', 'start', 'stake', 'reputation', 'peer', 'last settled epoch'], ...rows]),
  ].join('\n');
}

function describeReward(reward: Reward | undefined): string {
  if (reward === undefined) return '';
  const { paid, expected, reason } = reward;
  const amount = paid === undefined ? '' : `${formatTensor(paid)} T`;
  const of = expected === undefined || reason === 'paid' ? '' : ` of ${formatTensor(expected)} T`;
  return reason === 'paid' ? amount : `${amount}${of} ${REWARD_WORDS[reason]}`.trim();
}

function describeDiary({ node, epochs }: Diary): string {
  const rows = epochs
    .slice(-SHOWN_EPOCHS)
    .map(({ epoch, outcomes }) => `  epoch ${epoch}: ${outcomes.map(describeOutcome).join(', ')}`);
  return [`this node (${node}), as it saw its last epochs`, ...rows].join('\n');
}
