import assert from 'node:assert/strict';
import fc from 'fast-check';
import { concatBytes, toHex } from '../../../src/util/bytes.ts';
import { decodeFrame, encodeFrame, FRAME_TYPES, type FrameType, MAX_FRAME_BYTES } from '../../../src/wire/frame.ts';

describe('wire: frames', () => {
  it('are laid out as protocol.md 12 says', () => {
    const frame = concatBytes(...encodeFrame('CLOSE', { s: Uint8Array.of(1, 2) }, Uint8Array.of(0xaa)));
    assert.equal(toHex(frame), `08${'0600'}${'a16173420102'}aa`);
    assert.equal(FRAME_TYPES.OPEN, 1);
    assert.equal(FRAME_TYPES.ERROR, 9);
  });

  it('come back as they went', () => {
    const types = Object.keys(FRAME_TYPES) as FrameType[];
    fc.assert(
      fc.property(fc.constantFrom(...types), fc.nat(), fc.uint8Array({ maxLength: 99 }), (type, n, tensor) => {
        const decoded = decodeFrame(concatBytes(...encodeFrame(type, { n }, tensor)));
        assert.ok(decoded.ok);
        assert.deepEqual(decoded.value, { type, header: { n }, tensor });
      }),
    );
  });

  it('any bytes are a frame or a reason, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const decoded = decodeFrame(bytes);
        assert.ok(decoded.ok || decoded.why.length > 0);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuses a frame beyond the limit and a header that is not canonical', () => {
    const large = decodeFrame(new Uint8Array(MAX_FRAME_BYTES + 1));
    assert.ok(!large.ok && large.why.includes('frame of'));
    // Longer than the frame, though what is there would do.
    assert.ok(!decodeFrame(Uint8Array.of(8, 9, 0, 0xa1, 0x61, 0x6e, 0x01)).ok);
    assert.ok(decodeFrame(Uint8Array.of(8, 4, 0, 0xa1, 0x61, 0x6e, 0x01)).ok);
    // {n: 1} with the 1 in two bytes.
    const loose = decodeFrame(Uint8Array.of(8, 5, 0, 0xa1, 0x61, 0x6e, 0x18, 0x01));
    assert.ok(!loose.ok);
  });
});
