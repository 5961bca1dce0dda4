// `tessera epochs`: how the last epochs ended, one line each: who was elected, who agreed, what was minted and slashed.

import { phaseAt } from '../../consensus/phase.ts';
import { type EpochFacts, readEpochFacts } from '../../node/rewards.ts';
import type { Epoch, SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { formatShare, formatTensor, table } from '../io.ts';
import { requireSubnet, withChain } from '../session.ts';

export const epochs = defineCommand({
  name: 'epochs',
  describe: 'show how the last epochs ended',
  examples: ['tessera epochs', 'tessera epochs --last 64 --json'],
  options: ['rpc', 'subnet-id', 'last'],
  async run({ options, io, log, signal }) {
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const { epochLength } = await chain.info(signal);
      const clock = { slot: subnet.slot, epochLength };
      const head = await chain.head('best', signal);
      const now = phaseAt(head.number, clock)?.epoch ?? 0;
      const found: EpochFacts[] = [];
      for (const epoch of lastEpochs(now, options.last)) {
        const facts = await readEpochFacts(chain, subnet.id as SubnetId, epoch, clock, signal);
        if (facts.elected === undefined) continue;
        found.push(facts);
        if (io.json) io.result(describeFacts(facts), '');
      }
      if (found.length === 0) io.note(`nobody was elected yet; the subnet is in epoch ${now}`);
      else if (!io.json) io.result({}, table([HEAD, ...found.map(rowOf)]));
      io.note('Next: tessera scores --epoch N says what each node was paid, and why');
    });
  },
});

export function lastEpochs(now: number, count: number): Epoch[] {
  const first = Math.max(0, now - count + 1);
  return Array.from({ length: now - first + 1 }, (_, i) => (first + i) as Epoch);
}

function describeFacts({ epoch, elected, submission, result }: EpochFacts): object {
  return {
    event: 'epoch',
    epoch,
    scored: epoch - 1,
    elected,
    outcome: result?.outcome ?? 'Open',
    attestations: submission?.attests.length ?? 0,
    validators: submission?.validators.length ?? 0,
    attestationRatio: result?.attestationRatio,
    minted: result?.minted,
    slashed: result?.slashed,
  };
}

/** Nothing where the epoch is open, or the endpoint no longer has the block that says it. */
function amountOf(planck: bigint | undefined): string {
  return planck === undefined ? '' : `${formatTensor(planck)} T`;
}

const HEAD = ['epoch', 'outcome', 'elected', 'attested', 'ratio', 'minted', 'slashed'];

function rowOf({ epoch, elected, submission, result }: EpochFacts): string[] {
  return [
    String(epoch),
    result?.outcome ?? 'Open',
    `node ${elected}`,
    `${submission?.attests.length ?? 0} of ${submission?.validators.length ?? 0}`,
    result === undefined ? '' : formatShare(result.attestationRatio),
    amountOf(result?.minted),
    amountOf(result?.slashed),
  ];
}
