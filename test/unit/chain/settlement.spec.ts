import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type Settlement, type SettlementCase, settlementOf } from '../../support/settlement.ts';

interface Vector {
  readonly given: SettlementCase;
  readonly settled: Settlement;
}

const vectors: readonly Vector[] = JSON.parse(
  readFileSync(new URL('../../vectors/settlement.json', import.meta.url), 'utf8'),
);

describe('settlement: the vectors that the pallet settles too', () => {
  it('come out to the planck', () => {
    for (const [index, { given, settled }] of vectors.entries()) {
      assert.deepEqual(settlementOf(given), settled, `case ${index}`);
    }
  });

  it('know every outcome, nodes that are removed, and silence in a near-unanimous vote', () => {
    const outcomes = new Set(vectors.map(({ settled }) => settled.outcome));
    assert.deepEqual([...outcomes].sort(), ['Absent', 'Accepted', 'Empty', 'Rejected']);
    assert.ok(vectors.some(({ settled }) => settled.validators.includes(null)));
    assert.ok(vectors.some(({ settled: { ratio } }) => ratio >= '875000000000000000' && ratio.length === 18));
  });
});
