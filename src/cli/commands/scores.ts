// `tessera scores`: what the chain holds of submitted scores, who proposed, who attested, how each epoch ended, and what each node was paid
// against what its score could have earned, with the reason: a score of 0 is looked into, by recomputing the epoch from what nodes hand over.

import type { Chain, Subnet } from '../../chain/types.ts';
import type { Fault } from '../../consensus/explain.ts';
import { phaseAt } from '../../consensus/phase.ts';
import { readScoredEpoch, type ScoredEpoch } from '../../node/epochs.ts';
import type { Values } from '../../node/options.ts';
import { explainRewards, type Reward, readEpochFacts } from '../../node/rewards.ts';
import { type Epoch, type NodeId, ONE, type SubnetId } from '../../types/ids.ts';
import { withDeadline } from '../../util/async.ts';
import { errorMessage } from '../../util/errors.ts';
import type { Log } from '../../util/log.ts';
import type { Verdict } from '../../validator/verify.ts';
import { defineCommand } from '../command.ts';
import { type Diary, readDiary } from '../diary.ts';
import { EVIDENCE_OPTIONS, withVerifier } from '../evidence.ts';
import { formatShare, formatTensor, type Io, table } from '../io.ts';
import { requireSubnet, withChain } from '../session.ts';
import { describeFault, describeOutcome, OBSTACLE_WORDS, REWARD_WORDS } from '../words.ts';
import { lastEpochs } from './epochs.ts';

export const scores = defineCommand({
  name: 'scores',
  describe: 'show the scores on chain, what they paid, and why',
  examples: ['tessera scores', 'tessera scores --epoch 9 --json', 'tessera scores --node 3 --last 20'],
  options: ['rpc', 'subnet-id', 'epoch', 'node', 'last', ...EVIDENCE_OPTIONS],
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
      const isShown = (node: number) => options.node === undefined || options.node === node;
      const found: Shown[] = [];
      for (const epoch of wanted) {
        const scored = await readScoredEpoch(chain, id, epoch, signal);
        if (scored === undefined) continue;
        const facts = await readEpochFacts(chain, id, epoch, clock, signal);
        const rewards = explainRewards(facts, nodes).filter(({ node }) => isShown(node));
        found.push({ ...scored, scores: scored.scores.filter(({ node }) => isShown(node)), rewards });
      }
      const faults = await findFaults(found, { chain, subnet }, { options, io, log, signal });
      const diary = readDiary(dataDir, id);
      for (const one of found) {
        const shown = withFaults(one, faults.get(one.epoch));
        io.result(shown, describeEpoch(shown, diary));
      }
      if (found.length === 0)
        io.note(
          `no submission in ${options.epoch === undefined ? 'the last epochs' : `epoch ${options.epoch}`}; the subnet is in epoch ${now}`,
        );
    });
  },
});

/** `faults` where the evidence of the epoch was looked into. */
interface Shown extends ScoredEpoch {
  readonly rewards: readonly (Reward & { readonly faults?: readonly Fault[] })[];
}

/** Nodes that do not answer are done without; the scores are shown in any case. */
const EVIDENCE_MS = 60_000;

type FaultsByNode = ReadonlyMap<NodeId, readonly Fault[]>;

/** Of the epochs in which a score of 0 is to be explained. */
async function findFaults(
  found: readonly Shown[],
  of: { readonly chain: Chain; readonly subnet: Subnet },
  {
    io,
    ...context
  }: {
    readonly options: Values<(typeof EVIDENCE_OPTIONS)[number]>;
    readonly io: Io;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<ReadonlyMap<number, FaultsByNode>> {
  const faults = new Map<number, FaultsByNode>();
  const unclear = found.filter(({ rewards }) => rewards.some(({ reason }) => reason === 'not-scored'));
  if (unclear.length === 0) return faults;
  const signal = withDeadline(context.signal, EVIDENCE_MS);
  try {
    await withVerifier({ ...context, signal }, of, async (verifier, peers) => {
      io.note(`asking ${peers} nodes why scores are 0`);
      for (const { epoch } of unclear) {
        const verdict = await verifier.verify(epoch as Epoch, () => undefined, signal);
        if ('nodes' in verdict) faults.set(epoch, new Map(verdict.nodes.map((one) => [one.node, one.faults])));
        else io.note(`epoch ${epoch}: ${describeObstacle(verdict)}`);
      }
    });
  } catch (error) {
    context.signal.throwIfAborted();
    io.note(`why scores are 0 could not be found out: ${errorMessage(error)}`);
  }
  return faults;
}

function describeObstacle(verdict: Exclude<Verdict, { nodes: unknown }>): string {
  return verdict.verdict === 'nothing' ? 'nothing was submitted' : OBSTACLE_WORDS[verdict.code];
}

function withFaults(shown: Shown, faults: FaultsByNode | undefined): Shown {
  if (faults === undefined) return shown;
  return { ...shown, rewards: shown.rewards.map((one) => ({ ...one, faults: faults.get(one.node) ?? [] })) };
}

function describeEpoch(epoch: Shown, diary: Diary | undefined): string {
  const head = `epoch ${epoch.epoch} (scores of ${epoch.scored}): ${epoch.outcome}, proposer ${epoch.proposer}, ${epoch.attestations} of ${epoch.validators} attested`;
  const total = epoch.scores.reduce((sum, { score }) => sum + score, 0n);
  const rows = epoch.rewards.map((reward) => [
    `  node ${reward.node}`,
    total === 0n ? '' : formatShare((reward.score * ONE) / total),
    reward.paid === undefined ? '' : `paid ${formatTensor(reward.paid)} T`,
    reward.expected === undefined ? '' : `of ${formatTensor(reward.expected)} T`,
    describeReason(reward, epoch.proposer),
  ]);
  const own = describeOwn(epoch, diary);
  return [head, ...(rows.length === 0 ? [] : [table(rows)]), ...own].join('\n');
}

function describeReason({ node, reason, faults = [] }: Shown['rewards'][number], proposer: number): string {
  if (reason === 'not-scored' && faults.length > 0) return faults.map(describeFault).join('; ');
  return node === proposer && reason === 'paid'
    ? `${REWARD_WORDS[reason]}, with the proposer's bonus`
    : REWARD_WORDS[reason];
}

/** What the own node missed in the scored epoch, or in voting on it. */
function describeOwn({ epoch, scored, rewards }: Shown, diary: Diary | undefined) {
  if (diary === undefined || !rewards.some(({ node }) => node === diary.node)) return [];
  return diary.epochs
    .filter((one) => one.epoch === epoch || one.epoch === scored)
    .flatMap(({ epoch: of, outcomes }) =>
      outcomes
        .filter((outcome) => outcome.type === 'missed' || outcome.type === 'abstained')
        .map((outcome) => `  this node in epoch ${of}: ${describeOutcome(outcome)}`),
    );
}
