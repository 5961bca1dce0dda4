// Two processes that use one account at the same time, each as if it were alone: what every node operator does who starts a second tool.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { openSigner } from '../../src/chain/accounts.ts';
import { openConnection } from '../../src/chain/substrate/connection.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain } from '../../src/chain/types.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import type { BlockNumber, Hash } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { systemTimers } from '../../src/util/timers.ts';
import { knows } from '../support/chain-place.ts';

const EACH = 100;
const CLIENT = fileURLToPath(new URL('./two-clients-process.ts', import.meta.url));

describe('chain: two clients on one account', function () {
  this.timeout(120_000);
  let devChain: DevChain;
  let chain: Chain;

  afterEach(async () => {
    await chain?.close();
    await devChain?.close();
  });

  it(`send ${EACH} equal transfers each at once: every one is included, once`, async () => {
    devChain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'instant' }, { log: silentLog });
    chain = await connectChain({ endpoints: [devChain.endpoint] }, { log: silentLog });
    const [from, to] = [await openSigner('//dev:0'), await openSigner('//dev:9')];
    const [sender, before] = [await chain.account(from.address), await chain.account(to.address)];

    const clients = [0, 1].map(() => {
      const child = spawn(process.execPath, [CLIENT, devChain.endpoint, String(EACH)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    for (const { lines } of clients) assert.equal((await lines.next()).value, 'ready');
    for (const { child } of clients) child.stdin.write('go\n');
    const receipts = await Promise.all(
      clients.map(async ({ lines, child }) => {
        const said: string[] = [];
        for (let i = 0; i < EACH; i++) said.push(String((await lines.next()).value));
        if (child.exitCode === null) await once(child, 'exit');
        return said;
      }),
    );

    const said = receipts.flat();
    assert.equal(new Set(said.map((line) => line.split(' ')[1])).size, 2 * EACH, 'each has its own transaction');
    const included = await transactionsOf(devChain.head().number);
    assert.equal(included, 2 * EACH);
    assert.equal((await chain.account(to.address)).free, before.free + BigInt(2 * EACH));
    assert.equal((await chain.account(from.address)).nonce, sender.nonce + 2 * EACH);
  });

  it('send with one nonce, and one pays more: the other notices when that is final, and is included after it', async () => {
    devChain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'manual' }, { log: silentLog });
    chain = await connectChain({ endpoints: [devChain.endpoint] }, { log: silentLog });
    const [from, to] = [await openSigner('//dev:0'), await openSigner('//dev:9')];
    const [sender, before] = [await chain.account(from.address), await chain.account(to.address)];
    await devChain.newBlock(3);
    await knows(chain, devChain);
    const sent = chain.transfer(from, to.address, 5n);
    while (((await ask('author_pendingExtrinsics')) as readonly string[]).length === 0);
    const start = devChain.head();
    const deps = { log: silentLog, timers: systemTimers };
    const rival = await openConnection(devChain.endpoint, undefined, deps, AbortSignal.timeout(20_000));
    const spec = { pallet: 'balances', name: 'transferKeepAlive', args: [to.address, 70n] };
    const life = { birth: { number: start.number as BlockNumber, hash: start.hash as Hash }, period: 64 };
    const other = rival.runtime.extrinsic(spec, from, sender.nonce, life, 10n ** 15n);
    rival.socket.close();
    await ask('author_submitExtrinsic', other);
    assert.deepEqual(await ask('author_pendingExtrinsics'), [other], 'the pool holds the one that pays more');
    // The first of these takes the other one, the fourth makes that final; the era would last ten times as long.
    await devChain.newBlock(6);
    const release = devChain.authorOnDemand();
    const receipt = await sent.finally(release);
    assert.ok(receipt.block.number <= start.number + 8, `in block ${receipt.block.number} after ${start.number}`);
    assert.equal((await chain.account(to.address)).free, before.free + 75n, 'both, once');
    assert.equal((await chain.account(from.address)).nonce, sender.nonce + 2);
  });

  async function ask(method: string, ...params: readonly unknown[]): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(devChain.httpEndpoint, { method: 'POST', body, headers });
    return ((await answer.json()) as { readonly result: unknown }).result;
  }

  /** Signed ones in all blocks up to this number: every block has one of its own for the time. */
  async function transactionsOf(head: number): Promise<number> {
    let count = 0;
    for (let number = 1; number <= head; number++) {
      const body = (method: string, params: readonly unknown[]) => JSON.stringify({ id: 1, method, params });
      const ask = async (method: string, params: readonly unknown[]) => {
        const answer = await fetch(devChain.httpEndpoint, { method: 'POST', body: body(method, params) });
        return ((await answer.json()) as { readonly result: unknown }).result;
      };
      const block = (await ask('chain_getBlock', [await ask('chain_getBlockHash', [number])])) as {
        readonly block: { readonly extrinsics: readonly string[] };
      };
      count += block.block.extrinsics.length - 1;
    }
    return count;
  }
});
