// One of the two clients of two-clients.spec.ts: sends the same transfer many times, and prints where each of them is.

import { openSigner } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { silentLog } from '../../src/util/log.ts';

const [endpoint = '', count = ''] = process.argv.slice(2);
const chain = await connectChain({ endpoints: [endpoint] }, { log: silentLog });
const [from, to] = [await openSigner('//dev:0'), await openSigner('//dev:9')];
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
const transfers = Array.from({ length: Number(count) }, () => chain.transfer(from, to.address, 1n));
const receipts = await Promise.all(transfers);
for (const { block, extrinsicHash } of receipts) process.stdout.write(`${block.number} ${extrinsicHash}\n`);
await chain.close();
process.exit(0);
