// npm run chain:kill -- [--times 200] [--seed 1]: kills a working dev chain at random moments, opens its file again each time, and prints what
// was found. Exits 1 when a chain came back with another history than it had told.

import { parseArgs } from 'node:util';
import { killChain } from '../../test/support/kill-chain.ts';
import { signTransfers } from '../../test/support/transfers.ts';
import { SPEC } from './sums.ts';

const { values } = parseArgs({
  options: { times: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const started = performance.now();
const table = await killChain({
  spec: SPEC,
  times: Number(values.times),
  seed: Number(values.seed),
  most: { ms: 500 },
  transfers: await signTransfers(5000),
  note: (line) => void process.stderr.write(`${line}\n`),
});
for (const [name, value] of Object.entries({ seed: Number(values.seed), ...table }))
  process.stdout.write(`${name.padEnd(18)} ${value}\n`);
process.stdout.write(`${'seconds'.padEnd(18)} ${Math.round((performance.now() - started) / 1000)}\n`);
