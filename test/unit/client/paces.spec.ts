import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createPaces, type Paces } from '../../../src/client/paces.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const [A, B] = ['a', 'b'] as unknown as readonly [PeerId, PeerId];
const ROUTE = [
  { peer: A, shards: 1 },
  { peer: B, shards: 3 },
];

function rounded(paces: Paces, peer: PeerId): readonly [number, number | undefined] {
  const { hopUs = Number.NaN, rowUs } = paces.all().get(peer) ?? {};
  return [Math.round(hopUs / 100) * 100, rowUs === undefined ? undefined : Math.round(rowUs / 100) * 100];
}

describe('client: paces of peers', () => {
  it('an answer tells the network alone', () => {
    const paces = createPaces();
    paces.answered(A, 30_000);
    assert.deepEqual(paces.all().get(A), { hopUs: 30_000 });
  });

  it('a lap is the work that the hops tell and the rest, which follows what was known of them', () => {
    const paces = createPaces();
    paces.answered(A, 10_000);
    paces.answered(B, 30_000);
    for (let i = 0; i < 60; i += 1) paces.lap(ROUTE, 89_000, [3_000, 6_000]);
    assert.deepEqual(
      [rounded(paces, A), rounded(paces, B)],
      [
        [20_000, 3_000],
        [60_000, 2_000],
      ],
    );
  });

  it('a change counts in full after some laps', () => {
    const paces = createPaces();
    paces.lap([{ peer: A, shards: 2 }], 5_000, [4_000]);
    assert.deepEqual(rounded(paces, A), [1_000, 2_000]);
    for (let i = 0; i < 60; i += 1) paces.lap([{ peer: A, shards: 2 }], 50_000, [40_000]);
    assert.deepEqual(rounded(paces, A), [10_000, 20_000]);
  });

  it('whatever hops tell, nothing is negative, and who tells less work has more network', () => {
    const us = fc.nat({ max: 1e6 });
    fc.assert(
      fc.property(us, us, us, (lap, a, b) => {
        const honest = createPaces();
        const other = createPaces();
        honest.lap(ROUTE, lap, [a, b]);
        other.lap(ROUTE, lap, [Math.floor(a / 2), b]);
        for (const { hopUs = 0, rowUs = 0 } of honest.all().values()) assert.ok(hopUs >= 0 && rowUs >= 0);
        assert.ok((other.all().get(A)?.hopUs ?? 0) >= (honest.all().get(A)?.hopUs ?? 0));
      }),
    );
  });

  it('remembers so many peers and no more', () => {
    const paces = createPaces();
    for (let i = 0; i < 600; i += 1) {
      paces.answered(`peer-${i}` as PeerId, 1);
      paces.answered(A, 1);
    }
    assert.equal(paces.all().size, 512);
    assert.ok(paces.all().has(A) && paces.all().has('peer-599' as PeerId) && !paces.all().has('peer-0' as PeerId));
  });
});
