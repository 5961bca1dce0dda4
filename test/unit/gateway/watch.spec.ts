// What the page is told, over the twins of chain and overlay: who can be reached, which records were heard, why a node has its score.

import assert from 'node:assert/strict';
import { createHeadFeed } from '../../../src/chain/heads.ts';
import type { Chain, EpochResult, Submission, Subnet, SubnetNode } from '../../../src/chain/types.ts';
import type { DatedOffer } from '../../../src/client/directory.ts';
import { registerApi } from '../../../src/gateway/api.ts';
import { registerPage } from '../../../src/gateway/page.ts';
import { scoreReason } from '../../../src/gateway/sightings.ts';
import { createWatch, type Watch } from '../../../src/gateway/watch.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../../src/p2p/memory.ts';
import type { Overlay } from '../../../src/p2p/types.ts';
import type { BlockNumber, Epoch, Hash, NodeId, SubnetId } from '../../../src/types/ids.ts';
import type { HosterCommit } from '../../../src/types/record.ts';
import { silentLog } from '../../../src/util/log.ts';
import { recordTopic } from '../../../src/validator/topic.ts';
import { DIRECTORY_PROTOCOL } from '../../../src/wire/announce.ts';
import { signRecord } from '../../../src/wire/record.ts';
import { identityOf } from '../client/net.ts';
import { serve } from './support.ts';

const SUBNET = 128_001 as SubnetId;
const GENESIS = '07'.repeat(32);
const SLOT = 3;
const LENGTH = 20;
const ONE = 10n ** 18n;

