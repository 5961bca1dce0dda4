// Whatever a client sends gets an answer, never an internal error, and the chain goes on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ApiPromise } from '@polkadot/api';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import type { DevChain } from '../../../src/devchain/devchain.ts';
import { connectHttp, connectRaw, devAccount, ONE_TENSOR, type RawClient, startChain } from './support.ts';

interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

/** These do what they are told for long. */
const LEFT_OUT = new Set(['dev_newBlock', 'dev_stall']);

describe('devchain: hostile clients', () => {
  let chain: DevChain;
  let api: ApiPromise;
  let client: RawClient;

  beforeEach(async () => {
    chain = await startChain();
    api = await connectHttp(chain);
    client = await connectRaw(chain);
  });

  afterEach(async () => {
    client.close();
    await api.disconnect();
    await chain.close();
  });

  async function lives(): Promise<void> {
    const { number } = chain.head();
    assert.equal((await chain.newBlock()).number, number + 1);
    assert.deepEqual(await client.call('author_pendingExtrinsics'), []);
  }

  it('may call any method with any parameters', async () => {
    const { methods } = (await client.call('rpc_methods')) as { methods: string[] };
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(
        '0x',
        '0x00',
        '0x1',
        chain.genesisHash,
        0,
        1,
        -1,
        2 ** 53,
        '0x3a636f6465',
        devAccount(0).address,
        'Core_version',
        'Metadata_metadata',
      ),
      fc.uint8Array({ maxLength: 80 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`),
      fc.array(fc.constantFrom('0x', '0x1234', 1, null), { maxLength: 3 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...methods.filter((name) => !LEFT_OUT.has(name))),
        fc.array(value, { maxLength: 4 }),
        async (method, params) => {
          const { result, error } = (await client.send(JSON.stringify({ id: 'fuzz', method, params }))) as Answer;
          assert.notEqual(error?.code, -32603, error?.message);
          assert.ok(error !== undefined || result !== undefined);
        },
      ),
      { numRuns: 400 },
    );
    await chain.newBlock();
  });

  it('may send transactions with any bytes changed', async () => {
    const call = api.tx.balances?.transferKeepAlive;
    assert.ok(call);
    const valid = (await call(devAccount(9).address, ONE_TENSOR).signAsync(devAccount(0), { nonce: 0 })).toU8a();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        async (changes, cut) => {
          const bytes = new Uint8Array(valid);
          for (const [at, mask] of changes) bytes[at] = (bytes[at] as number) ^ mask;
          const sent = Buffer.from(cut ? bytes.subarray(0, changes[0]?.[0]) : bytes);
          if (sent.equals(valid)) return;
          const { code } = await client.refusal('author_submitExtrinsic', `0x${sent.toString('hex')}`);
          assert.ok([1001, 1002, 1010, 1011].includes(code), String(code));
        },
      ),
      { numRuns: 200 },
    );
    await lives();
  });

  it('may not ask for any number of keys', async () => {
    const keys = Array.from({ length: 4097 }, () => '0x00');
    for (const method of ['state_queryStorageAt', 'state_queryStorage', 'state_subscribeStorage'])
      assert.equal((await client.refusal(method, keys, chain.genesisHash, chain.genesisHash)).code, 4002);
    await lives();
  });

  it('may not have any number of bytes wait for answers', async () => {
    await client.call('dev_stall', { rpc: 600_000 });
    const socket = new WebSocket(chain.endpoint);
    const closed = once(socket, 'close');
    await once(socket, 'open');
    for (let i = 0; i < 5; i++) socket.send(' '.repeat(14 * 2 ** 20));
    await closed;
    const { number } = chain.head();
    assert.equal((await chain.newBlock()).number, number + 1);
  });

  it('may send frames that are no JSON at all', async () => {
    for (const text of [
      '',
      '\0',
      '[',
      '[[]]',
      '{"method":{}}',
      'null',
      '"x"',
      '1e999',
      '[1,2,{"id":3,"method":"system_chain"}]',
    ])
      await client.send(text);
    await lives();
  });
});
