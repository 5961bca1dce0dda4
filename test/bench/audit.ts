// `npm run bench -- audit`: 10,000 honest receipts of the bundled model judged by another engine, with other threads: none may be rejected;
// and what a check costs beside the generation that it checks. One part by `--only honest` or `--only cost`.

import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine } from '../../src/engine/types.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { verifySignature } from '../../src/p2p/identity.ts';
import { type Judged, judgeReceipt } from '../../src/receipts/judge.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { judgedShards, replayModel, type Served, serveSession } from '../support/served.ts';
import { createReport, median } from './figure.ts';
import { describeMachine, waitForQuiet } from './machine.ts';
import type { BenchOptions } from './options.ts';

const MODEL = new URL('../../models/tiny', import.meta.url).pathname;
const SHARDS = [0, 1, 2, 3] as ShardIndex[];
const RECEIPTS = 10_000;
const PATIENCE_MS = 3_000;
const ROUNDS = 5;
const CHAT = { prompt: 64, tokens: 256 };
/** Cuts of the route, taken in turn. */
const ROUTES = [
  [0, 4],
  [0, 1, 3, 4],
  [0, 2, 4],
  [0, 1, 2, 3, 4],
] as const;

export async function benchAudit({ json, only, note }: BenchOptions): Promise<number> {
  const report = createReport(json, describeMachine());
  const model = await openModel(MODEL);
  const hoster = await startEngine(model, 1);
  const auditor = await startEngine(model, 2);
  const judge = (judged: Judged, { bordersOf }: Served) =>
    judgeReceipt(
      judged,
      { engine: auditor, model: replayModel(model), shards: judgedShards(model), verify: verifySignature, bordersOf },
      new AbortController().signal,
    );

  async function honest(): Promise<void> {
    const found = { good: 0, bad: 0, unclear: 0 };
    for (let i = 0; found.good + found.bad < RECEIPTS; i += 1) {
      const served = await serveSession({ model, ...sessionOf(i, hoster) });
      for (const judged of served.judged.flat()) found[(await judge(judged, served)).at] += 1;
      if (i % 50 === 49) note(`${found.good + found.bad} receipts of ${i + 1} sessions judged, ${found.bad} rejected`);
    }
    const samples = [found.bad];
    report.add({
      name: 'audit.rejected',
      value: found.bad,
      unit: 'of all',
      bar: 0,
      better: 'lower',
      quiet: true,
      samples,
      facts: found,
    });
  }

  /** Each segment of a hop's session checked alone, which computes all rows up to its end again; the last one costs most. */
  async function cost(): Promise<void> {
    const quiet = await waitForQuiet(PATIENCE_MS);
    const samples: number[] = [];
    const last: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const hops = hopsOf([0, 1, 3, 4], hoster);
      const served = await serveSession({ model, hops, prompt: promptOf(round, CHAT.prompt), tokens: CHAT.tokens });
      const costs: number[] = [];
      for (const judged of served.judged[1] ?? []) {
        const began = performance.now();
        await judge(judged, served);
        costs.push((performance.now() - began) / (served.spentMs[1] ?? 1));
      }
      if (round === 0) continue;
      samples.push(costs.reduce((sum, one) => sum + one, 0) / costs.length);
      last.push(costs.at(-1) ?? 0);
    }
    const facts = { ...CHAT, shards: 2, lastSegment: median(last) };
    report.add({
      name: 'audit.cost',
      value: median(samples),
      unit: 'ratio',
      bar: 0.1,
      better: 'lower',
      quiet,
      samples,
      facts,
    });
  }

  try {
    if (only === undefined || only === 'cost') await cost();
    if (only === undefined || only === 'honest') await honest();
  } finally {
    await Promise.all([hoster, auditor].map((engine) => engine.close()));
  }
  return report.exitCode();
}

async function startEngine(model: Model, threads: number): Promise<Engine> {
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu', threads }, { log: silentLog });
  await engine.load(SHARDS);
  return engine;
}

function hopsOf(borders: readonly number[], engine: Engine) {
  return borders.slice(1).map((to, i) => ({ engine, from: borders[i] ?? 0, to }));
}

function promptOf(seed: number, length: number): readonly number[] {
  return Array.from({ length }, (_, i) => 10 + ((i * (37 + 2 * seed) + seed * 101) % 1500));
}

/** Prompts of 1 to 190 tokens, answers of 20 to 300, greedy and sampled. */
function sessionOf(i: number, engine: Engine) {
  const sampling = {
    temperature: (i % 4) * 0.4,
    topK: i % 3 === 0 ? 0 : 40,
    topP: i % 2 === 0 ? 1 : 0.9,
    seed: BigInt(i),
  };
  const borders = ROUTES[i % ROUTES.length] ?? [0, 4];
  return {
    hops: hopsOf(borders, engine),
    prompt: promptOf(i, 1 + ((i * 53) % 190)),
    tokens: 20 + ((i * 71) % 281),
    sampling,
    salt: i,
  };
}
