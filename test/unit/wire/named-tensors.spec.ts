// RUN and RESULT: named tensors come back as they went; whatever else a frame says of them is refused before memory is taken.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { NamedTensor } from '../../../src/types/tensor.ts';
import { concatBytes } from '../../../src/util/bytes.ts';
import type { Cbor } from '../../../src/util/cbor.ts';
import { encodeFrame } from '../../../src/wire/frame.ts';
import { decodeMessage, encodeMessage, type RunFrame, type SessionId } from '../../../src/wire/infer.ts';

const SESSION = 'ab'.repeat(16) as SessionId;
const TENSORS: readonly NamedTensor[] = [
  { name: 'mask', dims: [1, 3], data: Int32Array.of(1, 1, 0) },
  { name: 'hidden.2', dims: [1, 2, 2], data: Float32Array.of(1, -2, 0.5, 3) },
  { name: 'ids', dims: [2], data: BigInt64Array.of(-5n, 2n ** 40n) },
];
const RUN: RunFrame = { type: 'RUN', session: SESSION, hop: 2, run: 7, tensors: TENSORS, spentUs: [10, 20] };

describe('wire: named tensors', () => {
  it('come back as they went', () => {
    const result = { type: 'RESULT', session: SESSION, run: 7, tensors: TENSORS, spentUs: [1, 2, 3] } as const;
    for (const message of [RUN, result])
      assert.deepEqual(decodeMessage(concatBytes(...encodeMessage(message))), { ok: true, value: message });
  });

  it('have memory of their own', () => {
    const frame = concatBytes(...encodeMessage(RUN));
    const decoded = decodeMessage(frame);
    assert.ok(decoded.ok && decoded.value.type === 'RUN');
    frame.fill(0);
    assert.deepEqual(decoded.value.tensors, TENSORS);
  });

  const header = { s: new Uint8Array(16), j: 0, r: 0, u: [] as readonly number[] };
  const bytes = (count: number) => new Uint8Array(count);
  const bad: Record<string, readonly [Cbor, Uint8Array]> = {
    'no tensors': [[], bytes(0)],
    'a type that nobody has': [[['x', 'f64', [1]]], bytes(8)],
    'an empty dim': [[['x', 'f32', [0]]], bytes(0)],
    'fewer bytes than dims': [[['x', 'f32', [2]]], bytes(4)],
    'more bytes than dims': [[['x', 'f32', [1]]], bytes(8)],
    'dims beyond any memory': [[['x', 'f32', [0xffff_ffff, 0xffff_ffff, 0xffff_ffff]]], bytes(4)],
    'too many dims': [[['x', 'f32', [1, 1, 1, 1, 1, 1, 1, 1, 1]]], bytes(4)],
    'too many tensors': [Array.from({ length: 17 }, (_, i) => [`x${i}`, 'i32', [1]]), bytes(68)],
    'a name without end': [[['x'.repeat(301), 'f32', [1]]], bytes(4)],
    'a value that is no number': [[['x', 'f32', [1]]], Uint8Array.of(0, 0, 0xc0, 0x7f)],
  };
  for (const [what, [tensors, values]] of Object.entries(bad))
    it(`refuses ${what}`, () => {
      const frame = concatBytes(...encodeFrame('RUN', { ...header, t: tensors }, values));
      assert.equal(decodeMessage(frame).ok, false);
    });

  it('a damaged frame is refused or another one, never an error', () => {
    const frame = concatBytes(...encodeMessage(RUN));
    fc.assert(
      fc.property(fc.nat(frame.length - 1), fc.nat(255), (at, value) => {
        const damaged = frame.slice();
        damaged[at] = value;
        decodeMessage(damaged);
      }),
      { seed: 5, numRuns: 2000 },
    );
  });
});
