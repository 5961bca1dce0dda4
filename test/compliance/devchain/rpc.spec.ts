// The JSON-RPC of the dev chain as bytes on a socket: codes, order, bounds, and what a node answers to transactions it does not take.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ApiPromise } from '@polkadot/api';
import type { KeyringPair } from '@polkadot/keyring/types';
import { WebSocket } from 'ws';
import { checkTrieProof } from '../../../src/chain/trie-proof.ts';
import type { DevChain } from '../../../src/devchain/devchain.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';
import { connectHttp, connectRaw, devAccount, ONE_TENSOR, type RawClient, startChain } from './support.ts';

interface SignOptions {
  readonly nonce: number;
  readonly tip?: bigint;
  readonly planck?: bigint;
}

/** An immortal transfer of one TENSOR to account 9, as hex. */
async function signed(
  api: ApiPromise,
  from: KeyringPair,
  { nonce, tip = 0n, planck = ONE_TENSOR }: SignOptions,
): Promise<string> {
  const call = api.tx.balances?.transferKeepAlive;
  assert.ok(call);
  const tx = await call(devAccount(9).address, planck).signAsync(from, {
    nonce,
    tip,
    era: 0,
    blockHash: api.genesisHash,
  });
  return tx.toHex();
}

/** Notices of one subscription so far. */
function notices(client: RawClient, id: unknown): unknown[] {
  return client.messages.flatMap(({ params }) => {
    const { subscription, result } = (params ?? {}) as { subscription?: unknown; result?: unknown };
    return subscription === id ? [result] : [];
  });
}

function untilNotice(client: RawClient, id: unknown, fits: (result: unknown) => boolean): Promise<unknown> {
  return client.until(({ params }) => {
    const { subscription, result } = (params ?? {}) as { subscription?: unknown; result?: unknown };
    return subscription === id && fits(result);
  });
}

const numberOf = (header: unknown) => Number((header as { number: string }).number);
const has = (name: string) => (status: unknown) => typeof status === 'object' && status !== null && name in status;

