import { strict as assert } from 'node:assert';
import { ropeTables } from '../../../src/graph/rope.ts';
import { layoutWeights, llamaWeights } from '../../../src/graph/weights.ts';
import { llama, SHAPE } from './shape.ts';

describe('graph/weights', () => {
  it('stores each tensor once, a tied head with the embedding', () => {
    const tied = llamaWeights(llama(), 'f16').map((spec) => spec.name);
    assert.equal(new Set(tied).size, tied.length);
    assert.ok(!tied.includes('head'));
    const free = llamaWeights(llama({ tie: false }), 'f16');
    assert.deepEqual(free.find((spec) => spec.name === 'head')?.dims, [SHAPE.width, SHAPE.vocab]);
    assert.deepEqual(free.find((spec) => spec.name === 'block.1.qkv')?.dims, [32, (4 + 2 * 2) * 16]);
  });

  it('puts tensors on pages of their file, one behind the other', () => {
    const specs = llamaWeights(llama({ tie: false }), 'f16');
    const places = layoutWeights(specs);
    const ends = new Map<string, number>();
    for (const spec of specs) {
      const place = places.get(spec.name);
      assert.ok(place !== undefined);
      assert.equal(place.offset % 4096, 0);
      assert.ok(place.offset >= (ends.get(place.location) ?? 0));
      assert.equal(place.length, spec.dims.reduce((product, dim) => product * dim, 1) * (spec.type === 'f16' ? 2 : 4));
      ends.set(place.location, place.offset + place.length);
    }
    assert.deepEqual([...ends.keys()], ['embed.f16', 'block-0.f16', 'block-1.f16', 'end.f16', 'rope.f32']);
  });

  it('turns by position over theta to the power of the pair', () => {
    const { cos, sin } = ropeTables(SHAPE, { theta: 10_000 });
    const half = SHAPE.headDim / 2;
    assert.equal(cos.length, SHAPE.maxContext * half);
    assert.deepEqual([cos[0], sin[0]], [1, 0]);
    assert.equal(cos[3 * half], Math.fround(Math.cos(3)));
    assert.equal(sin[5 * half + 2], Math.fround(Math.sin(5 / 10_000 ** (4 / 16))));
  });
});
