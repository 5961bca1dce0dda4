// Receipts of real outputs, judged by an engine of its own (protocol.md 13): what was computed honestly stands whatever the threads and the
// pattern of calls, and each way to serve less than the model is found, at the shard that differs.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine } from '../../src/engine/types.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import type { LlamaSource } from '../../src/model/source.ts';
import { storedSource } from '../../src/model/stored.ts';
import { DEFAULT_CUT, type WriteOptions, writeModel } from '../../src/model/write.ts';
import { verifySignature } from '../../src/p2p/identity.ts';
import { type Finding, type Judged, judgeReceipt } from '../../src/receipts/judge.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { judgedShards, replayModel, type Served, type ServedHop, serveSession } from '../support/served.ts';

const BUNDLED = fileURLToPath(new URL('../../models/tiny', import.meta.url));
const SHARDS = [0, 1, 2, 3] as ShardIndex[];
const SAMPLING = { temperature: 0.8, topK: 40, topP: 0.95, seed: 5n };
const RUNS = [
  { from: 0, to: 1 },
  { from: 1, to: 3 },
  { from: 3, to: 4 },
] as const;
const TOKENS = 80;

function prompt(seed: number): readonly number[] {
  return Array.from({ length: 90 }, (_, i) => 10 + ((i * 37 + seed * 101) % 1500));
}

function bf16(values: Float32Array): Float32Array {
  const bits = new Uint32Array(values.slice().buffer);
  return new Float32Array(bits.map((bit) => ((bit + 0x7fff + ((bit >>> 16) & 1)) & 0xffff0000) >>> 0).buffer);
}