describe('devchain: JSON-RPC', () => {
  const alith = devAccount(0);
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

  const submit = async (options: SignOptions, from = alith) =>
    client.call('author_submitExtrinsic', await signed(api, from, options));
  const pending = async () => ((await client.call('author_pendingExtrinsics')) as string[]).length;

  it('refuses a bad signature with 1010', async () => {
    const bytes = Buffer.from((await signed(api, alith, { nonce: 0 })).slice(2), 'hex');
    bytes[40] = (bytes[40] as number) ^ 1;
    const error = await client.refusal('author_submitExtrinsic', `0x${bytes.toString('hex')}`);
    assert.equal(error.code, 1010);
    assert.equal(error.message, 'Invalid Transaction');
    assert.equal(error.data, 'Transaction has a bad signature');
    assert.equal(await pending(), 0);
  });

  it('refuses used nonces and poor accounts with 1010', async () => {
    await submit({ nonce: 0 });
    await chain.newBlock();
    const stale = await client.refusal('author_submitExtrinsic', await signed(api, alith, { nonce: 0, planck: 1n }));
    assert.deepEqual([stale.code, stale.data], [1010, 'Transaction is outdated']);
    const poor = await client.refusal('author_submitExtrinsic', await signed(api, devAccount(99), { nonce: 0 }));
    assert.equal(poor.code, 1010);
    assert.match(poor.data ?? '', /Inability to pay some fees/);
  });

  it('proves storage of any block by the root in its header, and none of a state that was changed from outside', async () => {
    await submit({ nonce: 0 });
    const { hash } = await chain.newBlock();
    await chain.newBlock(3);
    const account = (n: number) => api.query.system?.account?.key(devAccount(n).address) ?? assert.fail();
    const keys = [account(9), account(0), `${account(0)}00`, account(0).slice(0, 66)];
    const { at, proof } = (await client.call('state_getReadProof', keys, hash)) as { at: string; proof: string[] };
    assert.equal(at, hash);
    assert.deepEqual(proof, [...new Set(proof)].sort());
    const { stateRoot } = (await client.call('chain_getHeader', hash)) as { stateRoot: string };
    const asked = { keys: keys.map(fromHex), prefixes: [] };
    const verdict = checkTrieProof(fromHex(stateRoot), proof.map(fromHex), asked);
    assert.ok(verdict.ok, JSON.stringify(verdict));
    const values = await Promise.all(keys.map((key) => client.call('state_getStorage', key, hash)));
    assert.deepEqual(
      verdict.values.map((value) => (value === undefined ? null : `0x${toHex(value)}`)),
      values,
    );
    assert.deepEqual(
      values.map((value) => typeof value),
      ['string', 'string', 'object', 'object'],
    );
    const later = (await client.call('state_getReadProof', keys)) as { at: string };
    assert.equal(later.at, await client.call('chain_getBlockHash'));
    await client.call('dev_setStorage', [[account(9), null]]);
    const refusal = await client.refusal('state_getReadProof', keys);
    assert.deepEqual([refusal.code, /changed by dev_setStorage/.test(refusal.message)], [-32603, true]);
    assert.equal((await client.refusal('state_getReadProof', new Array(4097).fill('0x00'))).code, 4002);
    assert.equal((await client.refusal('state_getReadProof', ['zz'])).code, -32602);
    assert.equal((await client.refusal('state_getReadProof', keys, `0x${'12'.repeat(32)}`)).code, 4001);
  });

  it('keeps transactions with future nonces until the gap is filled', async () => {
    await submit({ nonce: 1 });
    await submit({ nonce: 2 });
    await chain.newBlock();
    assert.equal(await pending(), 2);
    assert.equal(await client.call('system_accountNextIndex', alith.address), 0);
    await submit({ nonce: 0 });
    assert.equal(await client.call('system_accountNextIndex', alith.address), 3);
    await chain.newBlock();
    assert.equal(await pending(), 0);
    const { block } = (await client.call('chain_getBlock')) as { block: { extrinsics: string[] } };
    assert.equal(block.extrinsics.length, 4);
    assert.equal(block.extrinsics[1], await signed(api, alith, { nonce: 0 }));
    assert.equal(block.extrinsics[3], await signed(api, alith, { nonce: 2 }));
    assert.equal(await client.call('system_accountNextIndex', alith.address), 3);
  });

  it('tells a watcher future, then ready, then in which block', async () => {
    const id = await client.call('author_submitAndWatchExtrinsic', await signed(api, alith, { nonce: 1 }));
    await submit({ nonce: 0 });
    await chain.newBlock(3);
    await untilNotice(client, id, has('finalized'));
    const block = (await client.call('chain_getBlockHash', 2)) as string;
    assert.deepEqual(notices(client, id), ['future', 'ready', { inBlock: block }, { finalized: block }]);
  });

  it('leaves out a transaction that an earlier one of the block made unpayable, and its state', async () => {
    const poor = devAccount(11);
    const [all, next] = [
      await signed(api, poor, { nonce: 0, planck: 1000n * ONE_TENSOR - 10n ** 12n }),
      await signed(api, poor, { nonce: 1, tip: ONE_TENSOR, planck: 1n }),
    ];
    await client.call('author_submitExtrinsic', all);
    const id = await client.call('author_submitAndWatchExtrinsic', next);
    await chain.newBlock();
    await untilNotice(client, id, (status) => status === 'invalid');
    const { block } = (await client.call('chain_getBlock')) as { block: { extrinsics: string[] } };
    assert.deepEqual(block.extrinsics.slice(1), [all]);
    assert.equal(await client.call('system_accountNextIndex', poor.address), 1);
    assert.equal(await pending(), 0);
  });

  it('lets go of a transaction whose era has passed', async () => {
    const call = api.tx.balances?.transferKeepAlive;
    assert.ok(call);
    const era = api.createType('ExtrinsicEra', { current: 1, period: 4 });
    const mortal = await call(devAccount(9).address, 1n).signAsync(alith, {
      nonce: 5,
      era,
      blockHash: chain.head().hash,
    });
    const id = await client.call('author_submitAndWatchExtrinsic', mortal.toHex());
    await chain.newBlock(2);
    assert.equal(await pending(), 1);
    await chain.newBlock(2);
    await untilNotice(client, id, (status) => status === 'invalid');
    assert.deepEqual(notices(client, id), ['future', 'invalid']);
    assert.equal(await pending(), 0);
    assert.equal((await client.refusal('author_submitExtrinsic', mortal.toHex())).code, 1010);
  });

  it('answers 1013 to the same transaction and 1014 to one with no higher priority; a tip usurps', async () => {
    const id = await client.call('author_submitAndWatchExtrinsic', await signed(api, alith, { nonce: 0 }));
    assert.equal((await client.refusal('author_submitExtrinsic', await signed(api, alith, { nonce: 0 }))).code, 1013);
    const low = await client.refusal('author_submitExtrinsic', await signed(api, alith, { nonce: 0, planck: 2n }));
    assert.equal(low.code, 1014);
    assert.match(low.message, /Priority is too low: \(\d+ vs \d+\)/);
    const winner = await submit({ nonce: 0, tip: ONE_TENSOR });
    await untilNotice(client, id, has('usurped'));
    assert.deepEqual(notices(client, id), ['ready', { usurped: winner }]);
    assert.equal(await pending(), 1);
  });

  it('puts higher tips first into a block', async () => {
    const [low, high] = [
      await signed(api, alith, { nonce: 0 }),
      await signed(api, devAccount(1), { nonce: 0, tip: ONE_TENSOR }),
    ];
    await client.call('author_submitExtrinsic', low);
    await client.call('author_submitExtrinsic', high);
    await chain.newBlock();
    const { block } = (await client.call('chain_getBlock')) as { block: { extrinsics: string[] } };
    assert.deepEqual(block.extrinsics.slice(1), [high, low]);
  });

  it('answers bytes that are no transaction with an error each, and lives on', async () => {
    for (const [bytes, codes] of [
      ['0x', [1001]],
      ['0x0401', [1002, 1010, 1011]],
      ['0x0804', [1001]],
      ['0x280402000b00', [1001]],
      [`0x${'ff'.repeat(64)}`, [1001]],
      ['0x0400', [1002, 1010, 1011]],
      [`0x9101${'84'.repeat(100)}`, [1002, 1010]],
      ['hello', [-32602]],
      [17, [-32602]],
      [null, [-32602]],
    ] as const) {
      const { code } = await client.refusal('author_submitExtrinsic', bytes);
      assert.ok((codes as readonly number[]).includes(code), `${bytes}: ${code}`);
    }
    await chain.newBlock();
    assert.equal(await pending(), 0);
  });

  it('answers malformed requests with the codes of JSON-RPC', async () => {
    const codeOf = (answer: unknown) => (answer as { error?: { code: number } }).error?.code;
    assert.equal(codeOf(await client.send('{nonsense')), -32700);
    assert.equal(codeOf(await client.send('[]')), -32600);
    assert.equal(codeOf(await client.send('17')), -32600);
    assert.equal(codeOf(await client.send('{"id":"x"}')), -32600);
    assert.equal(
      codeOf(await client.send('{"jsonrpc":"2.0","id":"a","method":"chain_getHeader","params":{"x":1}}')),
      -32602,
    );
    assert.equal((await client.refusal('no_such')).code, -32601);
    assert.equal((await client.refusal('constructor')).code, -32601);
    assert.equal((await client.refusal('chain_getBlockHash', 'x')).code, -32602);
    assert.equal((await client.refusal('state_getStorage', '0x1')).code, -32602);
    assert.equal((await client.refusal('state_getKeysPaged', '0x', 1001)).code, 4002);
    assert.equal((await client.refusal('state_getStorage', '0x00', `0x${'11'.repeat(32)}`)).code, 4001);
    assert.equal((await client.refusal('state_call', 'No_such', '0x')).code, 4003);
    assert.equal((await client.refusal('state_call', 'AccountNonceApi_account_nonce', '0x00')).code, 4003);
    assert.equal((await client.refusal('payment_queryInfo', '0x0401')).code, 4003);
    assert.equal(await client.call('chain_getHeader', `0x${'11'.repeat(32)}`), null);
    assert.equal(await client.call('chain_getBlockHash', 99), null);
  });

  it('answers a batch in its order, notifications not at all', async () => {
    const batch = [
      { jsonrpc: '2.0', id: 'b', method: 'system_chain' },
      { jsonrpc: '2.0', method: 'system_name' },
      { jsonrpc: '2.0', id: 'a', method: 'nothing' },
      3,
    ];
    const answers = (await client.send(JSON.stringify(batch))) as {
      id: unknown;
      result?: unknown;
      error?: { code: number };
    }[];
    assert.deepEqual(
      answers.map(({ id, result, error }) => [id, result ?? error?.code]),
      [
        ['b', 'Tessera Devnet'],
        ['a', -32601],
        [null, -32600],
      ],
    );
  });

  it('sends the id of a subscription before its first notice, also when news come within the same batch', async () => {
    const batch = [
      { jsonrpc: '2.0', id: 'sub', method: 'chain_subscribeNewHeads' },
      { jsonrpc: '2.0', id: 'new', method: 'dev_newBlock', params: [{ count: 2 }] },
    ];
    const answers = (await client.send(JSON.stringify(batch))) as { id: string; result: string }[];
    const id = answers.find((answer) => answer.id === 'sub')?.result;
    await untilNotice(client, id, (header) => numberOf(header) === 3);
    assert.deepEqual(notices(client, id).map(numberOf), [1, 2, 3]);
    assert.ok(Array.isArray(client.messages[0]), 'the first message is the answer');
  });

  it('ends a subscription only by its own method and sends nothing after', async () => {
    const id = await client.call('chain_subscribeNewHeads');
    assert.equal(await client.call('chain_unsubscribeFinalizedHeads', id), false);
    assert.equal(await client.call('chain_unsubscribeNewHeads', id), true);
    assert.equal(await client.call('chain_unsubscribeNewHeads', id), false);
    const before = notices(client, id).length;
    await client.call('dev_newBlock');
    assert.equal(notices(client, id).length, before);
  });

  it('bounds the subscriptions of a socket', async () => {
    const batch = Array.from({ length: 512 }, (_, id) => ({ id: `s${id}`, method: 'chain_subscribeFinalizedHeads' }));
    await client.send(JSON.stringify(batch));
    await client.send(JSON.stringify(batch));
    assert.equal((await client.refusal('chain_subscribeNewHeads')).code, -32006);
  });

  it('pages through keys as the state has them', async () => {
    const all = (await client.call('state_getKeys', '0x')) as string[];
    assert.deepEqual(all, [...all].sort());
    const first = (await client.call('state_getKeysPaged', '0x', 10)) as string[];
    const second = (await client.call('state_getKeysPaged', '0x', 10, first.at(-1))) as string[];
    assert.deepEqual([...first, ...second], all.slice(0, 20));
    const [key = ''] = all;
    const value = (await client.call('state_getStorage', key)) as string;
    assert.equal(await client.call('state_getStorageSize', key), value.length / 2 - 1);
  });

  it('tells storage as it was over a range of blocks', async () => {
    const number = '0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac'; // System.Number
    await chain.newBlock(3);
    const [from, to] = [await client.call('chain_getBlockHash', 1), await client.call('chain_getBlockHash', 3)];
    const sets = (await client.call('state_queryStorage', [number], from, to)) as {
      block: string;
      changes: [string, string][];
    }[];
    assert.deepEqual(
      sets.map(({ changes }) => changes[0]?.[1]),
      ['0x01000000', '0x02000000', '0x03000000'],
    );
  });

  it('changes storage from outside and notifies', async () => {
    const id = await client.call('state_subscribeStorage', ['0x1234']);
    await client.call('dev_setStorage', [['0x1234', '0xabcd']]);
    await client.call('dev_setStorage', [['0x1234', null]]);
    const values = notices(client, id).map((set) => (set as { changes: [string, string | null][] }).changes[0]?.[1]);
    assert.deepEqual(values, [null, '0xabcd', null]);
    assert.equal((await client.refusal('dev_setStorage', [['0x3a636f6465', null]])).code, -32602);
  });

  it('answers the subnet API as byte arrays, and proof of stake as a boolean', async () => {
    assert.deepEqual(await client.call('network_getAllSubnetsInfo'), [0]);
    assert.deepEqual(await client.call('network_getSubnetInfo', 128001), [0]);
    assert.equal(
      await client.call('network_proofOfStake', 128001, '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp', 1),
      false,
    );
    assert.equal(await client.call('network_proofOfStake', 128001, [1, 2], 1, '1000'), false);
    assert.equal((await client.refusal('network_getSubnetInfo', 'x')).code, -32602);
    assert.equal((await client.refusal('network_getOverwatchCommitsForEpochAndNode', 1, 1)).code, -32601);
  });

  it('answers fees as a node does', async () => {
    const extrinsic = await signed(api, alith, { nonce: 0 });
    const info = (await client.call('payment_queryInfo', extrinsic)) as { partialFee: string; class: string };
    const { inclusionFee } = (await client.call('payment_queryFeeDetails', extrinsic)) as {
      inclusionFee: Record<string, string>;
    };
    const sum = Object.values(inclusionFee).reduce((total, part) => total + BigInt(part), 0n);
    assert.equal(info.partialFee, sum.toString());
    assert.equal(info.class, 'normal');
    assert.equal(await client.call('system_dryRun', extrinsic), '0x0000');
  });
});

