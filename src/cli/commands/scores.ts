// `tessera scores`: what the chain holds of submitted scores, who proposed, who attested, and how each epoch ended.

import { phaseAt } from '../../consensus/phase.ts';
import { readScoredEpoch, type ScoredEpoch } from '../../node/epochs.ts';
import type { Epoch, SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { formatShare, table } from '../io.ts';
import { requireSubnet, withChain } from '../session.ts';

/** The chain keeps 64 epochs (chain.md 3.3); a screen shows fewer. */
const SHOWN_EPOCHS = 8;

export const scores = defineCommand({
  name: 'scores',
  describe: 'show the scores on chain',
  examples: ['tessera scores', 'tessera scores --epoch 9 --json'],
  options: ['rpc', 'subnet-id', 'epoch', 'node'],
  async run({ options, io, log, signal }) {
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const { epochLength } = await chain.info(signal);
      const head = await chain.head('best', signal);
      const now = phaseAt(head.number, { slot: subnet.slot, epochLength })?.epoch ?? 0;
      const wanted = options.epoch === undefined ? lastEpochs(now) : [options.epoch];
      let shown = 0;
      for (const epoch of wanted) {
        const found = await readScoredEpoch(chain, id, epoch as Epoch, signal);
        if (found === undefined) continue;
        shown += 1;
        const filtered = {
          ...found,
          scores: found.scores.filter((entry) => options.node === undefined || entry.node === options.node),
        };
        io.result(filtered, describeEpoch(filtered));
      }
      if (shown === 0)
        io.note(
          `no submission in ${options.epoch === undefined ? 'the last epochs' : `epoch ${options.epoch}`}; the subnet is in epoch ${now}`,
        );
    });
  },
});

function lastEpochs(now: number): number[] {
  const first = Math.max(0, now - SHOWN_EPOCHS + 1);
  return Array.from({ length: now - first + 1 }, (_, i) => first + i);
}

function describeEpoch(epoch: ScoredEpoch): string {
  const head = `epoch ${epoch.epoch} (scores of ${epoch.scored}): ${epoch.outcome}, proposer ${epoch.proposer}, ${epoch.attestations} of ${epoch.validators} attested`;
  if (epoch.scores.length === 0) return head;
  const total = epoch.scores.reduce((sum, { score }) => sum + score, 0n);
  const rows = epoch.scores.map(({ node, score }) => [
    `  node ${node}`,
    score.toString(),
    total === 0n ? '' : formatShare((score * 10n ** 18n) / total),
  ]);
  return `${head}\n${table(rows)}`;
}
