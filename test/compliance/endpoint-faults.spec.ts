// The chain client behind endpoints that misbehave: a real dev chain, a real proxy that spoils what passes, and a clock in the test's hand.
// Every call ends within its deadline with a coded error, or with the answer of another endpoint.

import assert from 'node:assert/strict';
import { openSigner } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { type Chain, ChainError, type Signer } from '../../src/chain/types.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { decompressCode } from '../../src/devchain/executor.ts';
import { withGenesis } from '../../src/devchain/genesis.ts';
import { type RawSpec, readSpec } from '../../src/devchain/spec.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import type { Epoch, Hash, SubnetId } from '../../src/types/ids.ts';
import { fromHex, toHex } from '../../src/util/bytes.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Fault, type FaultyProxy, type Passing, startFaultyProxy } from '../support/faulty-proxy.ts';
import { createManualTimers, type ManualTimers } from '../support/manual-timers.ts';

const READ_MS = 5_000;
const SUBMIT_MS = 10_000;
const SILENCE_MS = 30_000;
const SUBNET = 128_001 as SubnetId;
const PEER = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp' as Parameters<Chain['provesStake']>[1];

const immediate = () => new Promise((resolve) => setImmediate(resolve));
const isHeadNotice = ({ method }: Passing) => /^chain_(newHead|finalizedHead|allHead)$/.test(method);

/** The header inside a notice, changed. */
function withHeader(message: Record<string, unknown>, change: object): Record<string, unknown> {
  const params = message.params as { readonly result: object };
  return { ...message, params: { ...params, result: { ...params.result, ...change } } };
}

