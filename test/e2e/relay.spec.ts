// Hosters that nobody can dial answer a prompt together through a relay, for a client that knows the relay alone; those that can be dialled answer without it
// once they have met there.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHeadFeed } from '../../src/chain/heads.ts';
import { createClient } from '../../src/client/client.ts';
import { createDirectory } from '../../src/client/directory.ts';
import type { GenerateOptions } from '../../src/client/generation.ts';
import { generateLocal } from '../../src/client/local.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createOverlay, type OverlayOptions } from '../../src/p2p/libp2p.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import type { BlockNumber, Hash, NodeId, PeerId, ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { announceTopic } from '../../src/wire/announce.ts';
import { until } from '../compliance/overlay.ts';
import { HOPS_GENESIS, HOPS_SUBNET, hopNodes } from '../support/hop-process.ts';
import { writeRandomModel } from '../support/random-model.ts';
import { judgedShards } from '../support/served.ts';

const PATIENCE_MS = 120_000;
const SHARDS = 3;
const RELAY = 50;
const CLIENT = 60;
const PROMPT = Array.from({ length: 70 }, (_, i) => 4 + ((i * 37) % 250));
const OPTIONS: GenerateOptions = { maxTokens: 16, temperature: 0.8, topK: 20, topP: 0.9, seed: 3n, stopIds: [] };
const TOPIC = announceTopic(HOPS_SUBNET);

const AT_RELAY = '/p2p-circuit';

describe('hosters behind a relay', function () {
  this.timeout(PATIENCE_MS);
  tellStory([AT_RELAY]);
});

describe('hosters that meet at a relay and can be dialled', function () {
  this.timeout(PATIENCE_MS);
  tellStory([AT_RELAY, '/ip4/127.0.0.1/tcp/0']);
});

function tellStory(listen: readonly string[]): void {
  const canBeDialled = listen.length > 1;
  const heads = createHeadFeed();
  const stop = new AbortController();
  const running: Promise<unknown>[] = [];
  const overlays: Overlay[] = [];
  const engines: Engine[] = [];
  const identities = Array.from({ length: SHARDS }, (_, i) => identityOf(i));
  const chain = {
    heads: (_kind: unknown, signal: AbortSignal) => heads.stream(signal),
    nodes: async () => hopNodes(identities.map(({ peer }) => peer)),
  };
  let folder: string;
  let model: Model;
  let relay: Overlay;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-relay-'));
    await writeRandomModel(folder, { blocks: 3, shards: SHARDS });
    model = await openModel(folder);
    relay = await enter(RELAY, { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [], relay: true, topics: [] });
    for (let i = 0; i < SHARDS; i += 1) await serve(i);
  });
  after(async () => {
    stop.abort();
    await Promise.all(running);
    await Promise.all(overlays.map((overlay) => overlay.close()));
    await Promise.all(engines.map((engine) => engine.close()));
    rmSync(folder, { recursive: true });
  });

  function identityOf(i: number) {
    return identityFromSeed(new Uint8Array(32).fill(i + 1));
  }

  async function enter(i: number, options: Partial<OverlayOptions>): Promise<Overlay> {
    const overlay = await createOverlay(
      {
        identity: identityOf(i),
        listen: [],
        bootstrap: relay?.addresses() ?? [],
        network: 'test',
        dhtServer: false,
        topics: [TOPIC],
        records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
        privateAddresses: true,
        wanted: () => identities.map(({ peer }) => peer).filter((peer) => peer !== identityOf(i).peer),
        ...options,
      },
      { log: silentLog },
    );
    overlays.push(overlay);
    return overlay;
  }

  function follow(overlay: Overlay) {
    const directory = createDirectory(
      { subnet: HOPS_SUBNET, genesis: HOPS_GENESIS },
      { overlay, chain, verify: verifySignature, log: silentLog },
    );
    running.push(directory.run(stop.signal));
    return directory;
  }

  async function startEngine(shards: readonly ShardIndex[]): Promise<Engine> {
    const engine = createReferenceEngine({ model, cut: DEFAULT_CUT });
    engines.push(engine);
    await engine.load(shards);
    return engine;
  }

  async function serve(i: number): Promise<void> {
    const shards = [i as ShardIndex];
    const engine = await startEngine(shards);
    const overlay = await enter(i, { listen });
    const { width } = model.manifest.shape;
    const outputRms = judgedShards(model).map(({ rms }) => rms);
    const hoster = createHoster(
      {
        subnet: HOPS_SUBNET,
        node: (i + 1) as NodeId,
        genesis: HOPS_GENESIS,
        clock: { slot: 3, epochLength: 20 },
        model: { ...facts(), width, cacheBytes: 1, outputRms },
        shards,
        version: 'test',
        memoryMiB: 64,
      },
      {
        overlay,
        engine,
        identity: identityOf(i),
        chain,
        board: follow(overlay),
        verify: verifySignature,
        mayAsk: () => true,
        now: () => performance.now(),
        log: silentLog,
      },
    );
    running.push(hoster.run(stop.signal));
  }

  function facts() {
    const { vocab, maxContext } = model.manifest.shape;
    return { hash: model.hash, vocab, maxContext, shardCount: SHARDS };
  }

  /** The first of all connections to them. */
  async function meetAtRelay(overlay: Overlay, hosters: readonly Overlay[]): Promise<void> {
    for (const hoster of hosters) {
      await until(() => hoster.addresses().some((address) => address.includes(AT_RELAY)));
      const address = hoster.addresses().find((one) => one.includes(AT_RELAY)) ?? '';
      await overlay.connect(address, AbortSignal.timeout(PATIENCE_MS));
      assert.ok(overlay.relayed().includes(hoster.self));
    }
  }

  it('answer with the tokens of a local run, each a hop of its own', async () => {
    const [, ...behind] = overlays;
    // Nobody is looked for before it is met at the relay.
    let wanted: readonly PeerId[] = [];
    const overlay = await enter(CLIENT, { wanted: () => wanted, discovers: !canBeDialled });
    if (canBeDialled) await meetAtRelay(overlay, behind);
    wanted = identities.map(({ peer }) => peer);
    const directory = follow(overlay);
    const client = createClient(
      { model: facts() },
      { overlay, chain, directory, identity: identityOf(CLIENT), verify: verifySignature, log: silentLog },
    );
    if (!canBeDialled) assert.ok(behind.every((one) => one.addresses().every((address) => address.includes(AT_RELAY))));
    await until(() => behind.every((one) => one.peers().length >= SHARDS));
    let block = 100;
    await until(() => {
      heads.publish({ number: block++ as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
      return directory.offers().length === SHARDS;
    });
    if (canBeDialled) {
      await until(() => [overlay, ...behind].every((one) => one.relayed().length === 0));
      await relay.close();
      await until(() => [overlay, ...behind].every((one) => !one.peers().includes(relay.self)));
    }
    const generation = client.generate(PROMPT, OPTIONS, AbortSignal.timeout(PATIENCE_MS));
    const generated = await Array.fromAsync(generation);
    const whole = await startEngine(Array.from({ length: SHARDS }, (_, shard) => shard as ShardIndex));
    const local = await Array.fromAsync(generateLocal(whole, facts(), PROMPT, OPTIONS, stop.signal));
    assert.deepEqual(generated, local);
    assert.equal(generation.route.length, SHARDS);
  });
}
