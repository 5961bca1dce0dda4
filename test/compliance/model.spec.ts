// Models on disk: what is written can be opened, and what was tampered with cannot; what Hugging Face folders hold comes in unchanged.

import { strict as assert } from 'node:assert';
import { appendFile, mkdtemp, readFile, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { importHf } from '../../src/model/import.ts';
import { textManifest } from '../../src/model/manifest.ts';
import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT, writeModel } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { writeRandomModel } from '../support/random-model.ts';
import { rehash } from '../support/rehash.ts';

const SMALL = { blocks: 2, shards: 2, maxContext: 64 };

describe('model: folder', () => {
  let folder: string;
  let hash: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-model-'));
    await writeRandomModel(folder, SMALL);
    hash = (await openModel(folder)).hash;
  });
  afterEach(() => rm(folder, { recursive: true }));

  const refuses = (code: string, what: () => Promise<unknown> = () => openModel(folder)) =>
    assert.rejects(what, (error: unknown) => {
      assert.equal(errorCode(error), code);
      return true;
    });

  it('the same source gives the same bytes', async () => {
    await writeRandomModel(folder, SMALL);
    assert.equal((await openModel(folder)).hash, hash);
    await writeRandomModel(folder, { ...SMALL, seed: 'other' });
    assert.notEqual((await openModel(folder)).hash, hash);
  });

  it('names paths of its own files only', async () => {
    const model = await openModel(folder);
    assert.equal(model.path('tokenizer.json'), join(folder, 'tokenizer.json'));
    for (const file of ['../tokenizer.json', '/etc/passwd', 'manifest.json', 'constructor', ''])
      assert.throws(
        () => model.path(file),
        (error: unknown) => errorCode(error) === 'MODEL_FILE',
      );
  });

  it('refuses a file with one other byte, and one that is longer or shorter', async () => {
    const path = join(folder, 'block-0.f16');
    const bytes = await readFile(path);
    await writeFile(
      path,
      bytes.map((byte, i) => (i === 100 ? byte ^ 1 : byte)),
    );
    await refuses('MODEL_HASH');
    await writeFile(path, bytes);
    await openModel(folder);
    await appendFile(path, 'x');
    await refuses('MODEL_HASH');
    await truncate(path, 10);
    await refuses('MODEL_HASH');
  });

  it('notices a change after it was opened', async () => {
    const model = await openModel(folder);
    await appendFile(join(folder, 'tokenizer.json'), ' ');
    await refuses('MODEL_FILE', () => openTokenizer(model));
    await writeFile(join(folder, 'tokenizer.json'), 'x');
    await refuses('MODEL_HASH', () => openTokenizer(model));
  });

  it('refuses a missing file, a link and a folder', async () => {
    const path = join(folder, 'block-1.f16');
    await rename(path, `${path}.away`);
    await refuses('MODEL_FILE');
    await symlink(`${path}.away`, path);
    await refuses('MODEL_FILE');
    await unlink(path);
    await rename(`${path}.away`, path);
    await openModel(folder);
    await refuses('MODEL_FILE', () => openModel(join(folder, 'nowhere')));
    await rm(join(folder, 'manifest.json'));
    await symlink(folder, join(folder, 'manifest.json'));
    await refuses('MODEL_FILE');
  });

  it('refuses a manifest with spaces', async () => {
    await appendFile(join(folder, 'manifest.json'), '\n');
    await refuses('MODEL_MANIFEST');
  });

  it('ends when its signal does', async () => {
    await assert.rejects(openModel(folder, AbortSignal.abort()));
  });

  const latin1 = (bytes: Buffer, from: string, to: string) =>
    Buffer.from(bytes.toString('latin1').replaceAll(from, to), 'latin1');
  for (const [what, change] of [
    ['an unknown operator', (bytes: Buffer) => latin1(bytes, 'Sigmoid', 'Unsafer')],
    ['a weight file outside of the folder', (bytes: Buffer) => latin1(bytes, 'embed.f16', '../../foo')],
    ['a graph that ends early', (bytes: Buffer) => bytes.subarray(0, 1000)],
  ] as const)
    it(`an engine refuses ${what}, though its hash is right`, async () => {
      const path = join(folder, 'f16-0-1.onnx');
      await writeFile(path, change(await readFile(path)));
      await rehash(folder, 'f16-0-1.onnx');
      const engine = createReferenceEngine({ model: await openModel(folder), cut: DEFAULT_CUT });
      await refuses('E_UNSAFE', () => engine.load([0 as ShardIndex]));
      assert.deepEqual(engine.loaded(), []);
      await engine.close();
    });

  it('an engine refuses a graph that changed since the model was opened', async () => {
    const engine = createReferenceEngine({ model: await openModel(folder), cut: DEFAULT_CUT });
    const path = join(folder, 'f16-0-1.onnx');
    const bytes = await readFile(path);
    await writeFile(
      path,
      bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)),
    );
    await refuses('E_HASH', () => engine.load([0 as ShardIndex]));
    await writeFile(path, bytes);
    await engine.load([0 as ShardIndex]);
    await engine.close();
  });

  it('its tokenizer keeps every text, and no text spells a special token', async () => {
    const tokenizer = await openTokenizer(await openModel(folder));
    for (const text of ['', 'Once upon a time', ' é 😀\n', 'a<|end|>b<|bos|>']) {
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
      assert.ok(tokenizer.encode(text).every((id) => id >= 4));
    }
    assert.deepEqual(tokenizer.encodePrompt('a'), [tokenizer.bos, ...tokenizer.encode('a')]);
    const chat = tokenizer.encodeChat([{ role: 'user', content: 'x<|end|>' }]);
    assert.deepEqual(chat, [0, 2, ...tokenizer.encode('x<|end|>'), 1, 3]);
    assert.equal(tokenizer.decode(chat), 'x<|end|>');
    const stream = tokenizer.createStream();
    assert.equal([...tokenizer.encode('é😀!').map((id) => stream.push(id)), stream.end()].join(''), 'é😀!');
  });
});

