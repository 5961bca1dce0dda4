// `tessera scores`: what the chain holds of submitted scores, who proposed, who attested, how each epoch ended, and what each node was paid
// against what its score could have earned, with the reason; for the own node also what it missed.

import { phaseAt } from '../../consensus/phase.ts';
import { readScoredEpoch, type ScoredEpoch } from '../../node/epochs.ts';
import { explainRewards, type Reward, readEpochFacts } from '../../node/rewards.ts';
import { type Epoch, ONE, type SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { type Diary, readDiary } from '../diary.ts';
import { formatShare, formatTensor, table } from '../io.ts';
import { requireSubnet, withChain } from '../session.ts';
import { describeOutcome, REWARD_WORDS } from '../words.ts';
import { lastEpochs } from './epochs.ts';

export const scores = defineCommand({
  name: 'scores',
  describe: 'show the scores on chain, what they paid, and why',
  examples: ['tessera scores', 'tessera scores --epoch 9 --json', 'tessera scores --node 3 --last 20'],
  options: ['rpc', 'subnet-id', 'epoch', 'node', 'last'],
  async run({ options, dataDir, io, log, signal }) {
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const { epochLength } = await chain.info(signal);
      const clock = { slot: subnet.slot, epochLength };
      const head = await chain.head('best', signal);
      const now = phaseAt(head.number, clock)?.epoch ?? 0;
      const nodes = await chain.nodes(id, undefined, signal);
      const wanted = options.epoch === undefined ? lastEpochs(now, options.last) : [options.epoch as Epoch];
      const diary = readDiary(dataDir, id);
      const isShown = (node: number) => options.node === undefined || options.node === node;
      let shown = 0;
      for (const epoch of wanted) {
        const found = await readScoredEpoch(chain, id, epoch, signal);
        if (found === undefined) continue;
        shown += 1;
        const facts = await readEpochFacts(chain, id, epoch, clock, signal);
        const rewards = explainRewards(facts, nodes).filter(({ node }) => isShown(node));
        const filtered = { ...found, scores: found.scores.filter(({ node }) => isShown(node)), rewards };
        io.result(filtered, describeEpoch(filtered, diary));
      }
      if (shown === 0)
        io.note(
          `no submission in ${options.epoch === undefined ? 'the last epochs' : `epoch ${options.epoch}`}; the subnet is in epoch ${now}`,
        );
    });
  },
});

function describeEpoch(epoch: ScoredEpoch & { readonly rewards: readonly Reward[] }, diary: Diary | undefined): string {
  const head = `epoch ${epoch.epoch} (scores of ${epoch.scored}): ${epoch.outcome}, proposer ${epoch.proposer}, ${epoch.attestations} of ${epoch.validators} attested`;
  const total = epoch.scores.reduce((sum, { score }) => sum + score, 0n);
  const rows = epoch.rewards.map(({ node, score, paid, expected, reason }) => [
    `  node ${node}`,
    total === 0n ? '' : formatShare((score * ONE) / total),
    paid === undefined ? '' : `paid ${formatTensor(paid)} T`,
    expected === undefined ? '' : `of ${formatTensor(expected)} T`,
    node === epoch.proposer && reason === 'paid'
      ? `${REWARD_WORDS[reason]}, with the proposer's bonus`
      : REWARD_WORDS[reason],
  ]);
  const own = describeOwn(epoch, diary);
  return [head, ...(rows.length === 0 ? [] : [table(rows)]), ...own].join('\n');
}

/** What the own node missed in the scored epoch, or in voting on it. */
function describeOwn(
  { epoch, scored, rewards }: ScoredEpoch & { readonly rewards: readonly Reward[] },
  diary: Diary | undefined,
) {
  if (diary === undefined || !rewards.some(({ node }) => node === diary.node)) return [];
  return diary.epochs
    .filter((one) => one.epoch === epoch || one.epoch === scored)
    .flatMap(({ epoch: of, outcomes }) =>
      outcomes
        .filter((outcome) => outcome.type === 'missed' || outcome.type === 'abstained')
        .map((outcome) => `  this node in epoch ${of}: ${describeOutcome(outcome)}`),
    );
}
