import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compact, createReader, list, some, vec } from '../../../src/devchain/scale.ts';
import { toHex, utf8 } from '../../../src/util/bytes.ts';

describe('devchain/scale', () => {
  it('writes compact integers as the codec documents them', () => {
    for (const [value, hex] of [
      [0, '00'],
      [1, '04'],
      [63, 'fc'],
      [64, '0101'],
      [16383, 'fdff'],
      [16384, '02000100'],
      [2 ** 30 - 1, 'feffffff'],
      [2 ** 30, '0300000040'],
      [2 ** 32 - 1, '03ffffffff'],
    ] as const) {
      assert.equal(toHex(compact(value)), hex);
      assert.equal(createReader(compact(value)).compact(), value);
    }
  });

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.uint8Array({ maxLength: 200, size: 'max' }), (value, bytes) => {
        assert.equal(createReader(compact(value)).compact(), value);
        const reader = createReader(list([vec(bytes), some(vec(bytes))]));
        assert.equal(reader.compact(), 2);
        assert.deepEqual(reader.vec(), bytes);
        assert.equal(reader.u8(), 1);
        assert.deepEqual(reader.vec(), bytes);
        assert.equal(reader.left(), 0);
      }),
    );
  });

  it('reads little-endian integers and text', () => {
    const bytes = Uint8Array.from({ length: 29 }, (_, index) => index);
    const reader = createReader(bytes);
    assert.equal(reader.u8(), 0);
    assert.equal(reader.u32(), 0x04030201);
    assert.equal(reader.u64(), 0x0c0b0a0908070605n);
    assert.equal(reader.u128(), 0x1c1b1a191817161514131211100f0e0dn);
    assert.equal(reader.at(), 29);
    assert.equal(createReader(vec(utf8('é'))).text(), 'é');
  });

  it('refuses bytes that end too early, and integers that no number holds', () => {
    for (const bytes of [[], [1], [2, 0], [3], [0x0c], [0xff]]) {
      assert.throws(() => createReader(Uint8Array.from(bytes)).vec(), { code: 'SCALE_MALFORMED' });
    }
    assert.throws(() => createReader(Uint8Array.of(0x13, 255, 255, 255, 255, 255, 255, 255, 255)).compact(), {
      code: 'SCALE_MALFORMED',
    });
    assert.equal(
      createReader(Uint8Array.of(0x13, 255, 255, 255, 255, 255, 255, 255, 255)).compactBig(),
      2n ** 64n - 1n,
    );
  });
});
