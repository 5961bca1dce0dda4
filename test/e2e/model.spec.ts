// What a model owner does: a Hugging Face folder comes in, is looked at, made smaller, spoken to; what is wrong with a folder is said.

import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Finished, runCli } from '../support/cli.ts';
import { writeHfFolder } from '../support/hf-folder.ts';

const CONFIG = {
  architectures: ['Qwen3ForCausalLM'],
  vocab_size: 288,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  bos_token_id: 0,
  eos_token_id: 1,
};

describe('command line: model', function () {
  this.timeout(10 * 60_000);
  let folder: string;
  const at = (name: string) => join(folder, name);
  const model = (...args: string[]): Promise<Finished> =>
    runCli(['model', ...args, '--json', '--data-dir', at('home')]);
  const result = (finished: Finished) => {
    assert.equal(finished.code, 0, finished.stderr);
    return JSON.parse(finished.stdout);
  };
  const fails = (finished: Finished, code: number, words: RegExp) => {
    assert.equal(finished.code, code, finished.stderr);
    assert.match(finished.stderr, words);
    assert.equal(finished.stdout, '');
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-model-cli-'));
    await writeHfFolder(at('hf'), CONFIG, { files: 2 });
    result(
      await model('import', at('hf'), '--out', at('whole'), '--parts', '2', '--license', 'MIT', '--context', '128'),
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  it('an imported model says what it is', async () => {
    const { name, license, parameters, shape, attention, shards } = result(await model('inspect', at('whole')));
    assert.deepEqual([name, license, shape.blocks, shape.maxContext], ['hf', 'MIT', 3, 128]);
    assert.deepEqual(attention, { qkvBias: false, qkNorm: true, window: null });
    assert.deepEqual(
      shards.map(({ id }: { id: string }) => id),
      ['f16/0-1', 'f16/1-3'],
    );
    const block = 128 * (4 + 2 * 2) * 32 + 4 * 32 * 128 + 3 * 128 * 256 + 2 * 128 + 2 * 32;
    assert.equal(parameters, 3 * block + 2 * 288 * 128 + 128);
  });

  it('is whole, and answers', async () => {
    assert.equal(result(await model('verify', at('whole'))).event, 'verified');
    const said = await runCli([
      'generate',
      'abc',
      '--local',
      '--model',
      at('whole'),
      '--max-tokens',
      '5',
      '--json',
      '--data-dir',
      at('home'),
    ]);
    assert.equal(said.code, 0, said.stderr);
  });

  for (const [word, format, share] of [
    ['int4', 'int4b128', 0.5],
    ['int8', 'w8a8', 0.75],
  ] as const)
    it(`becomes smaller: ${word}`, async () => {
      writeFileSync(at('text'), 'The quick brown fox jumps over the lazy dog.');
      const made = result(
        await model('quantize', at('whole'), '--out', at(word), '--format', word, '--text', at('text')),
      );
      assert.equal(made.format, format);
      assert.ok(made.bytes.after < share * made.bytes.before, `${made.bytes.after} of ${made.bytes.before}`);
      const { positions, sameBest, divergence, perplexity } = made.quality;
      assert.equal(positions, 44);
      assert.ok(sameBest > 0 && sameBest <= 1 && divergence > 0 && divergence < 1 && perplexity.after > 1);
      const verified = result(await model('verify', at(word)));
      assert.equal(verified.manifest, made.manifest);
      fails(await model('quantize', at(word), '--out', at('again')), 1, /cannot be quantised again/);
    });

  it('keeps layers as it is told', async () => {
    const keep = async (out: string, list: string) =>
      result(await model('quantize', at('whole'), '--out', at(out), '--format', 'int4', '--keep', list));
    assert.deepEqual((await keep('kept', 'down,block.0.qkv=int8')).layers, {
      head: 'w8a8',
      down: 'f16',
      'block.0.qkv': 'w8a8',
    });
    const { stdout } = await runCli(['model', 'inspect', at('kept'), '--data-dir', at('home')]);
    assert.match(stdout, /linear layers in int4b128, block\.0\.qkv in w8a8, down in f16, head in w8a8\n/);
    fails(await model('quantize', at('kept'), '--out', at('again')), 1, /cannot be quantised again/);
    for (const [list, code, words] of [
      ['down=int3', 2, /--keep down=int3: say one of f32/],
      ['nose', 1, /no linear layer nose; say one of qkv, out, gate, up, down, head/],
    ] as const)
      fails(await model('quantize', at('whole'), '--out', at('none'), '--format', 'int8', '--keep', list), code, words);
    assert.ok(!existsSync(at('none')));
  });

  it('is not written over, and nothing is left of a model that cannot be', async () => {
    fails(await model('import', at('hf'), '--out', at('whole')), 78, /already/);
    writeFileSync(at('hf/config.json'), JSON.stringify({ ...CONFIG, hidden_act: 'gelu' }));
    fails(await model('import', at('hf'), '--out', at('refused')), 1, /hidden_act: gelu/);
    writeFileSync(at('hf/config.json'), JSON.stringify({ ...CONFIG, intermediate_size: 128 }));
    fails(await model('import', at('hf'), '--out', at('refused')), 78, /mlp/);
    assert.ok(!existsSync(at('refused')));
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.includes('draft')),
      [],
    );
  });

  it('a changed byte is found', async () => {
    const file = join(at('whole'), 'end.f16');
    const bytes = readFileSync(file);
    appendFileSync(file, 'x');
    fails(await model('verify', at('whole')), 6, /end\.f16/);
    writeFileSync(file, bytes);
  });

  it('wants an action and a folder', async () => {
    for (const args of [[], ['fly', at('whole')], ['inspect'], ['import', at('hf')]])
      fails(await model(...args), 2, /model|--out/);
  });
});
