import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiPromise } from '@polkadot/api';
import { openSigner } from '../../src/chain/accounts.ts';
import { createMemoryChain } from '../../src/chain/memory.ts';
import { createProvider } from '../../src/chain/substrate/provider.ts';
import { openSocket } from '../../src/chain/substrate/rpc-socket.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain } from '../../src/chain/types.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { withGenesis } from '../../src/devchain/genesis.ts';
import { type RawSpec, readSpec } from '../../src/devchain/spec.ts';
import type { Hash, SubnetId } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { devChainPlace, knows } from '../support/chain-place.ts';
import { EPOCH_LENGTH, GRACE_EPOCHS, peer, testChain } from './chain.ts';

const SPEC = new URL('../../chain/spec/devnet.json', import.meta.url).pathname;
const deps = { log: silentLog };

testChain('memory', async () => {
  const memory = createMemoryChain({ epochLength: EPOCH_LENGTH, activationGraceEpochs: GRACE_EPOCHS });
  return {
    chain: memory.chain,
    runTo: (block) => memory.runTo(block),
    include: (work) => memory.include(work),
    close: () => memory.chain.close(),
  };
});

testChain('polkadot.js on the dev chain', async () => {
  const patch = `{"network":{"activationGraceEpochs":${GRACE_EPOCHS}}}`;
  const spec = withGenesis(readSpec(SPEC), { preset: 'devnet', patch }, deps);
  const devChain = await createDevChain({ spec, mode: 'manual' }, deps);
  const chain = await connectChain({ endpoints: [devChain.endpoint] }, deps);
  return devChainPlace(devChain, chain);
});

const SUBNET = 1 as SubnetId;

describe('chain: polkadot.js, endpoints', function () {
  this.timeout(60_000);
  let folder: string;
  let devChain: DevChain;
  let chain: Chain;
  let spec: RawSpec;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-chain-'));
    spec = readSpec(SPEC);
    devChain = await start(0);
    chain = await connectChain({ endpoints: ['ws://127.0.0.1:1', devChain.endpoint] }, deps);
  });
  after(async () => {
    await chain?.close();
    await devChain?.close();
    rmSync(folder, { recursive: true });
  });

  function start(port: number): Promise<DevChain> {
    return createDevChain({ spec, mode: 'manual', dbFile: join(folder, 'chain.jsonl'), port }, deps);
  }

  it('goes on after the endpoint was away: reads wait, heads come again, waiting transactions get in', async () => {
    const [owner, other] = [await openSigner('//dev:0'), await openSigner('//dev:1')];
    await devChain.newBlock(5);
    await knows(chain, devChain);
    const seen: number[] = [];
    const finals: number[] = [];
    const stop = new AbortController();
    const follow = async (kind: 'best' | 'finalized', into: number[]) => {
      for await (const { number } of chain.heads(kind, stop.signal)) into.push(number);
    };
    const told: number[] = [];
    const followEvents = async () => {
      for await (const { block } of chain.subnetEvents(SUBNET, {}, stop.signal)) told.push(block.number);
    };
    const { number: begun } = await chain.head('finalized');
    const following = Promise.all([follow('best', seen), follow('finalized', finals), followEvents()]);
    const sent = chain.transfer(owner, other.address, 7n);
    sent.catch(() => undefined);
    await poolHas(devChain, 1);
    const provesStake = () => chain.provesStake(SUBNET, peer(0), 0);
    assert.equal(await provesStake(), false);

    const { port } = new URL(devChain.endpoint);
    await devChain.close();
    const isConnected = () =>
      chain.info(AbortSignal.timeout(50)).then(
        () => true,
        () => false,
      );
    while (await isConnected()) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(await provesStake(), false, 'the last answer stands while the chain is away');
    const read = chain.account(other.address);
    devChain = await start(Number(port));
    assert.equal((await read).free, 1_000_000n * 10n ** 18n, 'the pool of a chain in memory is gone');
    await devChain.newBlock(4);
    const release = devChain.authorOnDemand();
    const receipt = await sent;
    release();
    assert.ok(receipt.block.number > 6);
    assert.equal((await chain.account(other.address)).free, 1_000_000n * 10n ** 18n + 7n);
    await knows(chain, devChain);
    const { number: final } = await chain.head('finalized');
    while ((told.at(-1) ?? 0) < final) await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    await following;
    const all = Array.from({ length: final - begun }, (_, i) => begun + 1 + i);
    assert.deepEqual(told, all, 'blocks that came meanwhile are read one by one, and none twice');
    assert.equal(seen.at(-1), devChain.head().number);
    assert.deepEqual(
      finals,
      [...new Set(finals)].sort((a, b) => a - b),
      'finality never goes back',
    );
  });

  it('finds a transaction again that a reorganization moved to another block', async () => {
    const [owner, other] = [await openSigner('//dev:0'), await openSigner('//dev:1')];
    const before = await chain.account(other.address);
    const sent = chain.transfer(owner, other.address, 1n, { until: 'finalized' });
    await poolHas(devChain, 1);
    const { hash } = await devChain.newBlock();
    await knows(chain, devChain);
    await call(devChain, 'dev_reorg', [{ depth: 1, blocks: 2 }]);
    await devChain.newBlock(3);
    const receipt = await sent;
    assert.notEqual(receipt.block.hash, hash);
    assert.equal(await chain.blockHash(receipt.block.number), receipt.block.hash);
    assert.equal((await chain.account(other.address)).free, before.free + 1n);
  });

  it('tells apart what happened to two transactions of one block', async () => {
    const [rich, poor] = [await openSigner('//dev:0'), await openSigner('//dev:6')];
    const paid = chain.transfer(rich, poor.address, 1n);
    const unpaid = chain.transfer(poor, rich.address, 5000n * 10n ** 18n);
    const isFailed = (error: unknown) => errorCode(error) === 'EXTRINSIC_FAILED';
    const refused = assert.rejects(unpaid, isFailed);
    await poolHas(devChain, 2);
    const { number } = await devChain.newBlock();
    assert.equal((await paid).block.number, number);
    assert.deepEqual((await paid).events.filter(({ name }) => name === 'Transfer').length, 1);
    await refused;
  });

  it('goes to the next endpoint when the first is gone, and refuses to change the chain', async () => {
    const patch = '{"network":{"activationGraceEpochs":9}}';
    const stranger = await createDevChain(
      { spec: withGenesis(spec, { preset: 'devnet', patch }, deps), mode: 'manual' },
      deps,
    );
    const [first, second] = [
      await createDevChain({ spec, mode: 'manual' }, deps),
      await createDevChain({ spec, mode: 'manual' }, deps),
    ];
    const client = await connectChain({ endpoints: [first.endpoint, stranger.endpoint, second.endpoint] }, deps);
    try {
      await second.newBlock(7);
      await first.close();
      await knows(client, second);
      assert.equal((await client.head('best')).hash, second.head().hash);
      assert.equal((await client.info()).genesis, second.genesisHash);
    } finally {
      await client.close();
      await Promise.all([first, second, stranger].map((each) => each.close()));
    }
  });

  it('leaves an endpoint that makes no progress', async () => {
    const [stuck, alive] = [
      await createDevChain({ spec, mode: 'manual' }, deps),
      await createDevChain({ spec, mode: 'manual' }, deps),
    ];
    await alive.newBlock(9);
    const endpoints = [stuck.endpoint, alive.endpoint];
    const client = await connectChain({ endpoints, silenceMs: 30 }, deps);
    try {
      assert.equal((await client.head('best')).hash, stuck.head().hash);
      await knows(client, alive);
      assert.equal(stuck.head().number, 1);
    } finally {
      await client.close();
      await Promise.all([stuck.close(), alive.close()]);
    }
  });

  it('says so when no endpoint answers, or another chain does', async () => {
    await assert.rejects(connectChain({ endpoints: ['ws://127.0.0.1:1', 'no address'] }, deps), (error) => {
      return errorCode(error) === 'CHAIN_UNREACHABLE' && /127\.0\.0\.1:1, no address/.test(String(error));
    });
    const genesis = `0x${'12'.repeat(32)}` as Hash;
    await assert.rejects(connectChain({ endpoints: [devChain.endpoint], genesis }, deps), (error) => {
      return errorCode(error) === 'CHAIN_WRONG_GENESIS' && String(error).includes(devChain.genesisHash);
    });
  });
});

