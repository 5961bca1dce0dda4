// Every weight format, with every trait of the family: challenges answer what the stored weights mean, serving stays close to it.

import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { Engine, KvSession, Rows, TopLogits } from '../../src/engine/types.ts';
import { isFloat, type LayerFormats, WEIGHT_FORMATS, type WeightFormat } from '../../src/graph/formats.ts';
import type { LlamaTraits } from '../../src/graph/weights.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { writeRandomModel } from '../support/random-model.ts';

const WIDTH = 64;
const SHARDS = 2;
const ORDER = [0, 1].map((index) => index as ShardIndex);
/** Relative L2 of f32 arithmetic, and of activations rounded to 8 bits on weights that are no trained ones (engine.md 1.3). */
const EXACT = 1e-5;
const ROUNDED = 0.05;

const TRAITS: readonly (readonly [string, Partial<LlamaTraits>])[] = [
  ['plain', {}],
  ['all traits, a head of its own', { tie: false, qkvBias: true, qkNorm: true, window: 5 }],
];

/** Each format as it is usual, and models whose layers are stored in different ones. */
const RECIPES: readonly (readonly [WeightFormat, LayerFormats?])[] = [
  ...WEIGHT_FORMATS.map((format) => [format] as const),
  ['w8a8', { down: 'f16', head: 'f32' }],
  ['int4b32', { head: 'f16', down: 'w8a8', 'block.1.down': 'int4b128', 'block.0.qkv': 'f16' }],
];

for (const [format, layers] of RECIPES)
  for (const [what, traits] of TRAITS)
    describe(`engine: weights in ${format}${layers === undefined ? '' : ` and ${Object.values(layers).join(', ')}`}, ${what}`, () => {
      let folder: string;
      let model: Model;
      let engine: Engine;
      let truth: Engine;
      before(async () => {
        folder = await mkdtemp(join(tmpdir(), 'tessera-format-'));
        await writeRandomModel(folder, {
          blocks: 2,
          shards: SHARDS,
          width: WIDTH,
          ffn: 160,
          maxContext: 64,
          format,
          ...(layers && { layers }),
          traits,
        });
        model = await openModel(folder);
        engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log: silentLog });
        truth = createReferenceEngine({ model, cut: DEFAULT_CUT });
        await engine.load(ORDER);
        await truth.load(ORDER);
      });
      after(async () => {
        await engine.close();
        await truth.close();
        await rm(folder, { recursive: true });
      });

      it('challenges are exact in the stored weights', async () => {
        for (const index of ORDER) {
          const rows = (): Rows => (index === 0 ? tokens(ids(16)) : hidden(16));
          const [found, expected] = [await engine.challenge(index, rows()), await truth.challenge(index, rows())];
          assert.ok(relative(found, expected) < EXACT, `shard ${index}: ${relative(found, expected)}`);
          assert.deepEqual(await engine.challenge(index, rows()), found);
        }
      });

      it('serving is close to it', async () => {
        // The second piece of the prompt reads its own rows and the cache at once.
        const calls = [ids(20), ids(13, 2), [5], [200], [33]];
        const [found, expected] = [await feed(await open(engine), calls), await feed(await open(truth), calls)];
        for (const [i, top] of expected.entries()) {
          const values = new Map(Array.from(found[i]?.ids ?? [], (id, at) => [id, found[i]?.values[at] ?? 0]));
          const shared = Array.from(top.ids.keys()).filter((at) => values.has(top.ids[at] ?? -1));
          assert.ok(shared.length > 0.8 * top.ids.length, `${shared.length} of ${top.ids.length} candidates`);
          const [ours, theirs] = [
            Float32Array.from(shared, (at) => values.get(top.ids[at] ?? -1) ?? 0),
            Float32Array.from(shared, (at) => top.values[at] ?? 0),
          ];
          assert.ok(
            relative(ours, theirs) < (isFloat(format) ? EXACT : ROUNDED),
            `step ${i}: ${relative(ours, theirs)}`,
          );
        }
      });

      if (isFloat(format) || format === 'w8a8')
        it('company changes no bit', async () => {
          const prompts = [ids(5), ids(30, 3), ids(2, 9), ids(20, 1)];
          const calls = prompts.map((prompt, i) => [prompt, [i + 1], [i + 20], [i + 30]]);
          const alone: TopLogits[][] = [];
          for (const list of calls) alone.push(await feed(await open(engine), list));
          assert.deepEqual(await Promise.all(calls.map(async (list) => feed(await open(engine), list))), alone);
        });

      it('a row of zeros stays finite', async () => {
        const session = await engine.openSession(
          { from: 1 as ShardIndex, to: 2 as ShardIndex },
          { maxTokens: 8, owner: 'test', codec: 'f32' },
        );
        const step = await session.step(0, { kind: 'hidden', data: new Float32Array(WIDTH), count: 1 });
        assert.ok(step.kind === 'top' && step.top.values.every(Number.isFinite));
        await session.release();
      });
    });

describe('engine: what formats cost', () => {
  it('quantised weights are smaller on disk and in memory', async () => {
    const sizes = new Map<WeightFormat, { disk: number; memory: number }>();
    for (const format of WEIGHT_FORMATS) {
      const folder = await mkdtemp(join(tmpdir(), 'tessera-format-'));
      await writeRandomModel(folder, { blocks: 2, shards: 1, width: 128, ffn: 512, maxContext: 64, format });
      const { manifest } = await openModel(folder);
      const blocks = Object.entries(manifest.files).filter(([name]) => name.startsWith('block'));
      sizes.set(format, {
        disk: blocks.reduce((sum, [, file]) => sum + file.bytes, 0),
        memory: manifest.shards.reduce((sum, shard) => sum + shard.memory.weights, 0),
      });
      await rm(folder, { recursive: true });
    }
    const disk = (format: WeightFormat) => sizes.get(format)?.disk ?? Number.NaN;
    assert.ok(disk('int4b128') < 0.35 * disk('f16') && disk('int4b128') < disk('int4b32'));
    assert.ok(disk('w8a8') < 0.55 * disk('f16'));
    assert.ok((sizes.get('int4b128')?.memory ?? 0) < 0.7 * (sizes.get('f16')?.memory ?? 0));
  });
});

function open(engine: Engine): Promise<KvSession> {
  return engine.openSession(
    { from: 0 as ShardIndex, to: SHARDS as ShardIndex },
    { maxTokens: 60, owner: 'test', codec: 'f32' },
  );
}

/** Feeds calls one after the other; the candidates after each. */
async function feed(session: KvSession, calls: readonly (readonly number[])[]): Promise<TopLogits[]> {
  const tops: TopLogits[] = [];
  for (const call of calls) {
    const step = await session.step(session.length, tokens(call));
    assert.ok(step.kind === 'top');
    tops.push(step.top);
  }
  await session.release();
  return tops;
}

function ids(count: number, seed = 0): number[] {
  return Array.from({ length: count }, (_, i) => (i * 37 + seed * 11 + 5) % 288);
}

function tokens(list: readonly number[]): Rows {
  return { kind: 'tokens', ids: Int32Array.from(list) };
}

function hidden(count: number): Rows {
  return { kind: 'hidden', count, data: Float32Array.from({ length: count * WIDTH }, (_, i) => Math.sin(i * 0.7)) };
}

/** L2 of the difference over that of what is expected. */
function relative(found: Float32Array, expected: Float32Array): number {
  const square = expected.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(expected.reduce((sum, value, i) => sum + (value - (found[i] ?? Number.NaN)) ** 2, 0) / square);
}
