import assert from 'node:assert/strict';
import { decodeApplyRefusal, decodeValidity, isRefusal } from '../../../src/devchain/validity.ts';
import { concatBytes, u64le } from '../../../src/util/bytes.ts';

describe('devchain/validity', () => {
  it('reads a valid transaction', () => {
    const tags = Uint8Array.of(4, 8, 1, 2); // one tag of two bytes
    const bytes = concatBytes(Uint8Array.of(0), u64le(7n), Uint8Array.of(0), tags, u64le(64n), Uint8Array.of(1));
    const validity = decodeValidity(bytes);
    assert.deepEqual(validity, { priority: 7n, requires: [], provides: ['\x01\x02'], longevity: 64n });
    assert.equal(isRefusal(validity), false);
  });

  it('reads refusals with the texts of a node', () => {
    for (const [bytes, kind, name, text] of [
      [[1, 0, 0], 'invalid', 'Call', 'Transaction call is not expected'],
      [[1, 0, 1], 'invalid', 'Payment', 'Inability to pay some fees (e.g. account balance too low)'],
      [[1, 0, 3], 'invalid', 'Stale', 'Transaction is outdated'],
      [[1, 0, 4], 'invalid', 'BadProof', 'Transaction has a bad signature'],
      [[1, 0, 5], 'invalid', 'AncientBirthBlock', 'Transaction has an ancient birth block'],
      [[1, 0, 6], 'invalid', 'ExhaustsResources', 'Transaction would exhaust the block limits'],
      [[1, 0, 7, 42], 'invalid', 'Custom', 'Custom error: 42'],
      [
        [1, 1, 1],
        'unknown',
        'NoUnsignedValidator',
        'Could not find an unsigned validator for the unsigned transaction',
      ],
      [[1, 0, 99], 'invalid', 'Variant99', 'Unknown variant 99'],
    ] as const) {
      assert.deepEqual(decodeValidity(Uint8Array.from(bytes)), { kind, name, text });
      assert.deepEqual(decodeApplyRefusal(Uint8Array.from(bytes)), { kind, name, text });
    }
  });

  it('counts a failed call as belonging into the block', () => {
    assert.equal(decodeApplyRefusal(Uint8Array.of(0, 0)), undefined);
    assert.equal(decodeApplyRefusal(Uint8Array.of(0, 1, 3, 4, 5)), undefined);
  });
});
