import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { INT4_BLOCK } from '../../../src/graph/formats.ts';
import { dequantizeLayer, quantizeLayer } from '../../../src/graph/quant.ts';

const FORMATS = ['int4b32', 'int4b128', 'w8a8'] as const;
const layers = fc
  .record({ inputs: fc.integer({ min: 1, max: 300 }), outputs: fc.integer({ min: 1, max: 5 }) })
  .chain(({ inputs, outputs }) =>
    fc.record({
      dims: fc.constant([inputs, outputs] as const),
      weights: fc.float32Array({
        minLength: inputs * outputs,
        maxLength: inputs * outputs,
        noNaN: true,
        min: -8,
        max: 8,
      }),
    }),
  );

describe('graph/quant', () => {
  for (const format of FORMATS)
    it(`a weight is off by at most a level of its group (${format})`, () => {
      fc.assert(
        fc.property(layers, ({ weights, dims }) => {
          const back = dequantizeLayer(format, quantizeLayer(format, weights, dims), dims);
          const group = format === 'w8a8' ? dims[0] : INT4_BLOCK[format];
          for (let o = 0; o < dims[1]; o++)
            for (let from = 0; from < dims[0]; from += group) {
              const places = Array.from(
                { length: Math.min(group, dims[0] - from) },
                (_, i) => (from + i) * dims[1] + o,
              );
              const largest = Math.max(...places.map((at) => Math.abs(weights[at] ?? 0)));
              // 8 bits round to the half of a level; 4 bits have 8 levels on the side of the largest and 7 on the other.
              const bound = largest / (format === 'w8a8' ? 254 : 8);
              for (const at of places) {
                const off = Math.abs((weights[at] ?? 0) - (back[at] ?? Number.NaN));
                assert.ok(off <= bound * 1.0001 + 1e-30, `${weights[at]} became ${back[at]}, largest ${largest}`);
              }
            }
        }),
        { numRuns: 100 },
      );
    });

  it('keeps what its levels hold exactly', () => {
    const levels = Float32Array.from({ length: 32 }, (_, i) => ((i % 16) - 8) / 4);
    assert.deepEqual(dequantizeLayer('int4b32', quantizeLayer('int4b32', levels, [32, 1]), [32, 1]), levels);
    const bytes = Float32Array.from({ length: 255 }, (_, i) => (i - 127) / 64);
    assert.deepEqual(dequantizeLayer('w8a8', quantizeLayer('w8a8', bytes, [255, 1]), [255, 1]), bytes);
  });

  it('packs two values a byte, outputs in rows, the lower half first', () => {
    // (in 32, out 2): the first output is -8, 7, 0 ...; the second one zeros.
    const weights = new Float32Array(64);
    weights[0] = -8;
    weights[2] = 7;
    const { values, scales } = quantizeLayer('int4b32', weights, [32, 2]);
    assert.deepEqual([values.length, scales.length], [32, 2]);
    assert.equal(scales[0], 1);
    assert.deepEqual([values[0], values[1], values[16]], [0xf0, 0x88, 0x88]);
  });

  it('a group whose weights are all zero stays zero', () => {
    for (const format of FORMATS) {
      const zeros = new Float32Array(64);
      const { values, scales } = quantizeLayer(format, zeros, [32, 2]);
      assert.deepEqual(dequantizeLayer(format, { values, scales }, [32, 2]), zeros);
      assert.ok(scales.every((scale) => scale > 0));
    }
  });
});