describe('devchain: reorganisations', () => {
  const alith = devAccount(0);
  let chain: DevChain;
  let api: ApiPromise;
  let client: RawClient;

  beforeEach(async () => {
    chain = await startChain({ finalityLag: 10 });
    api = await connectHttp(chain);
    client = await connectRaw(chain);
  });

  afterEach(async () => {
    client.close();
    await api.disconnect();
    await chain.close();
  });

  it('takes a block away, returns its transaction and includes it again', async () => {
    const heads = await client.call('chain_subscribeNewHeads');
    const id = await client.call('author_submitAndWatchExtrinsic', await signed(api, alith, { nonce: 0 }));
    await chain.newBlock();
    const old = chain.head().hash;
    await client.call('dev_reorg', { depth: 1, blocks: 2 });
    assert.equal(chain.head().number, 3);
    const block2 = (await client.call('chain_getBlockHash', 2)) as string;
    assert.notEqual(block2, old);
    assert.deepEqual(notices(client, id), [
      'ready',
      { inBlock: old },
      { retracted: old },
      'ready',
      { inBlock: block2 },
    ]);
    assert.deepEqual(notices(client, heads).map(numberOf), [1, 2, 2, 3]);
    assert.notEqual(await client.call('chain_getHeader', old), null);
    assert.equal(await client.call('system_accountNextIndex', alith.address), 1);
  });

  it('drops a transaction on request, and refuses to go below the finalized head without force', async () => {
    const hash = await client.call('author_submitExtrinsic', await signed(api, alith, { nonce: 0 }));
    await chain.newBlock();
    await client.call('dev_reorg', { depth: 1, blocks: 1, drop: [hash] });
    assert.equal(await client.call('system_accountNextIndex', alith.address), 0);
    await client.call('dev_setFinalityLag', 0);
    assert.equal((await client.refusal('dev_reorg', { depth: 1 })).code, -32602);
    await client.call('dev_reorg', { depth: 1, blocks: 0, force: true });
    assert.equal(await client.call('chain_getFinalizedHead'), await client.call('chain_getBlockHash', 1));
    await chain.newBlock();
    assert.equal((await client.refusal('dev_reorg', { depth: 50, force: true })).code, -32602);
    assert.equal(chain.head().number, 2);
  });
});

