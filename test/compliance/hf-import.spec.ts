// Models of other people: what Hugging Face folders hold comes in unchanged and says what transformers says (test/vectors/hf.json and greedy.json,
// by scripts/model/parity.py).

import { strict as assert } from 'node:assert';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { Engine, TopLogits } from '../../src/engine/types.ts';
import { importHf } from '../../src/model/import.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT, writeModel } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { type HfConfig, writeHfFolder } from '../support/hf-folder.ts';

interface Vector {
  readonly name: string;
  readonly config: HfConfig & Readonly<Record<string, unknown>>;
  readonly ids: readonly number[];
  readonly rows: readonly {
    readonly at: number;
    /** Logits of 64 columns, and the best 8 with their ids: little-endian f32, base64. */
    readonly probe: string;
    readonly top: readonly number[];
    readonly values: string;
  }[];
}

/** What transformers goes on with, the likeliest token each time; no step was a near tie. */
interface Continued {
  readonly name: string;
  readonly config: Vector['config'];
  readonly texts: readonly { readonly prompt: readonly number[]; readonly tokens: readonly number[] }[];
}

/** Largest difference in units of the RMS of a row (engine.md 2.3). */
const TOLERANCE = 1e-4;
const COLUMNS = 64;
const DECODED = 3;

const vectors: readonly Vector[] = await readModels('hf.json');
const continued: readonly Continued[] = await readModels('greedy.json');
/** Blocks of each shard: every way to cut three blocks. */
const CUTS = [[3], [1, 2], [2, 1], [1, 1, 1]] as const;

const ENGINES: Readonly<Record<string, (model: Model) => Promise<Engine>>> = {
  onnx: (model) => createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log: silentLog }),
  reference: async (model) => createReferenceEngine({ model, cut: DEFAULT_CUT }),
};

describe('model: parity with transformers', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-parity-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const bringIn = async (
    config: Vector['config'],
    options: Parameters<typeof writeHfFolder>[2],
    shardBlocks: readonly number[],
  ) => {
    await writeHfFolder(join(folder, 'hf'), config, options);
    const source = await importHf(join(folder, 'hf'));
    try {
      await writeModel(join(folder, 'ours'), source, { name: 'theirs', license: 'none', shardBlocks });
    } finally {
      await source.close();
    }
    return openModel(join(folder, 'ours'));
  };

  for (const [i, vector] of vectors.entries())
    for (const [kind, create] of Object.entries(ENGINES))
      it(`${vector.name} (${kind})`, async () => {
        // Every other model comes in several files.
        const engine = await create(await bringIn(vector.config, { files: i % 2 === 0 ? 0 : 3 }, [2]));
        try {
          await engine.load([0 as ShardIndex]);
          await agreesOnProbes(engine, vector);
          await agreesOnCandidates(engine, 1, vector);
        } finally {
          await engine.close();
        }
      });

  for (const { name, config, texts } of continued)
    it(`${name}: the same 64 greedy tokens, alone and together, however it is cut`, async () => {
      const expected = texts.map(({ tokens }) => tokens);
      assert.ok(expected.length > 1 && expected.every((tokens) => tokens.length === 64));
      for (const cut of CUTS) {
        const model = await bringIn(config, {}, cut);
        const engine = await createOnnxEngine(
          { model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' },
          { log: silentLog },
        );
        try {
          await engine.load(cut.map((_, index) => index as ShardIndex));
          const go = ({ prompt, tokens }: (typeof texts)[number]) =>
            continueGreedily(engine, cut.length, prompt, tokens.length);
          const what = `cut ${cut.join(' + ')}`;
          // Lengths differ: the batch that they share is ragged.
          assert.deepEqual(await Promise.all(texts.map(go)), expected, `${what}, together`);
          if (cut.length > 1) continue;
          for (const [i, text] of texts.entries()) assert.deepEqual(await go(text), expected[i], `${what}, alone`);
        } finally {
          await engine.close();
          await rm(join(folder, 'ours'), { recursive: true });
        }
      }
    });

  it('in two shards, and with the newer spelling of the rotary settings', async () => {
    const vector = vectors.find(({ name }) => name === 'llama 3, stretched');
    assert.ok(vector !== undefined);
    const { rope_theta, rope_scaling, ...rest } = vector.config;
    const config = { ...rest, rope_parameters: { ...(rope_scaling as object), rope_theta } };
    const engine = await (ENGINES.onnx as (model: Model) => Promise<Engine>)(
      await bringIn(config as Vector['config'], {}, [1, 1]),
    );
    try {
      await engine.load([0 as ShardIndex, 1 as ShardIndex]);
      await agreesOnCandidates(engine, 2, vector);
    } finally {
      await engine.close();
    }
  });
});

/** The likeliest token `count` times, whatever it says. */
async function continueGreedily(
  engine: Engine,
  shards: number,
  prompt: readonly number[],
  count: number,
): Promise<number[]> {
  const session = await engine.openSession(
    { from: 0 as ShardIndex, to: shards as ShardIndex },
    { maxTokens: prompt.length + count, owner: 'test', codec: 'f32' },
  );
  const tokens: number[] = [];
  let next: readonly number[] = prompt;
  while (tokens.length < count) {
    const step = await session.step(session.length, { kind: 'tokens', ids: Int32Array.from(next) });
    assert.ok(step.kind === 'top');
    next = bestOf(step.top, 1);
    tokens.push(...next);
  }
  await session.release();
  return tokens;
}

/** All rows of one prefill, in the deterministic profile. */
async function agreesOnProbes(engine: Engine, { ids, rows }: Vector): Promise<void> {
  const found = await engine.challenge(0 as ShardIndex, { kind: 'tokens', ids: Int32Array.from(ids) });
  for (const { at, probe } of rows)
    assertClose(found.subarray(at * COLUMNS, (at + 1) * COLUMNS), floats(probe), `probe of row ${at}`);
}

/** A prompt, then token by token with the cache. */
async function agreesOnCandidates(engine: Engine, shards: number, { ids, rows }: Vector): Promise<void> {
  const session = await engine.openSession(
    { from: 0 as ShardIndex, to: shards as ShardIndex },
    { maxTokens: ids.length, owner: 'test', codec: 'f32' },
  );
  for (const { at, top, values } of rows.slice(-DECODED)) {
    const step = await session.step(session.length, {
      kind: 'tokens',
      ids: Int32Array.from(ids.slice(session.length, at + 1)),
    });
    assert.ok(step.kind === 'top');
    assert.deepEqual(bestOf(step.top, top.length), top, `best of row ${at}`);
    assertClose(step.top.values.subarray(0, top.length), floats(values), `candidates of row ${at}`);
  }
  await session.release();
}

async function readModels(file: string) {
  return JSON.parse(await readFile(new URL(`../vectors/${file}`, import.meta.url), 'utf8')).models;
}

function bestOf({ ids }: TopLogits, count: number): number[] {
  return [...ids.subarray(0, count)];
}

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

function assertClose(found: Float32Array, expected: Float32Array, what: string): void {
  assert.equal(found.length, expected.length);
  const rms = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0) / expected.length);
  const worst = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - (found[i] ?? Number.NaN))), 0);
  assert.ok(worst <= TOLERANCE * rms, `${what}: ${worst} where the RMS is ${rms}`);
}