async function poolHas(devChain: DevChain, count: number): Promise<void> {
  for (;;) {
    const waiting = (await call(devChain, 'author_pendingExtrinsics', [])) as readonly string[];
    if (waiting.length >= count) return;
  }
}

async function call(devChain: DevChain, method: string, params: readonly unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const headers = { 'content-type': 'application/json' };
  const answer = (await (await fetch(devChain.httpEndpoint, { method: 'POST', body, headers })).json()) as {
    readonly result: unknown;
    readonly error?: unknown;
  };
  assert.equal(answer.error, undefined);
  return answer.result;
}

describe('chain: words for errors', () => {
  it('has a sentence for every error of the pallet', async () => {
    const { NETWORK_ERRORS } = await import('../../src/chain/errors.ts');
    const source = readFileSync(new URL('../../chain/pallets/network/src/lib.rs', import.meta.url), 'utf8');
    const list = /pub enum Error<T> \{([^}]*)\}/.exec(source)?.[1] ?? '';
    const names = [...list.matchAll(/^\s*([A-Z][A-Za-z]+),/gm)].map((match) => match[1] ?? '');
    assert.ok(names.length > 60, String(names.length));
    assert.deepEqual(
      names.filter((name) => NETWORK_ERRORS[name] === undefined),
      [],
    );
  });

  it('has a sentence for every error in the metadata of the committed spec, and none for errors that are gone', async () => {
    const { NETWORK_ERRORS } = await import('../../src/chain/errors.ts');
    const devChain = await createDevChain({ spec: SPEC, mode: 'manual' }, deps);
    const socket = await openSocket(devChain.endpoint, AbortSignal.timeout(20_000));
    const api = await ApiPromise.create({ provider: createProvider(socket), noInitWarn: true, initWasm: false });
    try {
      assert.deepEqual(Object.keys(api.errors.network ?? {}).sort(), Object.keys(NETWORK_ERRORS).sort());
    } finally {
      socket.close();
      await devChain.close();
    }
  });
});
