// Encoders of other people: what sentence-transformers saves comes in unchanged and gives the vectors that it gives (test/vectors/encoders.json, by
// scripts/model/encoders_parity.py), whole or cut, alone or in a ragged batch.

import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { publishModel } from '../../src/engine/publish.ts';
import { type Engine, EngineError } from '../../src/engine/types.ts';
import type { WeightFormat } from '../../src/graph/formats.ts';
import { batchTexts, vectorsOf } from '../../src/model/encoder-batch.ts';
import { type EncodedText, openEncoderTokenizer } from '../../src/model/encoder-tokenizer.ts';
import { importEncoder } from '../../src/model/import-encoder.ts';
import { encoderManifest } from '../../src/model/manifest.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { type EncoderFolder, writeEncoderFolder } from '../support/hf-encoder-folder.ts';

interface Vector extends Pick<EncoderFolder, 'config' | 'pooling' | 'head'> {
  readonly name: string;
  readonly ids: readonly (readonly number[])[];
  readonly segments: readonly (readonly number[])[];
  /** Little-endian f32, base64. */
  readonly vectors: readonly string[];
}

interface Vectors {
  readonly maxTokens: number;
  readonly tokenizer: object;
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly models: readonly Vector[];
}

const { maxTokens, tokenizer, texts, models }: Vectors = JSON.parse(
  await readFile(new URL('../vectors/encoders.json', import.meta.url), 'utf8'),
);
/** Largest difference of a value, in units of the largest value of its vector. */
const TOLERANCE = 1e-5;
const [FIRST] = models;
assert.ok(FIRST !== undefined);

