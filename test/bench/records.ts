// `npm run bench -- records`: how complete the records of an epoch are at every node of a small network of real nodes on loopback, and what each
// way brought of them: gossip, the DHT, pulls (protocol.md 10). Blocks are driven by hand, but a PUT into the DHT is given up
// after ten seconds: on a busy machine nothing is judged.

import { CHANNELS } from '../../src/validator/records.ts';
import { createLoopback } from '../support/loopback.ts';
import { createReport } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const SIZE = { hosters: 4, attestors: 1 };
const EPOCHS = 5;
const PATIENCE_MS = 3_000;

export async function benchRecords({ json }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const quiet = await waitForQuiet(PATIENCE_MS);
  const net = await createLoopback({ ...SIZE, disguises: {} });
  const parts: Record<(typeof CHANNELS)[number] | 'complete', number[]> = {
    gossip: [],
    dht: [],
    pull: [],
    complete: [],
  };
  for (let epoch = net.firstEpoch + 1; epoch <= net.firstEpoch + EPOCHS; epoch += 1) {
    await net.runTo(epoch, 2);
    const all = net.nodes.map(({ node }) => node.validator.status());
    // Each holds what the others sent: who holds most, with its own records, says how many there are.
    const owed = Math.max(...all.map(({ completeness }, i) => completeness.held + ownRecords(net, i, epoch - 1)));
    for (const [i, { completeness }] of all.entries()) {
      parts.complete.push((completeness.held + ownRecords(net, i, epoch - 1)) / owed);
      for (const channel of CHANNELS) parts[channel].push(completeness[channel] / completeness.held);
    }
  }
  await net.stop();
  const facts = { nodes: SIZE.hosters + SIZE.attestors, epochs: EPOCHS };
  for (const [name, samples] of Object.entries(parts)) {
    const value = samples.reduce((sum, one) => sum + one, 0) / samples.length;
    report.add({
      name: `records.${name}`,
      value,
      unit: 'ratio',
      bar: BARS[name] ?? 0,
      better: 'higher',
      quiet,
      samples,
      facts,
    });
  }
  return report.exitCode();
}

/** Gossip is the fast way, the DHT the archive; pulls bring what those did not. */
const BARS: Readonly<Record<string, number>> = { complete: 1, gossip: 0.95, dht: 0.9, pull: 0 };

/** Records of one epoch that a node signed itself. */
function ownRecords(net: Awaited<ReturnType<typeof createLoopback>>, index: number, epoch: number): number {
  const node = net.nodes[index];
  return [...(node?.seen.values() ?? [])].filter(({ body }) => body.node === node?.id && body.epoch === epoch).length;
}
