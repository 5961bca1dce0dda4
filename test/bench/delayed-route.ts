// A route of hosters that are some milliseconds apart, all in this process: the bundled model, one shard per hop, each shard at as many
// hosters as asked for. Steps may fail on purpose.

import { createHeadFeed } from '../../src/chain/heads.ts';
import { createClient } from '../../src/client/client.ts';
import type { DatedOffer } from '../../src/client/directory.ts';
import type { DraftTable } from '../../src/client/draft-table.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { cutShards } from '../../src/model/manifest.ts';
import type { Model } from '../../src/model/open.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createMemoryNetwork } from '../../src/p2p/memory.ts';
import type { BlockNumber, Hash, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { withDelay } from '../support/delayed.ts';

const SUBNET = 128_001 as SubnetId;
const GENESIS = new Uint8Array(32).fill(3);

export interface DelayedRouteOptions {
  readonly model: Model;
  /** From each hop to the next and to the client, one way. */
  readonly hopMs: number;
  /** Hosters of each shard. */
  readonly copies: number;
  /** What the model mostly says, for guesses by 'draft'. */
  readonly draft?: DraftTable | undefined;
  /** Whether the step for this position fails now at the hop that serves this shard. */
  readonly fails?: (position: number, shard: number) => boolean;
}

export interface Ran {
  readonly tokens: readonly number[];
  /** After the first token. */
  readonly perSecond: number;
  readonly failovers: number;
  /** Right guesses and wrong ones. */
  readonly guesses: { readonly right: number; readonly wrong: number };
}

export interface DelayedRoute {
  run(prompt: readonly number[], tokens: number, guesses: 'none' | 'text' | 'draft'): Promise<Ran>;
  close(): Promise<void>;
}

export async function startDelayedRoute({
  model,
  hopMs,
  copies,
  draft,
  fails,
}: DelayedRouteOptions): Promise<DelayedRoute> {
  const [cut = ''] = Object.keys(model.manifest.cuts);
  const shards = cutShards(model.manifest, cut);
  const { width, vocab, maxContext } = model.manifest.shape;
  const facts = { hash: model.hash, width, vocab, maxContext, shardCount: shards.length, cacheBytes: 1, outputRms: [] };
  const network = createMemoryNetwork();
  const feed = createHeadFeed();
  feed.publish({ number: 100 as BlockNumber, hash: `0x${'11'.repeat(32)}` as Hash });
  const stop = new AbortController();
  const heads = (_kind: unknown, signal: AbortSignal) => feed.stream(signal);
  const engines: Engine[] = [];
  const running: Promise<void>[] = [];
  const offers: DatedOffer[] = [];

  function serve(i: number, engine: Engine): void {
    const identity = identityFromSeed(new Uint8Array(32).fill(offers.length + 1));
    const pace = { load: 0, rowsPerSecond: 0, freePositions: 1e6, memoryMiB: 64, block: 100 as BlockNumber };
    const offer = { node: (offers.length + 1) as NodeId, peer: identity.peer, shards: [i as ShardIndex] };
    offers.push({ ...offer, ...pace });
    const options = { subnet: SUBNET, genesis: GENESIS, clock: { slot: 3, epochLength: 20 }, version: 'bench' };
    const hoster = createHoster(
      { ...options, node: offer.node, model: facts, shards: offer.shards, memoryMiB: 64 },
      {
        overlay: withDelay(network.join(identity), hopMs),
        engine: fails === undefined ? engine : failing(engine, (position) => fails(position, i)),
        identity,
        chain: { heads },
        board: { admit: async () => undefined, records: () => [] },
        verify: verifySignature,
        mayAsk: () => true,
        now: () => performance.now(),
        log: silentLog,
      },
    );
    running.push(hoster.run(stop.signal));
  }

  for (const [i] of shards.entries()) {
    const engine = await createOnnxEngine({ model, cut, device: 'cpu', threads: 1 }, { log: silentLog });
    await engine.load([i as ShardIndex]);
    engines.push(engine);
    for (let copy = 0; copy < copies; copy += 1) serve(i, engine);
  }
  const identity = identityFromSeed(new Uint8Array(32).fill(200));
  const overlay = withDelay(network.join(identity), hopMs);
  let asked = 100;
  // Announces are renewed while a generation runs: who failed comes back with the next.
  const fresh = () => offers.map((offer) => ({ ...offer, block: asked++ as BlockNumber }));
  const directory = { offers: fresh, refresh: async () => undefined };
  const deps = { overlay, chain: { heads }, directory, identity, verify: verifySignature, log: silentLog };
  // Paces are those of each client: one of each kind, so that neither learns from the other.
  const clients = {
    none: createClient({ model: facts, drafts: 0 }, deps),
    text: createClient({ model: facts }, deps),
    draft: createClient({ model: facts, draft }, deps),
  };
  return {
    async run(prompt, maxTokens, guesses) {
      const options = { maxTokens, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };
      const generation = clients[guesses].generate(prompt, options, stop.signal);
      const tokens: number[] = [];
      let start = 0;
      for await (const { id } of generation) {
        if (tokens.length === 0) start = performance.now();
        tokens.push(id);
      }
      const perSecond = ((tokens.length - 1) * 1_000) / (performance.now() - start);
      return { tokens, perSecond, failovers: generation.failovers, guesses: generation.guesses };
    },
    async close() {
      stop.abort();
      await Promise.all(running);
      await Promise.all(engines.map((engine) => engine.close()));
      feed.close();
    },
  };
}

function failing(engine: Engine, fails: (position: number) => boolean): Engine {
  return {
    ...engine,
    async openSession(...args) {
      const kv = await engine.openSession(...args);
      return {
        ...kv,
        get length() {
          return kv.length;
        },
        step: async (at, ...rest) => {
          if (fails(at)) throw new Error('failed on purpose');
          return kv.step(at, ...rest);
        },
      };
    },
  };
}