describe('chain client: endpoints that misbehave', () => {
  let spec: RawSpec;
  let owner: Signer;
  let timers: ManualTimers;
  let bad: DevChain;
  let good: DevChain;
  let proxy: FaultyProxy;
  let chain: Chain;
  const closers: (() => Promise<void>)[] = [];

  before(async () => {
    spec = readSpec(BUNDLED_SPEC);
    owner = await openSigner('//dev:0');
  });

  beforeEach(async () => {
    timers = createManualTimers();
    [bad, good] = [await startDevChain(), await startDevChain()];
    proxy = await startFaultyProxy(bad.endpoint);
    closers.push(() => proxy.close());
  });

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  async function startDevChain(of: RawSpec = spec): Promise<DevChain> {
    const devChain = await createDevChain({ spec: of, mode: 'manual' }, { log: silentLog });
    closers.push(() => devChain.close());
    return devChain;
  }

  async function connect(...endpoints: readonly string[]): Promise<Chain> {
    chain = await connectChain({ endpoints }, { log: silentLog, timers });
    closers.push(() => chain.close());
    return chain;
  }

  /** Resolves when the client has heard of this block. */
  async function hears(hash: string): Promise<void> {
    for await (const head of chain.heads('best', AbortSignal.timeout(20_000))) if (head.hash === hash) return;
    assert.fail(`the client did not hear of ${hash}`);
  }

  /** Time passes until the work is done; answers what came of it, and how long that took. */
  async function passing<T>(work: Promise<T>): Promise<{ ms: number; value?: T; code?: string }> {
    const from = timers.now();
    let outcome: { value?: T; code?: string } | undefined;
    work.then(
      (value) => {
        outcome = { value };
      },
      (error: unknown) => {
        outcome = { code: error instanceof ChainError ? errorCode(error) : `not coded: ${error}` };
      },
    );
    for (let turn = 0; outcome === undefined; turn++) {
      assert.ok(timers.now() - from < 120_000, 'a call hangs');
      await immediate();
      if (turn % 10 === 9) timers.advance(100);
    }
    return { ms: timers.now() - from, ...outcome };
  }

  /** A call of every kind: storage, several reads in one, runtime API, a plain request, a cached question. */
  const CALLS: Readonly<Record<string, (hash: Hash) => Promise<unknown>>> = {
    account: () => chain.account(owner.address),
    subnet: () => chain.subnet(SUBNET),
    holdings: () => chain.holdings(owner.address),
    blockHash: () => chain.blockHash(1 as never),
    events: (hash) => chain.events(hash),
    electedValidator: () => chain.electedValidator(SUBNET, 1 as Epoch),
    nodeByPeerId: () => chain.nodeByPeerId(SUBNET, PEER),
    previousResults: () => chain.previousResults(SUBNET, 3),
    provesStake: () => chain.provesStake(SUBNET, PEER, 1),
    transfer: () => chain.transfer(owner, owner.address, 1n, { dryRun: true }),
    cleanExpired: () => chain.cleanExpired(owner, SUBNET),
    attest: () => chain.attest(owner, SUBNET, 1 as Epoch, new Uint8Array(32)),
  };

  const swallowAll: Fault = { request: () => undefined, answer: () => undefined, connect: 'ignore' };
  /** What may be said where nobody answers. */
  const AWAY = ['CHAIN_UNREACHABLE', 'CHAIN_TIMEOUT'];

  for (const [name, fault, isCut] of [
    ['closed', { connect: 'refuse' }, true],
    ['hanging from now on', swallowAll, false],
    ['hanging when connected to', { connect: 'ignore' }, true],
    ['accepting and dropping', { connect: 'drop' }, true],
    ['silent about what it is asked', { request: () => undefined }, true],
  ] as const satisfies readonly (readonly [string, Fault, boolean])[]) {
    it(`alone and ${name}: every call ends with a coded error, and works again afterwards`, async () => {
      await connect(proxy.endpoint);
      const { hash } = bad.head();
      await hears(hash);
      proxy.fault(fault);
      if (isCut) proxy.cut();
      const calls = Object.entries(CALLS).map(async ([call, run]) => [call, await passing(run(hash as Hash))] as const);
      for (const [call, { code = 'answered', ms }] of await Promise.all(calls)) {
        assert.ok(AWAY.includes(code), `${call}: ${code}`);
        // Calls of two steps: the connection, then each read twice.
        assert.ok(ms <= 4 * READ_MS, `${call}: ${ms} ms`);
      }
      proxy.fault({});
      const account = await untilAnswered(() => chain.account(owner.address));
      assert.equal(account.free, 10n ** 24n);
    });
  }

  /** Asks again while the endpoint is still being reached. */
  async function untilAnswered<T>(ask: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      const { value, code } = await passing(ask());
      if (code === undefined) return value as T;
      assert.ok(AWAY.includes(code) && tries < 30, code);
    }
  }

  it('closed: the next endpoint answers what was asked', async () => {
    await good.newBlock(3);
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault({ request: () => undefined });
    const asked = proxy.asked('state_getStorage');
    const read = chain.account(owner.address);
    await asked;
    proxy.fault({ connect: 'refuse' });
    proxy.cut();
    assert.equal((await read).free, 10n ** 24n);
    assert.equal((await chain.head('best')).hash, good.head().hash);
  });

  it('hanging: a read that nobody answers is asked of the next endpoint after 5 s', async () => {
    await good.newBlock(3);
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault({ answer: () => undefined });
    const asked = proxy.asked('state_getStorage');
    const read = chain.account(owner.address);
    await asked;
    timers.advance(READ_MS);
    assert.equal((await read).free, 10n ** 24n);
    assert.equal((await chain.head('best')).hash, good.head().hash);
  });

  it('hanging when connected to: the next one is tried after 5 s', async () => {
    proxy.fault({ connect: 'ignore' });
    const connecting = connect(proxy.endpoint, good.endpoint);
    while (proxy.connections() === 0) await immediate();
    timers.advance(READ_MS);
    assert.equal((await (await connecting).head('best')).hash, good.head().hash);
  });

  it('hanging with the metadata: the next one is tried after 15 s', async () => {
    const asked = proxy.asked('state_call');
    proxy.fault({ answer: (passed) => (passed.method === 'state_call' ? undefined : passed.message) });
    const connecting = connect(proxy.endpoint, good.endpoint);
    await asked;
    timers.advance(15_000);
    assert.equal((await (await connecting).head('best')).hash, good.head().hash);
  });

  it('hanging with the first heads: that is no answer, and no raw error', async () => {
    proxy.fault({ answer: (passed) => (isHeadNotice(passed) ? undefined : passed.message) });
    const asked = proxy.asked('chain_subscribeFinalizedHeads');
    const connecting = connect(proxy.endpoint);
    const refused = assert.rejects(connecting, (error) => errorCode(error) === 'CHAIN_TIMEOUT');
    await asked;
    timers.advance(READ_MS);
    await refused;
  });

  it('hanging with a transaction: it is offered to the next endpoint, and is in a block once', async () => {
    const to = (await openSigner('//dev:1')).address;
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault({ request: ({ method, message }) => (method === 'author_submitExtrinsic' ? undefined : message) });
    const asked = proxy.asked('author_submitExtrinsic');
    const sent = chain.transfer(owner, to, 7n);
    await asked;
    timers.advance(SUBMIT_MS);
    const stop = good.authorOnDemand();
    while ((await chain.head('best')).hash !== good.head().hash) await immediate();
    await good.newBlock(3);
    assert.ok((await sent).block.number > 4);
    stop();
    assert.equal((await chain.account(to)).free, 10n ** 24n + 7n);
  });

  it('accepting and dropping: it is left alone for longer each time, and its heads come again', async () => {
    await connect(proxy.endpoint);
    proxy.fault({ connect: 'drop' });
    const before = proxy.connections();
    proxy.cut();
    for (const [tries, rest] of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].entries()) {
      await timers.asked((ms) => ms > rest / 2 - 1 && ms <= rest && ms !== READ_MS && ms !== 10_000);
      for (let turn = 0; turn < 10; turn++) await immediate();
      assert.equal(proxy.connections(), before + tries, `no connection without a rest of ${rest} ms`);
      const next = proxy.connections() + 1;
      timers.advance(rest);
      while (proxy.connections() < next) await immediate();
    }
    proxy.fault({});
    await timers.asked((ms) => ms > 14_999 && ms <= 30_000);
    timers.advance(30_000);
    await bad.newBlock();
    await hears(bad.head().hash);
  });

  it('lagging: left for one that is more than 20 blocks ahead, but not for one that is 20 ahead', async () => {
    await connect(proxy.endpoint, good.endpoint);
    await good.newBlock(20);
    await lookAround();
    assert.equal((await chain.head('best')).hash, bad.head().hash);
    await good.newBlock(1);
    timers.advance(SILENCE_MS / 3);
    await hears(good.head().hash);
  });

  /** One look at the other endpoints that changes nothing: it is over when the next one is waited for. */
  async function lookAround(): Promise<void> {
    timers.advance(SILENCE_MS / 3);
    await timers.asked((ms) => ms === SILENCE_MS / 3);
  }

  it('no longer finalizing: left for one that does, when 30 s have passed', async () => {
    await connect(proxy.endpoint, good.endpoint);
    await good.newBlock(5);
    proxy.fault({ answer: (passed) => (passed.method === 'chain_finalizedHead' ? undefined : passed.message) });
    await bad.newBlock(4);
    await hears(bad.head().hash);
    await lookAround();
    await lookAround();
    assert.equal((await chain.head('best')).hash, bad.head().hash);
    timers.advance(SILENCE_MS / 3);
    await hears(good.head().hash);
    assert.equal((await chain.head('finalized')).number, good.finalizedHead().number);
  });

  it('well again for a minute: the preferred one is taken back', async () => {
    proxy.fault({ connect: 'refuse' });
    await connect(proxy.endpoint, good.endpoint);
    await good.newBlock();
    await hears(good.head().hash);
    proxy.fault({});
    timers.advance(500);
    for (let look = 0; look < 7; look++) {
      assert.equal((await chain.head('best')).hash, good.head().hash);
      await lookAround();
    }
    await hears(bad.head().hash);
  });

  for (const [name, change] of [
    ['a number that it invents', { number: '0x100000' }],
    ['a hash that it invents', { stateRoot: `0x${'11'.repeat(32)}`, parentHash: `0x${'22'.repeat(32)}` }],
  ] as const) {
    it(`lying about its head, ${name}: left at once, and none of it is told`, async () => {
      await connect(proxy.endpoint, good.endpoint);
      const told: number[] = [];
      const stop = new AbortController();
      const listening = (async () => {
        for await (const { number } of chain.heads('best', stop.signal)) told.push(number);
      })();
      proxy.fault({
        answer: (passed) => (passed.method === 'chain_newHead' ? withHeader(passed.message, change) : passed.message),
      });
      await good.newBlock(2);
      await bad.newBlock(1);
      await hears(good.head().hash);
      stop.abort();
      await listening;
      assert.ok(
        told.every((number) => number <= 3),
        told.join(),
      );
    });
  }

  it('lying about a finalized head: left at once', async () => {
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault({
      answer: (passed) =>
        passed.method === 'chain_finalizedHead' ? withHeader(passed.message, { number: '0x100000' }) : passed.message,
    });
    await good.newBlock(9);
    await bad.newBlock(4);
    await hears(good.head().hash);
    assert.equal((await chain.head('finalized')).number, good.finalizedHead().number);
  });

  it('telling heads that are none: left at once', async () => {
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault({
      answer: (passed) =>
        passed.method === 'chain_newHead' ? withHeader(passed.message, { number: 'seven', digest: 7 }) : passed.message,
    });
    await good.newBlock(2);
    await bad.newBlock(1);
    await hears(good.head().hash);
  });

  it('silent about events: no id of a subnet is made up', async () => {
    await connect(proxy.endpoint);
    proxy.fault({
      answer: ({ method, message }) => (method === 'state_getStorage' ? { ...message, result: null } : message),
    });
    const boot = `/ip4/127.0.0.1/tcp/30000/p2p/${PEER}`;
    const stop = bad.authorOnDemand();
    const registered = chain.registerSubnet(owner, {
      name: 'quiet',
      repo: 'https://example.org/quiet',
      description: '',
      misc: new Uint8Array(),
      minStake: 100n * 10n ** 18n,
      maxStake: 900n * 10n ** 18n,
      delegateStakePercentage: 10n ** 17n,
      bootnodes: new Map([[PEER, boot]]),
      maxCost: 10n * 10n ** 18n,
    });
    await assert.rejects(registered, (error) => errorCode(error) === 'CHAIN_UNSUPPORTED');
    stop();
  });

  it('on the wrong chain after a while: never used, neither for reads nor for heads', async () => {
    const patch = '{"network":{"activationGraceEpochs":9}}';
    const stranger = await startDevChain(withGenesis(spec, { preset: 'devnet', patch }, { log: silentLog }));
    await stranger.newBlock(50);
    await connect(proxy.endpoint);
    const { hash } = await chain.head('best');
    proxy.lead(stranger.endpoint);
    proxy.cut();
    const { code, ms } = await passing(chain.account(owner.address));
    assert.ok(AWAY.includes(code ?? ''), code);
    assert.ok(ms <= 2 * READ_MS, String(ms));
    const first = chain.heads('best', AbortSignal.timeout(20_000))[Symbol.asyncIterator]();
    assert.equal((await first.next()).value?.hash, hash);
    await assert.rejects(
      connectChain(
        { endpoints: [proxy.endpoint], genesis: bad.genesisHash as Hash },
        { log: silentLog, timers: createManualTimers() },
      ),
      (error) => errorCode(error) === 'CHAIN_WRONG_GENESIS',
    );
  });

  const VERSIONED = ['state_runtimeVersion', 'state_getRuntimeVersion'];

  /** The version in answers and notices, one higher. */
  function upgraded({ method, message }: Passing): Record<string, unknown> {
    if (!VERSIONED.includes(method)) return message;
    const raise = (version: unknown) => {
      const { specVersion, ...rest } = version as { readonly specVersion: number };
      return { ...rest, specVersion: specVersion + 1 };
    };
    if (message.params === undefined) return { ...message, result: raise(message.result) };
    const params = message.params as { readonly result: unknown };
    return { ...message, params: { ...params, result: raise(params.result) } };
  }

  /** The same runtime in other bytes: the dev chain tells its version again. */
  async function replaceCode(devChain: DevChain): Promise<void> {
    const code = decompressCode(fromHex(spec.genesis.raw.top['0x3a636f6465'] ?? ''));
    const body = JSON.stringify({ id: 1, method: 'dev_setStorage', params: [[['0x3a636f6465', `0x${toHex(code)}`]]] });
    await fetch(devChain.httpEndpoint, { method: 'POST', body });
    await devChain.newBlock();
  }

  it('under a runtime upgrade: the connection is made anew with the new metadata', async () => {
    await connect(proxy.endpoint);
    const { specVersion } = await chain.info();
    proxy.fault({ answer: upgraded });
    await replaceCode(bad);
    await timers.asked((ms) => ms > 249 && ms <= 500);
    const info = chain.info();
    timers.advance(500);
    assert.equal((await info).specVersion, specVersion + 1);
    assert.equal((await chain.account(owner.address)).free, 10n ** 24n);
    await hears(bad.head().hash);
  });

  it('under a runtime upgrade whose metadata does not come: the next endpoint answers meanwhile', async () => {
    await good.newBlock(3);
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault({ answer: (passed) => (passed.method === 'state_call' ? undefined : upgraded(passed)) });
    await replaceCode(bad);
    await hears(good.head().hash);
    assert.equal((await chain.account(owner.address)).free, 10n ** 24n);
  });

  it('closes without leaving anything behind, whatever it was doing', async () => {
    await connect(proxy.endpoint, good.endpoint);
    proxy.fault(swallowAll);
    const calls = Object.values(CALLS).map((run) => run(bad.head().hash as Hash));
    const ended = Promise.all(
      calls.map((call) => assert.rejects(call, (error) => errorCode(error) === 'CHAIN_UNREACHABLE')),
    );
    await immediate();
    await chain.close();
    await ended;
    await assert.rejects(chain.account(owner.address), (error) => errorCode(error) === 'CHAIN_UNREACHABLE');
  });
});
