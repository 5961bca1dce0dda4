import { strict as assert } from 'node:assert';
import { capacityFor, chunkRows } from '../../../src/engine/backend.ts';
import { openModel } from '../../../src/model/open.ts';

const TINY_LLAMA = {
  blocks: 22,
  width: 2048,
  ffn: 5632,
  heads: 32,
  kvHeads: 4,
  headDim: 64,
  vocab: 32_000,
  maxContext: 2048,
  eps: 1e-5,
};

describe('engine/backend', () => {
  it('reads prompts of large models in smaller chunks', async () => {
    const { manifest } = await openModel('models/tiny');
    assert.equal(chunkRows(manifest.shape, 'f16'), 128);
    for (const [blocks, of4Bits, of8Bits] of [
      [22, 64, 128],
      [50, 32, 64],
      [80, 32, 32],
      [10_000, 32, 32],
    ] as const) {
      const shape = { ...TINY_LLAMA, blocks };
      assert.deepEqual([chunkRows(shape, 'int4b128'), chunkRows(shape, 'w8a8')], [of4Bits, of8Bits]);
    }
  });

  it('caches have few sizes, and never more than the context', () => {
    assert.deepEqual(
      [1, 256, 257, 5000, 20_000].map((tokens) => capacityFor(tokens, 32_768)),
      [256, 256, 1024, 16_384, 32_768],
    );
    assert.equal(capacityFor(100, 64), 64);
  });
});