describe('gateway: what a network does', () => {
  let network: MemoryNetwork;
  let overlays: Overlay[];
  let watch: Watch;
  let running: Promise<void>;
  let ending: AbortController;
  let feed: ReturnType<typeof createHeadFeed>;
  let submission: Submission | undefined;
  let result: EpochResult | undefined;
  let ms: number;

  const nodes = [1, 2].map((id) => ({
    id,
    nodeClass: 'Validator',
    stake: BigInt(id) * ONE,
    peerInfo: { peer: identityOf(id).peer },
  })) as unknown as readonly SubnetNode[];

  async function runTo(block: number): Promise<void> {
    feed.publish({ number: block as BlockNumber, hash: `0x${'00'.repeat(32)}` as Hash });
    for (let i = 0; i < 20; i += 1) {
      await network.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  function commitOf(node: number, signer = node): Uint8Array {
    const body: HosterCommit = {
      kind: 'hc',
      genesis: new Uint8Array(32).fill(7),
      subnet: SUBNET,
      epoch: 1 as Epoch,
      node: node as NodeId,
      commitment: new Uint8Array(32),
      manifest: new Uint8Array(32),
      audits: false,
    };
    return signRecord(body, identityOf(signer)).bytes;
  }

  beforeEach(async () => {
    network = createMemoryNetwork();
    feed = createHeadFeed();
    ending = new AbortController();
    submission = undefined;
    result = undefined;
    ms = 0;
    overlays = nodes.map(({ id }) => network.join(identityOf(id)));
    for (const overlay of overlays) {
      const options = { maxFrameBytes: 100, admit: () => true, maxStreamsPerPeer: 4 };
      await overlay.handleRequest(DIRECTORY_PROTOCOL, options, async () => new Uint8Array(1));
    }
    const chain: Pick<Chain, 'heads' | 'nodes' | 'electedValidator' | 'submission' | 'result'> = {
      heads: (_kind, signal) => feed.stream(signal),
      nodes: async () => nodes,
      electedValidator: async () => 2 as NodeId,
      submission: async (_, epoch) => (epoch === 2 ? submission : undefined),
      result: async (_, epoch) => (epoch === 2 ? result : undefined),
    };
    const subnet = { id: SUBNET, name: 'stories', slot: SLOT } as unknown as Subnet;
    const offers = nodes.slice(0, 1).map(({ id, peerInfo: { peer } }) => ({ node: id, peer, shards: [0], load: 5 }));
    watch = createWatch(
      {
        subnet,
        genesis: GENESIS,
        epochLength: LENGTH,
        shardCount: 2,
        model: { name: 'tiny', hash: 'ab', maxContext: 64 },
      },
      {
        chain,
        overlay: network.join(identityOf(100)),
        directory: { offers: () => offers as unknown as readonly DatedOffer[] },
        verify: verifySignature,
        now: () => ms,
        log: silentLog,
      },
    );
    running = watch.run(ending.signal);
  });

  afterEach(async () => {
    ending.abort();
    await running;
    feed.close();
  });

  it('is not ready without heads, and tells what is missing', async () => {
    assert.equal(watch.vitals().block, undefined);
    await runTo(45);
    ms = 1_500;
    assert.deepEqual(watch.vitals(), { block: 45, headAgeMs: 1_500, missing: [1], peers: 2 });
  });

  it('tells the moment, the nodes and the coverage', async () => {
    await runTo(45);
    const { moment, nodes: shown, coverage, history } = watch.state();
    assert.deepEqual(moment, {
      epoch: 2,
      offset: 2,
      phase: 'prompt',
      windows: { commit: 3, reveal: 10, score: 13, length: 20 },
    });
    assert.deepEqual(coverage, [[1], []]);
    assert.deepEqual(
      shown.map(({ id, health, load, shards }) => [id, health, load, shards]),
      [
        [1, 'up', 5, [0]],
        [2, 'up', null, []],
      ],
    );
    assert.deepEqual(history, [
      {
        epoch: 2,
        block: 45,
        stakes: [
          { node: 1, stake: '1000000000000000000' },
          { node: 2, stake: '2000000000000000000' },
        ],
      },
    ]);
  });

  it('a node that is gone is down at the next head', async () => {
    await runTo(45);
    await overlays[0]?.close();
    await runTo(46);
    assert.deepEqual(
      watch.state().nodes.map(({ health, latencyMs }) => [health, latencyMs]),
      [
        ['down', null],
        ['up', null],
      ],
    );
    assert.deepEqual(watch.state().coverage, [[], []], 'its announce is fresh still, and nobody is there');
    assert.deepEqual(watch.vitals().missing, [0, 1]);
  });

  it('hears records of registered nodes, once, and no forged ones', async () => {
    await runTo(30);
    let changes = 0;
    watch.onChange(() => {
      changes += 1;
    });
    const [first] = overlays;
    for (const record of [commitOf(1), commitOf(2, 1), commitOf(9), Uint8Array.of(1, 2)]) {
      await first?.publish(recordTopic(SUBNET), record);
      await network.flush();
    }
    assert.equal(changes, 1);
    await runTo(31);
    assert.deepEqual(watch.state().epochs.find(({ epoch }) => epoch === 1)?.heard, { hc: [1] });
  });

  it('tells scores with everybody in them, and how the epoch ended', async () => {
    await runTo(30);
    await overlays[0]?.publish(recordTopic(SUBNET), commitOf(1));
    submission = {
      proposer: 2 as NodeId,
      block: 44 as BlockNumber,
      scores: [{ nodeId: 2 as NodeId, score: ONE }],
      args: new Uint8Array(0),
      attests: [],
      validators: [1 as NodeId, 2 as NodeId],
      nodes: [1, 2].map((id) => ({ id: id as NodeId, nodeClass: 'Validator', startEpoch: 0 as Epoch })),
    };
    await runTo(45);
    const open = watch.state().epochs[0];
    assert.deepEqual([open?.epoch, open?.outcome, open?.minted], [2, 'Open', null]);
    assert.deepEqual(open?.scores, [
      { node: 1, share: 0, reason: 'committed, and did not reveal' },
      { node: 2, share: 1000, reason: 'scored others in agreement' },
    ]);
    result = { outcome: 'Accepted', attestationRatio: ONE, minted: 5n, slashed: 0n };
    await runTo(63);
    const settled = watch.state().epochs.find(({ epoch }) => epoch === 2);
    assert.deepEqual([settled?.outcome, settled?.minted, settled?.proposer], ['Accepted', '5', 2]);
  });

  const reasons: readonly [number, boolean, Record<string, number[]>, RegExp][] = [
    [5, true, { hc: [1], hr: [1] }, /answered/],
    [0, true, { hr: [2] }, /committed to no answer/],
    [0, true, { hc: [1] }, /did not reveal/],
    [0, true, { hc: [1], hr: [1] }, /did not count/],
    [0, false, { sr: [1] }, /unlike/],
    [0, false, { sc: [1] }, /revealed no scores/],
    [0, true, {}, /not watched/],
  ];
  for (const [share, hosts, heard, expected] of reasons) {
    it(`a reason: ${expected.source}`, () => assert.match(scoreReason({ node: 1, share, hosts }, heard), expected));
  }

  it('goes out as JSON once, and as events after each change; the page comes from its sources', async () => {
    await runTo(45);
    const served = await serve({
      register: (app, closing) => {
        registerApi(app, watch, closing);
        registerPage(app);
      },
    });
    const { url } = served.gateway;
    const state = (await (await fetch(`${url}/api/state`)).json()) as { chain: { block: number } };
    assert.equal(state.chain.block, 45);
    const events = await fetch(`${url}/api/events`);
    const reader = events.body?.getReader();
    const read = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value);
    assert.match(await read(), /^event: state\ndata: \{.*"block":45/);
    await runTo(46);
    assert.match(await read(), /"block":46/);

    const page = await fetch(`${url}/`);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.match(await page.text(), /src="\/page\/main\.ts"/);
    const script = await fetch(`${url}/page/figures.ts`);
    assert.match(script.headers.get('content-type') ?? '', /^text\/javascript/);
    assert.doesNotMatch(await script.text(), /: string/);
    for (const name of ['tsconfig.json', '..%2fpackage.json', 'none.ts', '%2e%2e%2findex.ts']) {
      assert.equal((await fetch(`${url}/page/${name}`)).status, 404, name);
    }
    await served.gateway.close();
    const last = await reader?.read().catch(() => ({ done: true }));
    assert.equal(last?.done, true, 'closing ends the events');
  });
});