describe('model: encoders', () => {
  let folder: string;
  let engine: Engine | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-encoder-'));
  });
  afterEach(async () => {
    await engine?.close();
    engine = undefined;
    await rm(folder, { recursive: true });
  });

  const bringIn = async (
    options: Omit<EncoderFolder, 'tokenizer'>,
    shardBlocks: readonly number[] = [3],
    format: WeightFormat = 'f32',
  ): Promise<Model> => {
    await writeEncoderFolder(join(folder, 'hf'), { tokenizer, ...options });
    const source = await importEncoder(join(folder, 'hf'));
    try {
      const wanted = { name: 'theirs', license: 'none', shardBlocks, format };
      return await publishModel(join(folder, 'ours'), source, wanted, { log: silentLog });
    } finally {
      await source.close();
    }
  };
  const start = async (model: Model): Promise<Engine> => {
    engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log: silentLog });
    await engine.load(model.manifest.shards.map((_, i) => i as ShardIndex));
    return engine;
  };
  const embed = async (model: Model, running: Engine, inputs: readonly EncodedText[], parts = 1) => {
    const found: Float32Array[] = [];
    for (const { places, tensors } of batchTexts(encoderManifest(model.manifest), inputs)) {
      let given = tensors;
      // Shard after shard, each with what its ports name: as hops hand it on.
      const count = model.manifest.shards.length;
      for (let k = 0; k < parts; k++) {
        const range = { from: ((k * count) / parts) as ShardIndex, to: (((k + 1) * count) / parts) as ShardIndex };
        const ports = model.manifest.shards[range.from]?.inputs ?? [];
        const outputs = await running.run(
          range,
          ports.map(({ name }) => structuredClone(given.find((one) => one.name === name) ?? assert.fail(name))),
          { owner: 'test' },
        );
        given = [...given.filter(({ name }) => outputs.every((one) => one.name !== name)), ...outputs];
      }
      vectorsOf(given, places.length).forEach((vector, i) => {
        found[places[i] ?? -1] = vector;
      });
    }
    return found;
  };
  const inputsOf = ({ ids, segments }: Vector): EncodedText[] =>
    ids.map((row, i) => ({ ids: row, segments: segments[i] ?? [] }));

  for (const vector of models)
    it(vector.name, async () => {
      const model = await bringIn(vector, [1, 2]);
      const running = await start(model);
      const expected = vector.vectors.map(floats);
      const together = await embed(model, running, inputsOf(vector));
      for (const [i, one] of expected.entries()) assertClose(together[i], one, TOLERANCE, `text ${i} in the batch`);
      for (const [i, input] of inputsOf(vector).entries())
        assertClose((await embed(model, running, [input]))[0], expected[i], TOLERANCE, `text ${i} alone`);
      const apart = await embed(model, running, inputsOf(vector), 2);
      assert.deepEqual(apart, together, 'a cut changes no bit');
    });

  it('other spellings of the same weights', async () => {
    const expected = FIRST.vectors.map(floats);
    for (const [what, options] of Object.entries({
      'trained with a head, older names of norms': { ...FIRST, prefix: 'bert.', gamma: true },
      'one shard': FIRST,
    })) {
      const model = await bringIn(options);
      const found = await embed(model, await start(model), inputsOf(FIRST));
      for (const [i, one] of expected.entries()) assertClose(found[i], one, TOLERANCE, `${what}, text ${i}`);
      await engine?.close();
      await rm(join(folder, 'ours'), { recursive: true });
    }
  });

  it('saved by transformers alone: the mean, as it is', async () => {
    const model = await bringIn({ ...FIRST, modules: false });
    const found = await embed(model, await start(model), inputsOf(FIRST));
    for (const [i, one] of FIRST.vectors.map(floats).entries()) {
      const length = Math.hypot(...(found[i] ?? []));
      assert.ok(length > 2);
      assertClose(
        found[i]?.map((value) => value / length),
        one,
        TOLERANCE,
        `text ${i}`,
      );
    }
  });

  for (const [dtype, format, tolerance] of [
    ['BF16', 'f32', 1e-5],
    ['F16', 'f16', 1e-5],
    ['F32', 'w8a8', 0.2],
    ['F32', 'int4b32', 0.5],
  ] as const)
    it(`weights in ${dtype}, stored in ${format}`, async () => {
      const model = await bringIn({ ...FIRST, dtype }, [1, 2], format);
      const running = await start(model);
      const found = await embed(model, running, inputsOf(FIRST));
      for (const [i, one] of FIRST.vectors.entries()) assertClose(found[i], floats(one), tolerance, `text ${i}`);
      // Challenges run in f32 on the weights as they are stored, and say the same again.
      const ids = Int32Array.from({ length: 16 }, (_, i) => 5 + i);
      const answer = await running.challenge(0 as ShardIndex, { kind: 'tokens', ids });
      assert.equal(answer.length, 16 * 64);
      const hidden = () => ({ kind: 'hidden', data: answer.slice(), count: 16 }) as const;
      const last = await running.challenge(1 as ShardIndex, hidden());
      assert.equal(last.length, 16 * (model.manifest.shards[1]?.probe.length ?? 0));
      assert.deepEqual(await running.challenge(1 as ShardIndex, hidden()), last);
    });

  it('texts become the ids of the tokenizers library, cut to the length', async () => {
    const { encode } = await openEncoderTokenizer(await bringIn({ ...FIRST, maxTokens }));
    for (const { text, ids } of texts) assert.deepEqual(encode(text).ids, ids, JSON.stringify(text));
  });

  it('a default prompt and lower case are put on', async () => {
    const hf = join(folder, 'hf');
    const settings = { prompts: { query: 'fox ' }, default_prompt_name: 'query' };
    await mkdir(hf);
    await writeFile(join(hf, 'config_sentence_transformers.json'), JSON.stringify(settings));
    const model = await bringIn(FIRST);
    const { encode } = await openEncoderTokenizer(model);
    assert.equal(encoderManifest(model.manifest).encoder.prefix, 'fox ');
    const { ids } = texts.find(({ text }) => text === 'fox [MASK] fox') ?? assert.fail();
    assert.deepEqual(encode('[MASK] fox').ids, ids);
  });

  it('bad tensors are refused by code', async () => {
    const model = await bringIn(FIRST, [1, 2]);
    const running = await start(model);
    const i32 = (name: string, dims: number[], fill = 1) => ({
      name,
      dims,
      data: new Int32Array(dims.reduce((a, b) => a * b, 1)).fill(fill),
    });
    const good = (dims: number[]) => [
      i32('input_ids', dims),
      i32('attention_mask', dims),
      i32('token_type_ids', dims, 0),
    ];
    const refuses = async (code: string, tensors: Parameters<Engine['run']>[1]) => {
      const range = { from: 0 as ShardIndex, to: 2 as ShardIndex };
      await assert.rejects(running.run(range, tensors, { owner: 'test' }), (error) => errorCode(error) === code);
    };
    await refuses('E_SHAPE', []);
    await refuses('E_SHAPE', good([2, 3]).slice(1));
    await refuses('E_SHAPE', [...good([2, 3]), i32('more', [2, 3])]);
    await refuses('E_SHAPE', [i32('input_ids', [2, 4]), ...good([2, 3]).slice(1)]);
    await refuses('E_SHAPE', [{ ...i32('input_ids', [2, 3]), dims: [3, 3] }, ...good([3, 3]).slice(1)]);
    await refuses('E_SHAPE', [
      { name: 'input_ids', dims: [2, 3], data: new Float32Array(6) },
      ...good([2, 3]).slice(1),
    ]);
    await refuses('E_SHAPE', good([200, 40]));
    await refuses('E_FULL', good([1, 41]));
    await refuses('E_TOKEN', [i32('input_ids', [1, 3], 104), ...good([1, 3]).slice(1)]);
    await refuses('E_TOKEN', [i32('input_ids', [1, 3], -1), ...good([1, 3]).slice(1)]);
    const session = running.openSession(
      { from: 0 as ShardIndex, to: 2 as ShardIndex },
      { maxTokens: 8, owner: 'test', codec: 'f32' },
    );
    await assert.rejects(session, EngineError);
    const aborted = AbortSignal.abort();
    const run = running.run({ from: 0 as ShardIndex, to: 2 as ShardIndex }, good([1, 3]), { owner: 'test' }, aborted);
    await assert.rejects(run, (error) => errorCode(error) === 'E_ABORTED');
    assert.equal(running.stats().kvBytes, 0);
  });

  it('what cannot be run is refused by its name', async () => {
    const refused = async (change: Partial<EncoderFolder>, words: RegExp) => {
      await rm(join(folder, 'hf'), { recursive: true, force: true });
      await writeEncoderFolder(join(folder, 'hf'), { ...FIRST, tokenizer, ...change });
      await assert.rejects(importEncoder(join(folder, 'hf')), words);
    };
    await refused({ config: { ...FIRST.config, position_embedding_type: 'relative_key' } }, /position_embedding_type/);
    await refused({ config: { ...FIRST.config, hidden_act: 'mish' } }, /hidden_act: mish/);
    await refused({ config: { ...FIRST.config, model_type: 'albert' } }, /model_type: albert/);
    await refused({ pooling: { pooling_mode_lasttoken: true } }, /lasttoken/);
    await writeEncoderFolder(join(folder, 'hf'), { ...FIRST, tokenizer });
    await rm(join(folder, 'hf', 'model.safetensors'));
    await writeFile(join(folder, 'hf', 'pytorch_model.bin'), 'x');
    await assert.rejects(importEncoder(join(folder, 'hf')), /pytorch_model\.bin is a pickle.*safe_serialization/);
    const modules = [{ idx: 0, name: '0', path: '../other', type: 'sentence_transformers.models.Transformer' }];
    await writeFile(join(folder, 'hf', 'modules.json'), JSON.stringify(modules));
    await assert.rejects(importEncoder(join(folder, 'hf')), /modules\.json/);
    assert.equal((await openModel('models/tiny')).manifest.arch, 'llama');
  });
});

function floats(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

function assertClose(
  found: Float32Array | undefined,
  expected: Float32Array | undefined,
  tolerance: number,
  what: string,
): void {
  assert.ok(found !== undefined && expected !== undefined && found.length === expected.length, what);
  const scale = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const worst = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - (found[i] ?? Number.NaN))), 0);
  assert.ok(worst <= tolerance * scale, `${what}: ${worst} where the largest is ${scale}`);
}