describe('model: import of a Hugging Face folder', () => {
  const WIDTH = 16;
  let folder: string;
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-hf-'));
    await writeRandomModel(join(folder, 'ours'), { blocks: 1, shards: 1 });
    const rows: readonly (readonly [string, readonly number[]])[] = [
      ['model.embed_tokens.weight', [300, WIDTH]],
      ['model.norm.weight', [WIDTH]],
      ['lm_head.weight', [300, WIDTH]],
      ['model.layers.0.input_layernorm.weight', [WIDTH]],
      ['model.layers.0.post_attention_layernorm.weight', [WIDTH]],
      ['model.layers.0.self_attn.q_proj.weight', [32, WIDTH]],
      ['model.layers.0.self_attn.k_proj.weight', [16, WIDTH]],
      ['model.layers.0.self_attn.v_proj.weight', [16, WIDTH]],
      ['model.layers.0.self_attn.o_proj.weight', [WIDTH, 32]],
      ['model.layers.0.mlp.gate_proj.weight', [24, WIDTH]],
      ['model.layers.0.mlp.up_proj.weight', [24, WIDTH]],
      ['model.layers.0.mlp.down_proj.weight', [WIDTH, 24]],
    ];
    for (const [t, [name, shape]] of rows.entries()) {
      const count = shape.reduce((product, dim) => product * dim, 1);
      tensors.set(name, {
        shape,
        data: Float32Array.from({ length: count }, (_, i) => ((i * 31 + t * 7) % 128) / 64 - 1),
      });
    }
    await writeConfig({});
    await writeTensors('F32');
    await writeFile(join(folder, 'tokenizer.json'), await readFile(join(folder, 'ours', 'tokenizer.json')));
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template: '{{ bos_token }}' }));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const writeConfig = (change: object) =>
    writeFile(
      join(folder, 'config.json'),
      JSON.stringify({
        architectures: ['LlamaForCausalLM'],
        vocab_size: 300,
        hidden_size: WIDTH,
        intermediate_size: 24,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 16,
        max_position_embeddings: 32,
        rms_norm_eps: 1e-6,
        rope_theta: 5000,
        bos_token_id: 0,
        eos_token_id: 1,
        ...change,
      }),
    );
  const writeTensors = async (dtype: 'F32' | 'F16' | 'BF16') => {
    const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
    const parts: Buffer[] = [];
    let at = 0;
    for (const [name, { shape, data }] of tensors) {
      const bytes = Buffer.from(encode(data, dtype));
      header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
      at += bytes.length;
      parts.push(bytes);
    }
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    await writeFile(join(folder, 'model.safetensors'), Buffer.concat([length, text, ...parts]));
  };

  for (const dtype of ['F32', 'F16', 'BF16'] as const)
    it(`brings tensors in, linear layers transposed (${dtype})`, async () => {
      await writeTensors(dtype); // the values fit all three types exactly
      const source = await importHf(folder);
      const gate = await source.tensor('block.0.gate', [WIDTH, 24]);
      const theirs = tensors.get('model.layers.0.mlp.gate_proj.weight')?.data ?? [];
      for (let i = 0; i < WIDTH; i++)
        for (let j = 0; j < 24; j++) assert.equal(gate[i * 24 + j], theirs[j * WIDTH + i]);
      const qkv = await source.tensor('block.0.qkv', [WIDTH, 64]);
      const keys = tensors.get('model.layers.0.self_attn.k_proj.weight')?.data ?? [];
      assert.equal(qkv[3 * 64 + 32 + 5], keys[5 * WIDTH + 3]);
      assert.deepEqual(await source.tensor('embed', [300, WIDTH]), tensors.get('model.embed_tokens.weight')?.data);
      assert.deepEqual(
        [source.shape.eps, source.rope, source.traits.tie, source.tokenizer.specials],
        [1e-6, { theta: 5000 }, false, 4],
      );
      await source.close();
    });

  it('writes it as a model that opens', async () => {
    const source = await importHf(folder);
    await writeModel(join(folder, 'out'), source, { name: 'imported', license: 'MIT', shardBlocks: [1] });
    await source.close();
    const manifest = textManifest((await openModel(join(folder, 'out'))).manifest);
    assert.deepEqual([manifest.shape.vocab, manifest.tie, manifest.tokenizer.eos], [300, false, [1]]);
  });

  for (const [what, change] of [
    ['rope_scaling', { rope_scaling: { type: 'dynamic', factor: 2 } }],
    ['attention_bias', { attention_bias: true }],
    ['hidden_act', { hidden_act: 'gelu' }],
    ['architectures', { architectures: ['BertModel'] }],
    ['vocab_size', { vocab_size: -1 }],
  ] as const)
    it(`refuses ${what} that it cannot run, by name`, async () => {
      await writeConfig(change);
      await assert.rejects(importHf(folder), (error: unknown) => {
        assert.equal(errorCode(error), 'MODEL_UNSUPPORTED');
        assert.match(String(error), new RegExp(what));
        return true;
      });
    });

  for (const [file, content] of [
    ['tokenizer.json', '{'],
    ['tokenizer.json', '{"added_tokens":5}'],
    ['config.json', '{'],
    ['tokenizer_config.json', '['],
    ['generation_config.json', ']'],
  ] as const)
    it(`refuses ${file} that says ${content}`, async () => {
      await writeFile(join(folder, file), content);
      await assert.rejects(importHf(folder), (error: unknown) => {
        assert.equal(errorCode(error), 'MODEL_FILE', String(error));
        assert.match(String(error), new RegExp(file));
        return true;
      });
    });

  it('refuses a folder without a config, a tokenizer or weights', async () => {
    for (const file of ['model.safetensors', 'tokenizer.json', 'config.json']) {
      await rm(join(folder, file));
      await assert.rejects(importHf(folder), (error: unknown) => {
        assert.equal(errorCode(error), 'MODEL_FILE', String(error));
        assert.match(String(error), new RegExp(file));
        return true;
      });
    }
  });

  it('takes what generation and tokenizer configs say of ends and beginnings', async () => {
    const tokens = async (generation: object, tokenizer: object) => {
      await writeFile(join(folder, 'generation_config.json'), JSON.stringify(generation));
      await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(tokenizer));
      const source = await importHf(folder);
      await source.close();
      return [source.tokenizer.bos, source.tokenizer.eos, source.chatTemplate.length > 0];
    };
    assert.deepEqual(await tokens({ eos_token_id: [1, 3] }, {}), [0, [1, 3], true]);
    assert.deepEqual(await tokens({}, { add_bos_token: false, chat_template: 'x' }), [null, [1], true]);
    assert.deepEqual(await tokens({}, { bos_token: null }), [null, [1], true]);
    assert.deepEqual(await tokens({}, { chat_template: [{ name: 'default', template: 'y' }] }), [0, [1], true]);
  });

  it('refuses weights of another shape, and a file that ends early', async () => {
    await writeConfig({ intermediate_size: 25 });
    const source = await importHf(folder);
    await assert.rejects(source.tensor('block.0.gate', []), (error: unknown) => errorCode(error) === 'MODEL_FILE');
    await source.close();
    await truncate(join(folder, 'model.safetensors'), 50);
    await assert.rejects(importHf(folder), (error: unknown) => errorCode(error) === 'MODEL_FILE');
  });
});

function encode(data: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): ArrayBuffer {
  if (dtype === 'F32') return data.slice().buffer;
  if (dtype === 'F16') return Float16Array.from(data).buffer;
  return Uint16Array.from(new Uint32Array(data.slice().buffer), (bits) => bits >>> 16).buffer;
}
