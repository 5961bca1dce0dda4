import { strict as assert } from 'node:assert';
import { canonicalJson, cutShards, manifestBytes, manifestHash, parseManifest } from '../../../src/model/manifest.ts';
import type { Manifest, ManifestShard } from '../../../src/types/model.ts';
import { CodedError } from '../../../src/util/errors.ts';

const ONE_BITS = 0x3f800000;
const FILE = { bytes: 1, sha256: 'ab'.repeat(32) };

function shard(from: number, to: number): ManifestShard {
  const [first, last] = [from === 0, to === 4];
  return {
    id: `f16/${from}-${to}`,
    format: 'f16',
    from,
    to,
    first,
    last,
    graph: 'graph.onnx',
    weights: ['weights.f16'],
    inputs: [{ name: first ? 'input_ids' : 'hidden_in', dtype: first ? 'i64' : 'f32', dims: ['B', 'S'] }],
    outputs: [{ name: 'out', dtype: 'f32', dims: ['B', 'S', 32] }],
    det: { graph: 'graph.onnx' },
    tau: 1024,
    rmsBits: ONE_BITS,
    gBits: first ? 0 : ONE_BITS,
    probe: last ? [5, 77] : [],
    auditable: true,
    memory: { weights: 10, kvPerToken: 128 },
  };
}

const GOOD: Manifest = {
  format: 'tessera-model/1',
  name: 'test',
  license: 'MIT',
  arch: 'llama',
  shape: { blocks: 4, width: 32, ffn: 64, heads: 2, kvHeads: 1, headDim: 16, vocab: 100, maxContext: 64, eps: 1e-5 },
  rope: { theta: 10_000 },
  tie: true,
  tokenizer: { file: 'tokenizer.json', bos: 0, eos: [1], specials: 4 },
  chatTemplate: 'chat.jinja',
  files: { 'graph.onnx': FILE, 'weights.f16': FILE, 'tokenizer.json': FILE, 'chat.jinja': FILE },
  cuts: { default: ['f16/0-2', 'f16/2-4'] },
  shards: [shard(0, 2), shard(2, 4)],
};

function refused(bytes: Uint8Array, why: RegExp): void {
  assert.throws(
    () => parseManifest(bytes),
    (error: unknown) => {
      assert.ok(error instanceof CodedError);
      assert.equal(error.code, 'MODEL_MANIFEST');
      assert.match(error.message, why);
      return true;
    },
  );
}

/** GOOD with one shard changed. */
function withShard(index: number, change: object): unknown {
  return { ...GOOD, shards: GOOD.shards.map((item, i) => (i === index ? { ...item, ...change } : item)) };
}

