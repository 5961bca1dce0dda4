import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bytesToIds, bytesToRows, idsToBytes, rowsToBytes } from '../../../src/wire/tensor.ts';

describe('wire: rows and ids', () => {
  it('f16 keeps what the engine rounded already; f32 keeps everything', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -60_000, max: 60_000 }), { minLength: 1, maxLength: 40 }),
        (values) => {
          const full = Float32Array.from(values);
          const rounded = Float32Array.from(Float16Array.from(values));
          assert.deepEqual(bytesToRows('f32', rowsToBytes('f32', full), 1, full.length), { ok: true, value: full });
          assert.deepEqual(bytesToRows('f16', rowsToBytes('f16', rounded), 1, full.length), {
            ok: true,
            value: rounded,
          });
          assert.deepEqual(rowsToBytes('f16', full), rowsToBytes('f16', rounded));
        },
      ),
    );
  });

  it('are little-endian', () => {
    assert.deepEqual([...rowsToBytes('f16', Float32Array.of(1))], [0x00, 0x3c]);
    assert.deepEqual([...rowsToBytes('f32', Float32Array.of(1))], [0x00, 0x00, 0x80, 0x3f]);
    assert.deepEqual([...idsToBytes([258])], [2, 1, 0, 0]);
  });

  it('reads from any offset and hands over memory of its own', () => {
    const bytes = new Uint8Array([9, ...rowsToBytes('f32', Float32Array.of(3, 4))]).subarray(1);
    const rows = bytesToRows('f32', bytes, 1, 2);
    assert.ok(rows.ok);
    bytes.fill(0);
    assert.deepEqual([...rows.value], [3, 4]);
    assert.equal(rows.value.buffer.byteLength, 8);
  });

  it('refuses other lengths, values that are not finite, ids beyond the vocabulary', () => {
    assert.equal(bytesToRows('f16', new Uint8Array(7), 1, 4).ok, false);
    assert.equal(bytesToRows('f16', new Uint8Array(8), 2 ** 40, 4).ok, false);
    assert.equal(bytesToRows('f16', Uint8Array.of(0, 0x7c), 1, 1).ok, false);
    assert.equal(bytesToRows('f32', Uint8Array.of(0, 0, 0xc0, 0x7f), 1, 1).ok, false);
    assert.equal(bytesToIds(idsToBytes([5]), 2, 10).ok, false);
    assert.equal(bytesToIds(idsToBytes([10]), 1, 10).ok, false);
    assert.equal(bytesToIds(idsToBytes([0xffff_ffff]), 1, 10).ok, false);
    assert.deepEqual(bytesToIds(idsToBytes([9, 0]), 2, 10), { ok: true, value: Int32Array.of(9, 0) });
  });
});
