// polkadot.js Apps and the dev chain: its library with its derived queries, from its origin, does what its pages do; and every method that the
// library knows is either there or refused as unknown. The browser program itself is not run here (docs/chain.md).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ApiPromise, WsProvider } from '@polkadot/api';
import type { ApiOptions } from '@polkadot/api/types';
import type { DevChain } from '../../../src/devchain/devchain.ts';
import { connectRaw, devAccount, ONE_TENSOR, startChain } from './support.ts';

const APPS = 'https://polkadot.js.org';

/** Of the sections that every node has: what a chain with one author, no keys of its own and no child tries leaves out. */
const LEFT_OUT = [
  'author_hasKey',
  'author_hasSessionKeys',
  'author_insertKey',
  'author_removeExtrinsic',
  'author_rotateKeys',
  'state_getChildKeys',
  'state_getChildReadProof',
  'state_getChildStorage',
  'state_getChildStorageHash',
  'state_getChildStorageSize',
  'state_getPairs',
  'state_traceBlock',
  'state_trieMigrationStatus',
  'system_addLogFilter',
  'system_addReservedPeer',
  'system_networkState',
  'system_removeReservedPeer',
  'system_reservedPeers',
  'system_resetLogFilter',
];
const KNOWN = new URL('../../vectors/polkadot-rpc.json', import.meta.url);

/** What is looked at in answers of the library. */
interface Answer {
  readonly number: { toNumber(): number };
  toString(): string;
}

interface Asked {
  readonly method: string;
  readonly failed?: string;
}