describe('devchain: HTTP', () => {
  let chain: DevChain;

  beforeEach(async () => {
    chain = await startChain();
  });

  afterEach(async () => {
    await chain.close();
  });

  const post = (body: string) =>
    fetch(chain.httpEndpoint, { method: 'POST', body, headers: { 'content-type': 'application/json' } });

  it('answers requests and batches, refuses subscriptions', async () => {
    const one = await post('{"jsonrpc":"2.0","id":7,"method":"chain_getBlockHash","params":[0]}');
    assert.deepEqual(await one.json(), { jsonrpc: '2.0', id: 7, result: chain.genesisHash });
    const subscription = (await (await post('{"jsonrpc":"2.0","id":1,"method":"chain_subscribeNewHeads"}')).json()) as {
      error: { code: number };
    };
    assert.equal(subscription.error.code, -32601);
    const batch = (await (
      await post('[{"jsonrpc":"2.0","id":1,"method":"system_chain"},{"jsonrpc":"2.0","id":2,"method":"x"}]')
    ).json()) as unknown[];
    assert.equal(batch.length, 2);
  });

  const fromPage = (origin: string, method: string) =>
    fetch(chain.httpEndpoint, {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: [] }),
      headers: { 'content-type': 'application/json', origin },
    });

  for (const origin of ['https://polkadot.js.org', 'http://localhost:3000', 'http://127.0.0.1']) {
    it(`answers a page of ${origin}, but makes no blocks for it`, async () => {
      const answer = await fromPage(origin, 'system_chain');
      assert.equal(((await answer.json()) as { result: string }).result, 'Tessera Devnet');
      assert.equal(answer.headers.get('access-control-allow-origin'), origin);
      const refused = (await (await fromPage(origin, 'dev_newBlock')).json()) as { error: { code: number } };
      assert.equal(refused.error.code, -32601);
      const socket = new WebSocket(chain.endpoint, { origin });
      await once(socket, 'open');
      socket.send('{"id":1,"method":"dev_newBlock"}');
      const [data] = await once(socket, 'message');
      assert.equal((JSON.parse(String(data)) as { error: { code: number } }).error.code, -32601);
      socket.terminate();
      assert.equal(chain.head().number, 1);
    });
  }

  for (const origin of [
    'https://evil.example',
    'http://localhost.evil.example',
    'https://polkadot.js.org.evil',
    'null',
  ]) {
    it(`refuses pages of ${origin}, over HTTP and WebSocket`, async () => {
      const answer = await fromPage(origin, 'system_chain');
      assert.equal(answer.status, 403);
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
      const socket = new WebSocket(chain.endpoint, { origin });
      const [error] = await once(socket, 'error');
      assert.match(String(error), /403/);
    });
  }

  it('refuses bodies over 15 MB and other verbs', async () => {
    const answer = (await (await post(`"${'x'.repeat(15 * 2 ** 20)}"`)).json()) as { error: { code: number } };
    assert.equal(answer.error.code, -32600);
    assert.equal((await fetch(chain.httpEndpoint)).status, 405);
    assert.equal((await fetch(chain.httpEndpoint, { method: 'OPTIONS' })).status, 204);
  });

  it('lists its methods', async () => {
    const { result } = (await (await post('{"id":1,"method":"rpc_methods"}')).json()) as {
      result: { methods: string[] };
    };
    for (const name of [
      'author_submitAndWatchExtrinsic',
      'chain_unsubscribeNewHeads',
      'dev_newBlock',
      'network_proofOfStake',
      'state_call',
    ]) {
      assert.ok(result.methods.includes(name), name);
    }
  });

  it('names the port that is taken', async () => {
    const port = Number(new URL(chain.endpoint).port);
    await assert.rejects(startChain({ port }), { code: 'DEVCHAIN_PORT_BUSY' });
  });
});
