import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createDeframer, framePrefix } from '../../../src/p2p/deframer.ts';
import { concatBytes, u32le } from '../../../src/util/bytes.ts';

const LIMIT = 200_000;

/** Cuts bytes at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

describe('deframer', () => {
  it('gives the frames back however the bytes are cut', () => {
    const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 20 }), (all, places) => {
        const wire = concatBytes(...all.flatMap((frame) => [u32le(frame.length), frame]));
        const deframer = createDeframer(LIMIT);
        assert.deepEqual(
          cut(wire, places).flatMap((chunk) => deframer.push(chunk)),
          all,
        );
        assert.equal(deframer.isMidFrame(), false);
      }),
    );
  });

  it('puts a frame longer than its first piece of memory together', () => {
    const frame = new Uint8Array(LIMIT).map((_, i) => i * 31);
    const wire = concatBytes(u32le(LIMIT), frame);
    const deframer = createDeframer(LIMIT);
    const got = cut(wire, [1, 5, 65_540, 65_541, 140_000]).flatMap((chunk) => deframer.push(chunk));
    assert.ok(got.length === 1 && Buffer.from(got[0] ?? []).equals(frame));
  });

  it('does not hand out memory that it goes on writing to', () => {
    const deframer = createDeframer(LIMIT);
    const chunk = concatBytes(u32le(1), Uint8Array.of(7));
    const [first] = deframer.push(chunk);
    chunk.fill(0);
    deframer.push(concatBytes(u32le(1), Uint8Array.of(8)));
    assert.deepEqual(first, Uint8Array.of(7));
  });

  it('knows when it is in the middle of a frame', () => {
    const deframer = createDeframer(LIMIT);
    assert.equal(deframer.isMidFrame(), false);
    deframer.push(u32le(2).subarray(0, 3));
    assert.equal(deframer.isMidFrame(), true);
    deframer.push(Uint8Array.of(0, 1));
    assert.equal(deframer.isMidFrame(), true);
    deframer.push(Uint8Array.of(2));
    assert.equal(deframer.isMidFrame(), false);
  });

  it('refuses a length over the limit before any of its bytes came', () => {
    assert.throws(() => createDeframer(LIMIT).push(u32le(LIMIT + 1)), { code: 'FRAME_TOO_LARGE' });
    assert.throws(() => createDeframer(LIMIT).push(u32le(0xffff_ffff)), { code: 'FRAME_TOO_LARGE' });
    createDeframer(LIMIT).push(u32le(LIMIT));
    assert.throws(() => framePrefix([new Uint8Array(LIMIT), new Uint8Array(1)], LIMIT), { code: 'FRAME_TOO_LARGE' });
  });

  it('takes no memory for what was only announced', () => {
    const huge = 1 << 30;
    const before = process.memoryUsage().arrayBuffers;
    const deframers = Array.from({ length: 64 }, () => createDeframer(huge));
    for (const deframer of deframers) deframer.push(u32le(huge));
    assert.ok(process.memoryUsage().arrayBuffers - before < 16 << 20);
    assert.ok(deframers.every((deframer) => deframer.isMidFrame()));
  });
});
