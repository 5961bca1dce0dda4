import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeBitmap, encodeBitmap } from '../../../src/util/bitmap.ts';

const seats = (size: number) =>
  fc.uniqueArray(fc.nat({ max: size - 1 }), { maxLength: size }).map((all) => all.sort((a, b) => a - b));

describe('bitmap', () => {
  it('comes back as it went', () => {
    const sized = fc.integer({ min: 1, max: 256 }).chain((size) => fc.tuple(fc.constant(size), seats(size)));
    fc.assert(
      fc.property(sized, ([size, all]) => {
        const bitmap = encodeBitmap(all, size);
        assert.equal(bitmap.length, Math.ceil(size / 8));
        assert.deepEqual(decodeBitmap(bitmap, size), all);
      }),
    );
  });

  it('puts seat 0 into the least significant bit, refuses padding and other lengths', () => {
    assert.deepEqual(encodeBitmap([0, 9], 10), Uint8Array.of(1, 2));
    assert.equal(decodeBitmap(Uint8Array.of(1, 4), 10), undefined);
    assert.equal(decodeBitmap(Uint8Array.of(1), 10), undefined);
    assert.throws(() => encodeBitmap([10], 10), RangeError);
  });
});