describe('model/manifest', () => {
  // RFC 8785, 3.2.3 and 3.2.2.3.
  it('writes JSON as RFC 8785 does', () => {
    const value = {
      '\u20ac': 'Euro',
      '\r': 'CR',
      '1': 'One',
      b: [1e30, 4.5, 2e-3, 1e-27, true, null],
      '\u00f6': '\u000f"\\\n',
      a: { z: 1, y: {} },
    };
    assert.equal(
      canonicalJson(value),
      '{"\\r":"CR","1":"One","a":{"y":{},"z":1},"b":[1e+30,4.5,0.002,1e-27,true,null],"ö":"\\u000f\\"\\\\\\n","€":"Euro"}',
    );
  });

  it('reads what it wrote, and its hash is its identity', () => {
    const bytes = manifestBytes(GOOD);
    assert.deepEqual(parseManifest(bytes), GOOD);
    assert.equal(manifestHash(bytes).length, 64);
    assert.notEqual(manifestHash(manifestBytes({ ...GOOD, name: 'other' })), manifestHash(bytes));
  });

  it('says of layers how they are stored', () => {
    const mixed = withShard(1, { layers: { 'block.2.qkv': 'w8a8', head: 'f16' } }) as Manifest;
    assert.deepEqual(parseManifest(manifestBytes(mixed)), mixed);
  });

  it('finds the shards of a cut in order', () => {
    assert.deepEqual(
      cutShards(GOOD, 'default').map((item) => item.id),
      ['f16/0-2', 'f16/2-4'],
    );
    assert.throws(() => cutShards(GOOD, 'constructor'), /no cut is named constructor; there are: default/);
  });

  it('takes only the one canonical text', () => {
    const text = Buffer.from(manifestBytes(GOOD)).toString('utf8');
    refused(Buffer.from(`${text} `), /canonical/);
    refused(Buffer.from(JSON.stringify(GOOD, null, 1)), /canonical/);
    refused(Buffer.from(text.replace('"tie":true', '"tie":true,"tie":true')), /canonical/);
    refused(Buffer.from(text.slice(1)), /not JSON/);
    refused(Buffer.from([0xff]), /not JSON/);
    refused(new Uint8Array((1 << 20) + 1), /larger/);
  });

  const cases: readonly (readonly [string, unknown, RegExp])[] = [
    ['an unknown key', { ...GOOD, extra: 1 }, /extra/],
    ['an unknown key of a shard', withShard(0, { extra: 1 }), /extra/],
    ['a layer in an unknown format', withShard(0, { layers: { down: 'int3' } }), /layers/],
    ['a layer with a strange name', withShard(0, { layers: { __PROTO__: 'f16' } }), /layers/],
    ['another format', { ...GOOD, format: 'tessera-model/2' }, /format/],
    ['a path as a file name', { ...GOOD, chatTemplate: '../chat.jinja' }, /chatTemplate/],
    ['a hidden file', { ...GOOD, chatTemplate: '.chat' }, /chatTemplate/],
    ['a listed path', { ...GOOD, files: { ...GOOD.files, 'a/b': FILE } }, /files/],
    ['a file that is not listed', { ...GOOD, chatTemplate: 'other.jinja' }, /other.jinja is named but not listed/],
    [
      'a file named like an object key',
      { ...GOOD, chatTemplate: 'constructor' },
      /constructor is named but not listed/,
    ],
    ['heads that do not share keys evenly', { ...GOOD, shape: { ...GOOD.shape, heads: 3, kvHeads: 2 } }, /kvHeads/],
    ['a head size that the runtime cannot turn', { ...GOOD, shape: { ...GOOD.shape, headDim: 8 } }, /headDim/],
    [
      'an end token outside of the vocabulary',
      { ...GOOD, tokenizer: { ...GOOD.tokenizer, eos: [100] } },
      /special token/,
    ],
    ['two shards of one id', { ...GOOD, shards: [shard(0, 2), shard(0, 2)] }, /one id/],
    ['a cut with a gap', { ...GOOD, cuts: { default: ['f16/0-2'] } }, /cover/],
    ['a cut in the wrong order', { ...GOOD, cuts: { default: ['f16/2-4', 'f16/0-2'] } }, /cover/],
    ['a shard beyond the blocks', withShard(1, { to: 5 }), /blocks/],
    ['an empty shard', withShard(1, { from: 4 }), /blocks/],
    ['a first shard in the middle', withShard(1, { first: true }), /first or last/],
    ['a gain of the first shard', withShard(0, { gBits: ONE_BITS }), /gBits/],
    ['no gain of a later shard', withShard(1, { gBits: 0 }), /gBits/],
    ['an RMS of infinity', withShard(0, { rmsBits: 0x7f800000 }), /rmsBits/],
    ['an RMS of zero', withShard(0, { rmsBits: 0 }), /rmsBits/],
    ['a tolerance of zero', withShard(0, { tau: 0 }), /tau/],
    ['probe columns of a shard that is not the last', withShard(0, { probe: [1] }), /probe/],
    ['a last shard without probe columns', withShard(1, { probe: [] }), /probe/],
    ['a probe column outside of the vocabulary', withShard(1, { probe: [100] }), /probe column/],
  ];
  for (const [what, value, why] of cases)
    it(`refuses ${what}`, () => {
      refused(Buffer.from(canonicalJson(value)), why);
    });
});