describe('audits of receipts', function () {
  this.timeout(120_000);
  const folders: string[] = [];
  const engines: Engine[] = [];
  let model: Model;
  let source: LlamaSource;
  let honest: Engine;
  let auditor: Engine;

  before(async () => {
    model = await openModel(BUNDLED);
    const stored = await storedSource(model);
    assert.ok(stored.arch === 'llama');
    source = stored;
    honest = await startEngine(model, 1);
    auditor = await startEngine(model, 2);
  });
  after(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
  });

  async function startEngine(of: Model, threads: number): Promise<Engine> {
    const engine = await createOnnxEngine({ model: of, cut: DEFAULT_CUT, device: 'cpu', threads }, { log: silentLog });
    engines.push(engine);
    await engine.load(SHARDS);
    return engine;
  }

  /** The bundled model with something changed. */
  async function cheaper(change: Partial<LlamaSource>, options: Partial<WriteOptions> = {}): Promise<Engine> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-cheaper-'));
    folders.push(folder);
    await writeModel(
      folder,
      { ...source, ...change },
      { name: 'x', license: 'x', shardBlocks: [2, 2, 2, 2], ...options },
    );
    return startEngine(await openModel(folder), 1);
  }

  function serve(hops: readonly ServedHop[], seed = 0): Promise<Served> {
    return serveSession({ model, hops, prompt: prompt(seed), tokens: TOKENS, sampling: SAMPLING, salt: seed });
  }

  function judge(judged: Judged, { bordersOf }: Pick<Served, 'bordersOf'>): Promise<Finding> {
    const deps = { engine: auditor, model: replayModel(model), shards: judgedShards(model), verify: verifySignature };
    return judgeReceipt(judged, { ...deps, bordersOf }, AbortSignal.timeout(100_000));
  }

  /** All receipts of the session, hop by hop. */
  async function findings(served: Served): Promise<readonly (readonly Finding[])[]> {
    const all: Finding[][] = [];
    for (const ofHop of served.judged) {
      const found: Finding[] = [];
      for (const judged of ofHop) found.push(await judge(judged, served));
      all.push(found);
    }
    return all;
  }

  function hops(engine: Engine): readonly ServedHop[] {
    return RUNS.map((run) => ({ engine, ...run }));
  }

  /** Every receipt of the first two hops is bad at their first shard; of the last hop each that has something to compare. */
  async function assertFound(cheat: Engine): Promise<void> {
    const [first = [], second = [], third = []] = await findings(await serve(hops(cheat)));
    for (const finding of first) assertBad(finding, 0);
    for (const finding of second) assertBad(finding, 1);
    const compared = third.filter(({ at }) => at !== 'unclear');
    assert.ok(compared.length >= 2);
    for (const finding of compared) assertBad(finding, 3);
  }

  function assertBad(finding: Finding, shard: number): void {
    assert.equal(finding.at, 'bad');
    assert.equal(finding.at === 'bad' && finding.shard, shard);
  }

  it('stand when the work was honest', async () => {
    const all = (await findings(await serve(hops(honest)))).flat();
    assert.equal(all.length, 3 * 6);
    assert.deepEqual(
      all.filter(({ at }) => at === 'bad'),
      [],
    );
    assert.ok(all.filter(({ at }) => at === 'good').length >= 14);
  });

  it('find weights in bf16', async () => {
    await assertFound(await cheaper({ tensor: async (name, dims) => bf16(await source.tensor(name, dims)) }));
  });

  it('find int8', async () => {
    await assertFound(await cheaper({}, { format: 'w8a8' }));
  });

  it('find int4', async () => {
    await assertFound(await cheaper({}, { format: 'int4b32' }));
  });

  it('find the weights of another seed', async () => {
    // As good as random: the same numbers in other places.
    const shuffled = async (name: string, dims: readonly number[]) => {
      const values = await source.tensor(name, dims);
      return dims.length > 1 ? values.toReversed() : values;
    };
    await assertFound(await cheaper({ tensor: shuffled }));
  });

  it('find a skipped layer, and name its shard alone', async () => {
    const skipped = await cheaper({
      tensor: async (name, dims) => {
        const values = await source.tensor(name, dims);
        return /\b5\b.*(down|\bo\b)/.test(name) ? new Float32Array(values.length) : values;
      },
    });
    const [first = [], second = [], third = []] = await findings(await serve(hops(skipped)));
    assert.ok(first.every(({ at }) => at === 'good'));
    for (const finding of second) assertBad(finding, 2);
    assert.ok(third.every(({ at }) => at !== 'bad'));
  });

  it('find outputs that were copied from another prompt', async () => {
    const other: Float32Array[] = [];
    const keep = (rows: Float32Array) => {
      other.push(rows.slice());
      return rows;
    };
    await serve(
      RUNS.map((run, i) => ({
        engine: honest,
        ...run,
        ...(i === 1 ? { alter: keep } : {}),
      })),
      1,
    );
    const copied = await serve(
      RUNS.map((run, i) => ({
        engine: honest,
        ...run,
        ...(i === 1 ? { alter: (rows: Float32Array) => other.shift()?.slice(0, rows.length) ?? rows } : {}),
      })),
    );
    const [first = [], second = []] = await findings(copied);
    assert.ok(first.every(({ at }) => at === 'good'));
    assert.ok(second.every(({ at }) => at === 'bad'));
  });

  it('find rows, tokens and requests that are not those of the receipt', async () => {
    const served = await serve(hops(honest));
    const [judged] = served.judged[1]?.slice(2) ?? [];
    const [draws] = served.judged[2]?.slice(4) ?? [];
    assert.ok(judged !== undefined && draws !== undefined);
    const rows = judged.answer.rows.slice();
    rows[0] = (rows[0] ?? 0) ^ 1;
    const falsified: readonly [Judged, number][] = [
      [{ ...judged, answer: { ...judged.answer, rows } }, 1],
      [{ ...judged, answer: { ...judged.answer, rows: rows.subarray(2) } }, 1],
      [{ ...judged, answer: { ...judged.answer, request: new Uint8Array(4) } }, 1],
      [{ ...judged, hop: 0 }, 1],
      [{ ...draws, answer: { ...draws.answer, drawn: draws.answer.drawn.slice(1) } }, 3],
    ];
    assert.equal((await judge(judged, served)).at, 'good');
    for (const [one, shard] of falsified) assertBad(await judge(one, served), shard);
  });

  it('accuse nobody over another model', async () => {
    const served = await serve(hops(honest));
    const [judged] = served.judged[1] ?? [];
    assert.ok(judged !== undefined);
    const foreign = { ...judged, receipt: { ...judged.receipt, manifest: '00'.repeat(32) } };
    assert.equal((await judge(foreign, served)).at, 'unclear');
  });
});
