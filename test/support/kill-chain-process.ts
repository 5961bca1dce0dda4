// A dev chain that works without pause until it is killed: blocks, transfers, changes from outside, rollbacks. Says what it is about to do and
// what is done, each line written before it goes on. kill-chain.ts kills it.

import { readFileSync, writeSync } from 'node:fs';
import { createChain } from '../../src/devchain/chain.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { genesisState, readSpec } from '../../src/devchain/spec.ts';
import { fromHex, u64le } from '../../src/util/bytes.ts';
import { silentLog } from '../../src/util/log.ts';
import { createRandom } from './random.ts';

const [spec = '', dbFile = '', transfersFile = '', seed = ''] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`);

await hashingReady();
const transfers = readFileSync(transfersFile, 'utf8').trim().split('\n');
const genesis = genesisState(readSpec(spec));
const chain = createChain({ genesis, finalityLag: 4, dbFile, fsync: false }, { log: silentLog });
const random = createRandom(Number(seed));
let sent = nextNonce();
chain.onEvent((event) => {
  if (event.type === 'best') say(`head ${event.block.number} ${event.block.hash}`);
});
say(`open ${chain.head().number} ${chain.head().hash}`);
for (;;) work();

function work(): void {
  const dice = random();
  if (dice < 0.05 && chain.head().number > 8) rollBack(1 + Math.floor(random() * 3));
  else if (dice < 0.15)
    chain.setStorage([['0x7465737421', `0x${Buffer.from(u64le(BigInt(chain.head().number))).toString('hex')}`]]);
  else if (dice < 0.6) chain.submit(fromHex(transfers[sent++ % transfers.length] ?? ''));
  else chain.newBlock();
}

function rollBack(depth: number): void {
  say(`back ${chain.head().number - depth}`);
  chain.reorg({ depth, blocks: depth + 1, drop: [], force: true });
  say('done');
  sent = nextNonce();
}

/** Transfers of account 0 that are in the chain already. */
function nextNonce(): number {
  const account = fromHex('f24ff3a9cf04c71dbc94d0b566f7a27b94566cac');
  return Buffer.from(chain.call(chain.head(), 'AccountNonceApi_account_nonce', account)).readUInt32LE(0);
}
