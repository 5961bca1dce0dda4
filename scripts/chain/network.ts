// npm run chain:network: four validators on loopback until Ctrl-C. The node is built before, where it is not (scripts/chain/node.sh).
//   npm run chain:network -- [milliseconds of a block, default 6000]

import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalNetwork } from './local-network.ts';
import { ROOT } from './sums.ts';

const [slot = '6000'] = process.argv.slice(2);
const slotMs = Number(slot);
if (!Number.isSafeInteger(slotMs) || slotMs < 200) throw new RangeError(`${slot}: at least 200 milliseconds`);
const built = spawnSync('sh', [join(ROOT, 'scripts', 'chain', 'node.sh')], { stdio: ['ignore', 'pipe', 'inherit'] });
if (built.status !== 0) process.exit(1);
const binary = built.stdout.toString().trim();
const folder = mkdtempSync(join(tmpdir(), 'tessera-network-'));
const validators = await startLocalNetwork({ binary, folder, slotMs, network: {} });
for (const { name, endpoint } of validators) process.stdout.write(`${name.padEnd(8)} ${endpoint}\n`);
process.stdout.write(`Databases and logs in ${folder}. Ctrl-C ends the network.\n`);
await new Promise<void>((resolve) => {
  process.once('SIGINT', resolve);
  process.once('SIGTERM', resolve);
});
await Promise.all(validators.map((validator) => validator.stop()));
