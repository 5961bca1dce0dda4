// Prompts over a network of hosters, whatever overlay and engine carry them (protocol.md 12): the tokens are those of one engine that
// holds all shards, a hop may die in mid generation, an abort frees everything, a late client learns who serves what.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHeadFeed } from '../../src/chain/heads.ts';
import type { Chain, SubnetNode } from '../../src/chain/types.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { createDirectory, type Directory } from '../../src/client/directory.ts';
import type { GeneratedToken, GenerateOptions } from '../../src/client/generation.ts';
import { generateLocal } from '../../src/client/local.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { identityFromSeed, type OpenIdentity, verifySignature } from '../../src/p2p/identity.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import { createAuditor } from '../../src/receipts/auditor.ts';
import { type BlockNumber, type Hash, type NodeId, ONE, type ShardIndex, type SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { announceTopic } from '../../src/wire/announce.ts';
import { INFER_PROTOCOL } from '../../src/wire/infer.ts';
import { decodeReceipt } from '../../src/wire/receipt.ts';
import { writeRandomModel } from '../support/random-model.ts';
import { judgedShards } from '../support/served.ts';
import { until } from './overlay.ts';

export interface InferenceRig {
  join(identity: OpenIdentity, topic: string): Promise<Overlay>;
  /** Without a word to the others. */
  kill(overlay: Overlay): Promise<void>;
  createEngine(model: Model): Promise<Engine>;
  close(): Promise<void>;
}

const SUBNET = 128_001 as SubnetId;
const GENESIS = new Uint8Array(32).fill(3);
const HOSTERS = 4;
const SHARDS = 4;
const DEADLINE_MS = 30_000;
const CLIENT_SEED = 200;
const SAMPLED: GenerateOptions = { maxTokens: 24, temperature: 0.8, topK: 20, topP: 0.9, seed: 5n, stopIds: [] };
const GREEDY: GenerateOptions = { maxTokens: 24, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };
/** Two prefill steps. */
const PROMPT = Array.from({ length: 90 }, (_, i) => 4 + ((i * 37) % 250));

interface Served {
  readonly overlay: Overlay;
  readonly engine: Engine;
}

interface Asking {
  readonly overlay: Overlay;
  readonly directory: Directory;
  readonly client: Client;
}

export function testInference(name: string, createRig: () => Promise<InferenceRig>): void {
  describe(`inference: ${name}`, () => {
    let folder: string;
    let model: Model;
    let whole: Engine;
    let rig: InferenceRig;
    let stop: AbortController;
    let running: Promise<unknown>[];
    let heads: ReturnType<typeof createHeadFeed>;
    let hosters: Served[];

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tessera-inference-'));
      await writeRandomModel(folder, { blocks: 4, shards: SHARDS });
      model = await openModel(folder);
    });
    after(() => rm(folder, { recursive: true }));

    beforeEach(async () => {
      rig = await createRig();
      stop = new AbortController();
      running = [];
      heads = createHeadFeed();
      heads.publish({ number: 100 as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
      whole = await rig.createEngine(model);
      await whole.load(shardsBut(-1));
      hosters = [];
      for (let i = 0; i < HOSTERS; i += 1) hosters.push(await serve(i));
    });
    afterEach(async () => {
      stop.abort();
      await Promise.all(running);
      await Promise.all([whole, ...hosters.map(({ engine }) => engine)].map((engine) => engine.close()));
      await rig.close();
    });

    function chain(): Pick<Chain, 'heads' | 'nodes'> {
      const nodes = Array.from({ length: HOSTERS }, (_, i) => ({
        id: i + 1,
        nodeClass: 'Validator',
        peerInfo: { peer: identityOf(i).peer },
      })) as unknown as readonly SubnetNode[];
      return { heads: (_kind, signal) => heads.stream(signal), nodes: async () => nodes };
    }

    /** A member of the overlay with a directory, connected to the hosters that are there. */
    async function enter(seed: number): Promise<{ overlay: Overlay; directory: Directory }> {
      const overlay = await rig.join(identityOf(seed), announceTopic(SUBNET));
      const deps = { overlay, chain: chain(), verify: verifySignature, log: silentLog };
      const directory = createDirectory({ subnet: SUBNET, genesis: GENESIS }, deps);
      running.push(directory.run(stop.signal));
      for (const { overlay: other } of hosters) {
        await overlay.connect(other.addresses()[0] ?? '', AbortSignal.timeout(DEADLINE_MS));
      }
      return { overlay, directory };
    }

    /** Serves every shard but shard i mod 4. */
    async function serve(i: number): Promise<Served> {
      const engine = await rig.createEngine(model);
      const shards = shardsBut(i);
      await engine.load(shards);
      const { overlay, directory } = await enter(i);
      const options = {
        subnet: SUBNET,
        node: (i + 1) as NodeId,
        genesis: GENESIS,
        clock: { slot: 3, epochLength: 20 },
        model: {
          ...modelFacts(),
          width: model.manifest.shape.width,
          cacheBytes: 1,
          outputRms: judgedShards(model).map(({ rms }) => rms),
        },
        shards,
        version: 'test',
        memoryMiB: 64,
      };
      const hoster = createHoster(options, {
        overlay,
        engine,
        identity: identityOf(i),
        chain: chain(),
        board: directory,
        verify: verifySignature,
        mayAsk: () => true,
        mayAudit: () => true,
        now: () => 0,
        log: silentLog,
      });
      running.push(hoster.run(stop.signal));
      return { overlay, engine };
    }

    function modelFacts() {
      const { vocab, maxContext } = model.manifest.shape;
      return { hash: model.hash, vocab, maxContext, shardCount: SHARDS };
    }

    async function ask(drafts?: number): Promise<Asking> {
      const { overlay, directory } = await enter(CLIENT_SEED);
      const deps = {
        overlay,
        chain: chain(),
        directory,
        identity: identityOf(CLIENT_SEED),
        verify: verifySignature,
        log: silentLog,
      };
      return { overlay, directory, client: createClient({ model: modelFacts(), drafts }, deps) };
    }

    function local(options: GenerateOptions): Promise<GeneratedToken[]> {
      return Array.fromAsync(generateLocal(whole, modelFacts(), PROMPT, options, deadline()));
    }

    async function allFree(engines = hosters.map(({ engine }) => engine)): Promise<void> {
      await until(() => engines.every((engine) => engine.stats().sessions === 0));
    }

    it('gives the tokens of a local run, over two peers or more, and frees every hop', async () => {
      const { client } = await ask();
      for (const options of [GREEDY, SAMPLED]) {
        const generation = client.generate(PROMPT, options, deadline());
        assert.deepEqual(await Array.fromAsync(generation), await local(options));
        assert.equal(generation.failovers, 0);
        assert.ok(new Set(generation.route.map(({ peer }) => peer)).size >= 2);
      }
      await allFree();
    });

    it('gives receipts for every position of every hop, which an auditor finds good', async () => {
      const { client, overlay } = await ask(6);
      const generation = client.generate(PROMPT, { ...SAMPLED, maxTokens: 80 }, deadline());
      const tokens = await Array.fromAsync(generation);
      const covered = new Map<ShardIndex, number>();
      for (const bytes of generation.receipts) {
        const receipt = decodeReceipt(bytes);
        assert.ok(receipt.ok);
        const { from, count } = receipt.value.value;
        covered.set(from, (covered.get(from) ?? 0) + count);
      }
      assert.equal(covered.size, generation.route.length);
      for (const positions of covered.values()) assert.ok(positions >= PROMPT.length + tokens.length - 1);
      const { vocab, width } = model.manifest.shape;
      const auditor = createAuditor(
        {
          model: { hash: model.hash, width, vocab, shardCount: SHARDS },
          shards: judgedShards(model),
          holds: shardsBut(-1),
        },
        { overlay, engine: whole, verify: verifySignature, secret: new Uint8Array(32), log: silentLog },
      );
      await allFree();
      const nodes = hosters.map(({ overlay: { self: peer } }, i) => ({ node: (i + 1) as NodeId, peer }));
      const verdicts = await auditor.audit(nodes, ONE, deadline());
      assert.ok(verdicts.length >= 5, `${verdicts.length} verdicts`);
      assert.ok(verdicts.every(({ bad }) => !bad));
      assert.deepEqual(await auditor.audit(nodes, ONE, deadline()), [], 'each receipt is judged once');
      assert.deepEqual(await auditor.audit(nodes, 0n, deadline()), []);
    });

    it('gives the same tokens with guesses', async () => {
      const { client } = await ask(6);
      for (const options of [GREEDY, SAMPLED].map((one) => ({ ...one, maxTokens: 80 }))) {
        assert.deepEqual(await Array.fromAsync(client.generate(PROMPT, options, deadline())), await local(options));
      }
      await allFree();
    });

    it('serves several prompts at once', async () => {
      const { client } = await ask();
      const all = await Promise.all(
        [GREEDY, SAMPLED, GREEDY].map((options) => Array.fromAsync(client.generate(PROMPT, options, deadline()))),
      );
      assert.deepEqual(all, [await local(GREEDY), await local(SAMPLED), await local(GREEDY)]);
    });

    for (const hop of [0, 1]) {
      it(`hop ${hop} dies in mid generation: the tokens stay, and the next prompt is answered`, async () => {
        const { client } = await ask();
        const expected = await local(SAMPLED);
        const generation = client.generate(PROMPT, SAMPLED, deadline());
        const tokens: GeneratedToken[] = [];
        let victim: Served | undefined;
        for await (const token of generation) {
          tokens.push(token);
          if (tokens.length !== 8) continue;
          victim = hosters.find(({ overlay }) => overlay.self === generation.route[hop]?.peer);
          assert.ok(victim);
          await rig.kill(victim.overlay);
        }
        assert.deepEqual(tokens, expected);
        assert.equal(generation.failovers, 1);
        assert.ok(generation.route.every(({ peer }) => peer !== victim?.overlay.self));
        const next = client.generate(PROMPT, SAMPLED, deadline());
        assert.deepEqual(await Array.fromAsync(next), expected);
        assert.equal(next.failovers, 0);
        await allFree(hosters.filter((one) => one !== victim).map(({ engine }) => engine));
      });
    }

    it('an abort frees every hop', async () => {
      const { client } = await ask();
      const controller = new AbortController();
      const generation = client.generate(PROMPT, GREEDY, controller.signal);
      await assert.rejects(async () => {
        for await (const token of generation)
          if (token.position === PROMPT.length + 5) controller.abort(new Error('enough'));
      }, /enough/);
      await allFree();
    });

    it('a client that is gone without a word leaves nothing behind', async () => {
      const { client, overlay } = await ask();
      const generation = client.generate(PROMPT, GREEDY, deadline())[Symbol.asyncIterator]();
      await generation.next();
      await rig.kill(overlay);
      await allFree();
    });

    it('a peer that sends junk is told so, and the others are served', async () => {
      const { client, overlay } = await ask();
      await Array.fromAsync(client.generate(PROMPT, { ...GREEDY, maxTokens: 1 }, deadline()));
      const peer = hosters[0]?.overlay.self ?? overlay.self;
      const stream = await overlay.openStream(peer, INFER_PROTOCOL, { maxFrameBytes: 1 << 20, signal: deadline() });
      await stream.send([Uint8Array.of(77, 1, 2, 3)]);
      const answers = await Array.fromAsync(stream.frames());
      assert.equal(answers[0]?.[0], 9, 'ERROR');
      assert.deepEqual(await Array.fromAsync(client.generate(PROMPT, GREEDY, deadline())), await local(GREEDY));
    });
  });
}

function identityOf(i: number): OpenIdentity {
  return identityFromSeed(new Uint8Array(32).fill(i + 1));
}

function shardsBut(left: number): ShardIndex[] {
  return Array.from({ length: SHARDS }, (_, shard) => shard as ShardIndex).filter((shard) => shard !== left % SHARDS);
}

function deadline(): AbortSignal {
  return AbortSignal.timeout(DEADLINE_MS);
}
