// `npm run bench -- speculation`: guesses against none on a route of four hops, 30 ms from each to the next and to the client. The bundled
// model, one shard per hop, all in this process; the same tokens are checked for.

import { createHeadFeed } from '../../src/chain/heads.ts';
import { createClient } from '../../src/client/client.ts';
import type { DatedOffer } from '../../src/client/directory.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createHoster } from '../../src/hoster/hoster.ts';
import { cutShards } from '../../src/model/manifest.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import { createMemoryNetwork } from '../../src/p2p/memory.ts';
import type { BlockNumber, Hash, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { withDelay } from '../support/delayed.ts';
import { createReport, median } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const MODEL = new URL('../../models/tiny', import.meta.url).pathname;
const HOP_MS = 30;
const TOKENS = 64;
const ROUNDS = 2;
const PATIENCE_MS = 3_000;
const SUBNET = 128_001 as SubnetId;
const GENESIS = new Uint8Array(32).fill(3);
const BEGINNING =
  'Once upon a time, there was a brave beetle named Maya. She lived under a flat stone. Maya was afraid of the dark. The beetle told nobody about it. One evening Maya sat at home and could not sleep. She was thinking of the dark. A gentle parrot came to visit. "Why are you shaking?" asked the parrot. "I am afraid of the dark,"';
const END =
  ' said Maya very quietly. "I was afraid too when I was little," said the parrot. "It helps to sing a song." So the beetle and the parrot sang a song, and then another one. Little by little, Maya felt better. "I am not afraid any more," said the beetle.';
/** A story that is told again, and one that is new: there guesses hardly help, and must not harm. */
const CASES = [
  { name: 'again', prompt: `${BEGINNING}${END} ${BEGINNING}`, bar: 1.5 },
  { name: 'new', prompt: 'Once upon a time', bar: 0.95 },
] as const;

export async function benchSpeculation({ json, only }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const model = await openModel(MODEL);
  const tokenizer = await openTokenizer(model);
  const rig = await startRoute(model);
  try {
    for (const { name, prompt, bar } of CASES.filter((one) => only === undefined || one.name.includes(only))) {
      const ids = tokenizer.encode(prompt);
      const quiet = await waitForQuiet(PATIENCE_MS);
      const samples: number[] = [];
      let [plain, guessed] = [0, 0];
      for (let round = 0; round <= ROUNDS; round += 1) {
        const without = await rig.run(ids, 0);
        const guesses = await rig.run(ids, undefined);
        if (without.tokens.join() !== guesses.tokens.join()) throw new Error('guesses changed the tokens');
        if (round === 0) continue;
        [plain, guessed] = [without.perSecond, guesses.perSecond];
        samples.push(guesses.perSecond / without.perSecond);
      }
      const facts = { plain: Math.round(plain * 10) / 10, guessed: Math.round(guessed * 10) / 10, tokens: TOKENS };
      const figure = { value: median(samples), unit: 'ratio', bar, better: 'higher', quiet, samples, facts } as const;
      report.add({ name: `speculation.${name}`, ...figure });
    }
  } finally {
    await rig.close();
  }
  return report.exitCode();
}

interface Rig {
  run(prompt: readonly number[], drafts: number | undefined): Promise<{ tokens: number[]; perSecond: number }>;
  close(): Promise<void>;
}

async function startRoute(model: Model): Promise<Rig> {
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
  for (const [i] of shards.entries()) {
    const engine = await createOnnxEngine({ model, cut, device: 'cpu', threads: 1 }, { log: silentLog });
    await engine.load([i as ShardIndex]);
    engines.push(engine);
    const identity = identityFromSeed(new Uint8Array(32).fill(i + 1));
    const pace = { load: 0, rowsPerSecond: 0, freePositions: 1e6, memoryMiB: 64, block: 100 as BlockNumber };
    const offer = { node: (i + 1) as NodeId, peer: identity.peer, shards: [i as ShardIndex] };
    offers.push({ ...offer, ...pace });
    const options = { subnet: SUBNET, genesis: GENESIS, clock: { slot: 3, epochLength: 20 }, version: 'bench' };
    const hoster = createHoster(
      { ...options, node: offer.node, model: facts, shards: offer.shards, memoryMiB: 64 },
      {
        overlay: withDelay(network.join(identity), HOP_MS),
        engine,
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
  const identity = identityFromSeed(new Uint8Array(32).fill(200));
  const overlay = withDelay(network.join(identity), HOP_MS);
  const directory = { offers: () => offers, refresh: async () => undefined };
  // Paces are those of each client: one of each kind, so that neither learns from the other.
  const clients = new Map(
    [0, undefined].map((drafts) => [
      drafts,
      createClient(
        { model: facts, ...(drafts === undefined ? {} : { drafts }) },
        { overlay, chain: { heads }, directory, identity, verify: verifySignature, log: silentLog },
      ),
    ]),
  );
  return {
    async run(prompt, drafts) {
      const options = { maxTokens: TOKENS, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };
      const generation = clients.get(drafts)?.generate(prompt, options, stop.signal) ?? [];
      const tokens: number[] = [];
      let start = 0;
      for await (const { id } of generation) {
        if (tokens.length === 0) start = performance.now();
        tokens.push(id);
      }
      return { tokens, perSecond: ((tokens.length - 1) * 1_000) / (performance.now() - start) };
    },
    async close() {
      stop.abort();
      await Promise.all(running);
      await Promise.all(engines.map((engine) => engine.close()));
      feed.close();
    },
  };
}
