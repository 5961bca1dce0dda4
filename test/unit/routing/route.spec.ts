import assert from 'node:assert/strict';
import fc from 'fast-check';
import { coverage, missingShards, type Offer } from '../../../src/routing/coverage.ts';
import { cheapestRoute } from '../../../src/routing/route.ts';
import type { NodeId, PeerId, ShardIndex } from '../../../src/types/ids.ts';

const NOBODY = new Set<PeerId>();
const NO_PENALTY = new Map<PeerId, number>();

function offer(node: number, shards: readonly number[], load = 0): Offer {
  return { node: node as NodeId, peer: `peer-${node}` as PeerId, shards: shards as readonly ShardIndex[], load };
}

function route(offers: readonly Offer[], shardCount: number, excluded = NOBODY, penalties = NO_PENALTY) {
  return cheapestRoute({ offers, shardCount, excluded, penalties });
}

/** `node:from-to` of each hop. */
function text(result: ReturnType<typeof route>): string {
  return result.ok
    ? result.hops.map(({ node, from, to }) => `${node}:${from}-${to}`).join(' ')
    : `missing ${result.missing.join(',')}`;
}

const DEVNET = [1, 2, 3, 4].map((node) =>
  offer(
    node,
    [0, 1, 2, 3].filter((shard) => shard !== node - 1),
  ),
);

describe('routing: the cheapest chain', () => {
  const cases: Record<string, [ReturnType<typeof route>, string]> = {
    'nobody has all: two hops, lower ids first, longer runs first': [route(DEVNET, 4), '2:0-1 1:1-4'],
    'one that has all is one hop': [route([...DEVNET, offer(9, [0, 1, 2, 3])], 4), '9:0-4'],
    'a busy one is avoided': [route([offer(1, [0, 1], 900), offer(2, [0, 1], 100)], 2), '2:0-2'],
    'a hop more is taken when it saves more than it costs': [
      route([offer(1, [0, 1, 2, 3], 1000), offer(2, [0, 1, 2], 0)], 4),
      '2:0-3 1:3-4',
    ],
    'of two that cost the same the one of fewer hops': [
      route([offer(1, [0]), offer(2, [1]), offer(5, [0, 1], 500)], 2),
      '5:0-2',
    ],
    'a gap is named': [route([offer(1, [0, 2])], 4), 'missing 1,3'],
    'the excluded do not count': [route(DEVNET, 4, new Set(['peer-1', 'peer-2'] as PeerId[])), '4:0-3 3:3-4'],
    'a suspect is taken when nobody else is there': [
      route([offer(1, [0])], 1, NOBODY, new Map([['peer-1' as PeerId, 5_000]])),
      '1:0-1',
    ],
    'a suspect is avoided else': [
      route([offer(1, [0]), offer(2, [0], 1000)], 1, NOBODY, new Map([['peer-1' as PeerId, 5_000]])),
      '2:0-1',
    ],
  };
  for (const [what, [result, expected]] of Object.entries(cases)) {
    it(what, () => assert.equal(text(result), expected));
  }

  const SHARDS = 5;
  const anyOffers = fc
    .uniqueArray(fc.nat({ max: 12 }), { maxLength: 7 })
    .chain((nodes) =>
      fc.tuple(
        ...nodes.map((node) =>
          fc
            .tuple(fc.subarray([0, 1, 2, 3, 4]), fc.constantFrom(0, 500))
            .map(([shards, load]) => offer(node + 1, shards, load)),
        ),
      ),
    );

  it('covers every shard once, in order, by those who offered it', () => {
    fc.assert(
      fc.property(anyOffers, (offers) => {
        const result = route(offers, SHARDS);
        if (!result.ok) return;
        let next = 0;
        for (const hop of result.hops) {
          assert.equal(hop.from, next);
          assert.ok(hop.to > hop.from);
          const served = offers.find((one) => one.node === hop.node)?.shards ?? [];
          for (let shard = hop.from; shard < hop.to; shard = (shard + 1) as ShardIndex)
            assert.ok(served.includes(shard));
          next = hop.to;
        }
        assert.equal(next, SHARDS);
      }),
    );
  });

  it('finds a route exactly when nothing is missing, and names what is', () => {
    fc.assert(
      fc.property(anyOffers, (offers) => {
        const result = route(offers, SHARDS);
        const missing = missingShards(offers, SHARDS);
        assert.equal(result.ok, missing.length === 0);
        if (!result.ok) assert.deepEqual(result.missing, missing);
      }),
    );
  });

  it('does not depend on the order of the offers', () => {
    fc.assert(
      fc.property(
        anyOffers.chain((offers) =>
          fc.tuple(fc.constant(offers), fc.shuffledSubarray(offers, { minLength: offers.length })),
        ),
        ([offers, shuffled]) => assert.deepEqual(route(offers, SHARDS), route(shuffled, SHARDS)),
      ),
    );
  });

  it('is the cheapest of all chains', () => {
    fc.assert(
      fc.property(anyOffers, (offers) => {
        const result = route(offers, 3);
        const costs = chainCosts(offers, 0, 3);
        assert.equal(result.ok, costs.length > 0);
        if (!result.ok) return;
        const cost = result.hops.reduce((sum, { node, from, to }) => {
          const load = offers.find((one) => one.node === node)?.load ?? 0;
          return sum + 1000 + (to - from) * (1000 + load);
        }, 0);
        assert.equal(cost, Math.min(...costs));
      }),
    );
  });
});

describe('routing: coverage', () => {
  it('lists the servers of each shard, ascending', () => {
    assert.deepEqual(coverage([offer(7, [1]), offer(2, [0, 1])], 3), [[2], [2, 7], []]);
    assert.deepEqual(missingShards([offer(7, [1])], 3), [0, 2]);
  });
});

/** Costs of every chain [from, to), the slow way. */
function chainCosts(offers: readonly Offer[], from: number, to: number): number[] {
  if (from === to) return [0];
  return offers.flatMap((one) => {
    const costs: number[] = [];
    for (let end = from + 1; end <= to && one.shards.includes((end - 1) as ShardIndex); end += 1) {
      const own = 1000 + (end - from) * (1000 + one.load);
      costs.push(...chainCosts(offers, end, to).map((rest) => own + rest));
    }
    return costs;
  });
}