describe('devchain: polkadot.js Apps', function () {
  this.timeout(60_000);
  let chain: DevChain;
  let api: ApiPromise;
  let asked: Asked[];

  before(async () => {
    chain = await startChain({ mode: 'instant' });
    asked = [];
    const provider = new WsProvider(chain.endpoint, 1000, { origin: APPS });
    const send = provider.send.bind(provider);
    provider.send = async (method, params, ...rest) => {
      const entry: { method: string; failed?: string } = { method };
      asked.push(entry);
      try {
        return await send(method, params, ...rest);
      } catch (error) {
        entry.failed = String(error);
        throw error;
      }
    };
    api = await ApiPromise.create({ provider: provider as NonNullable<ApiOptions['provider']>, noInitWarn: true });
  });

  after(async () => {
    await api?.disconnect();
    await chain?.close();
  });

  afterEach(() => {
    const failed = asked.filter((entry) => entry.failed !== undefined);
    assert.deepEqual(failed, []);
  });

  /** The first answer of a subscription, which is ended then. */
  async function first(subscribe: (listener: (value: unknown) => void) => unknown): Promise<Answer> {
    const answer = Promise.withResolvers<unknown>();
    const stop = (await subscribe(answer.resolve)) as () => void;
    const value = await answer.promise;
    stop();
    return value as Answer;
  }

  it('start page: names, version, properties, health', async () => {
    const { system } = api.rpc;
    const [name, type, node, version] = await Promise.all([
      system.chain(),
      system.chainType(),
      system.name(),
      system.version(),
    ]);
    assert.equal(name.toString(), 'Tessera Devnet');
    assert.ok(type.isDevelopment);
    assert.ok(node.toString().length > 0 && version.toString().length > 0);
    assert.ok((await system.properties()).tokenSymbol.isSome);
    assert.ok(api.extrinsicVersion >= 4);
  });

  it('explorer: heads, events, a block with its author line, forks', async () => {
    await chain.newBlock(4);
    const header = await first((listener) => api.derive.chain.subscribeNewHeads(listener));
    assert.equal(header.number.toNumber(), chain.head().number);
    assert.equal(
      (await first((listener) => api.derive.chain.bestNumber(listener))).toString(),
      String(chain.head().number),
    );
    assert.equal(
      (await first((listener) => api.derive.chain.bestNumberFinalized(listener))).toString(),
      String(chain.finalizedHead().number),
    );
    assert.equal((await first((listener) => api.derive.chain.bestNumberLag(listener))).toString(), '2');
    const hash = await api.rpc.chain.getBlockHash(2);
    const block = await api.derive.chain.getBlock(hash);
    assert.equal(block.block.header.number.toNumber(), 2);
    assert.ok(block.extrinsics.every(({ events }) => events.length > 0));
    assert.equal((await api.derive.chain.getHeader(hash)).number.toNumber(), 2);
    assert.ok((await first((listener) => api.rpc.chain.subscribeAllHeads(listener))).number.toNumber() > 0);
    const events = api.query.system?.events;
    assert.ok(events);
    assert.ok((await first((listener) => events(listener))) !== undefined);
  });

  it('node info: peers, roles, addresses, what waits', async () => {
    const { system, author } = api.rpc;
    assert.ok((await system.health()).isSyncing.isFalse);
    assert.equal((await system.peers()).length, 0);
    assert.ok((await system.nodeRoles()).length > 0);
    assert.ok((await system.localPeerId()).length > 0);
    await system.localListenAddresses();
    assert.ok((await system.syncState()).currentBlock.toNumber() > 0);
    assert.equal((await author.pendingExtrinsics()).length, 0);
  });

  it('accounts: balances and nonces, many at once and as they change', async () => {
    const [alith, baltathar] = [devAccount(0).address, devAccount(1).address];
    const all = await api.derive.balances.all(alith);
    assert.equal(all.freeBalance.toBigInt(), 1_000_000n * ONE_TENSOR);
    assert.equal((await api.derive.balances.account(alith)).accountNonce.toNumber(), 0);
    const account = api.query.system?.account;
    assert.ok(account);
    const several = await account.multi([alith, baltathar]);
    assert.equal(several.length, 2);
    await api.derive.accounts.info(alith);
    assert.ok((await api.query.balances?.totalIssuance?.()) !== undefined);
  });

  it('chain state: entries, keys, constants, raw storage, runtime calls, an old block', async () => {
    const account = api.query.system?.account;
    assert.ok(account);
    assert.ok((await account.entries()).length > 10);
    const page = await account.entriesPaged({ args: [], pageSize: 5 });
    assert.equal(page.length, 5);
    assert.ok((await account.keys()).length > 10);
    assert.ok(api.consts.network?.epochLength);
    assert.equal((await api.rpc.state.getStorageSize(account.key(devAccount(0).address))).toNumber() > 0, true);
    assert.ok((await api.call.networkRuntimeApi?.getSubnetClock?.(128_001))?.isEmpty);
    const old = await api.at(await api.rpc.chain.getBlockHash(1));
    assert.equal((await old.query.system?.number?.())?.toString(), '1');
    await first((listener) => api.rpc.state.subscribeRuntimeVersion(listener));
    await first((listener) => api.rpc.state.subscribeStorage([account.key(devAccount(0).address)], listener));
  });

  it('extrinsics: fee, signing, following it into a block, a dry run', async () => {
    const call = api.tx.balances?.transferKeepAlive;
    assert.ok(call);
    const tx = call(devAccount(9).address, ONE_TENSOR);
    const from = devAccount(0);
    assert.ok((await tx.paymentInfo(from.address)).partialFee.toBigInt() > 0n);
    const done = Promise.withResolvers<string>();
    const stop = await tx.signAndSend(from, ({ status, dispatchError }) => {
      if (status.isInBlock) done.resolve(dispatchError?.toString() ?? 'in block');
    });
    assert.equal(await done.promise, 'in block');
    stop();
    const next = await call(devAccount(9).address, 1n).signAsync(from, { nonce: -1 });
    assert.ok((await api.rpc.system.dryRun(next.toHex())).isOk);
    assert.ok((await api.rpc.payment.queryFeeDetails(next.toHex(), chain.head().hash)).inclusionFee.isSome);
    assert.ok(asked.length > 60, `${asked.length} requests`);
  });

  it('the methods that the library knows are there, or refused as unknown', async () => {
    const client = await connectRaw(chain);
    const { methods } = (await client.call('rpc_methods')) as { readonly methods: readonly string[] };
    const known = (JSON.parse(readFileSync(KNOWN, 'utf8')) as { readonly methods: readonly string[] }).methods;
    assert.deepEqual(known.filter((name) => !methods.includes(name)).sort(), LEFT_OUT);
    for (const name of LEFT_OUT) assert.equal((await client.refusal(name)).code, -32601, name);
    client.close();
  });
});
