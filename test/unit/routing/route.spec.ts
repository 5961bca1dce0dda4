import assert from 'node:assert/strict';
import fc from 'fast-check';
import { coverage, missingShards, type Offer } from '../../../src/routing/coverage.ts';
import { cheapestRoute, type Pace, type RouteRequest } from '../../../src/routing/route.ts';
import type { NodeId, PeerId, ShardIndex } from '../../../src/types/ids.ts';

/** A hop whose pace nobody knows: 500 us of its own, 10 ms of network; a row that nobody told: 2 ms. */
const HOP = 10_500;
const ROW = 2_000;

type Traits = Partial<Pick<Offer, 'load' | 'rowsPerSecond' | 'freePositions'>>;

function offer(node: number, shards: readonly number[], traits: Traits = {}): Offer {
  const shardList = shards as readonly ShardIndex[];
  const peer = `peer-${node}` as PeerId;
  return { node: node as NodeId, peer, shards: shardList, load: 0, rowsPerSecond: 0, freePositions: 1e6, ...traits };
}

function route(offers: readonly Offer[], shardCount: number, changes: Partial<RouteRequest> = {}) {
  const request = { positions: 100, excluded: new Set<PeerId>(), penalties: new Map(), paces: new Map(), ...changes };
  return cheapestRoute({ offers, shardCount, ...request });
}

function paces(all: Readonly<Record<number, Pace>>): ReadonlyMap<PeerId, Pace> {
  return new Map(Object.entries(all).map(([node, pace]) => [`peer-${node}` as PeerId, pace]));
}

function suspect(node: number, us: number): ReadonlyMap<PeerId, number> {
  return new Map([[`peer-${node}` as PeerId, us]]);
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
const ALL = [0, 1, 2, 3];

describe('routing: the cheapest chain', () => {
  const cases: Record<string, [ReturnType<typeof route>, string]> = {
    'nobody has all: two hops, lower ids first, longer runs first': [route(DEVNET, 4), '2:0-1 1:1-4'],
    'one that has all is one hop': [route([...DEVNET, offer(9, ALL)], 4), '9:0-4'],
    'a busy one is avoided': [route([offer(1, [0, 1], { load: 900 }), offer(2, [0, 1], { load: 100 })], 2), '2:0-2'],
    'a slow one is avoided': [
      route([offer(1, [0, 1], { rowsPerSecond: 100 }), offer(2, [0, 1], { rowsPerSecond: 200 })], 2),
      '2:0-2',
    ],
    'one that is fast though it works half of the time': [
      route([offer(1, [0], { rowsPerSecond: 100 }), offer(2, [0], { rowsPerSecond: 300, load: 500 })], 1),
      '2:0-1',
    ],
    'what was measured counts more than what is told': [
      route([offer(1, [0], { rowsPerSecond: 1_000 }), offer(2, [0])], 1, { paces: paces({ 1: { rowUs: 3_000 } }) }),
      '2:0-1',
    ],
    'the nearer one': [
      route([offer(1, ALL), offer(2, ALL)], 4, { paces: paces({ 1: { hopUs: 30_000 }, 2: { hopUs: 20_000 } }) }),
      '2:0-4',
    ],
    'one that was never met, when those known are far': [
      route([offer(1, ALL), offer(2, ALL)], 4, { paces: paces({ 1: { hopUs: 30_000 } }) }),
      '2:0-4',
    ],
    'a hop more is taken when it saves more than it costs': [
      route([offer(1, ALL, { rowsPerSecond: 50 }), offer(2, [0, 1, 2])], 4),
      '2:0-3 1:3-4',
    ],
    'of two that cost the same the one of fewer hops': [
      route([offer(1, [0]), offer(2, [1]), offer(5, [0, 1], { rowsPerSecond: 1_000_000 / (ROW + HOP / 2) })], 2),
      '5:0-2',
    ],
    'one without room for the session is avoided': [
      route([offer(1, ALL, { freePositions: 399 }), offer(2, ALL, { freePositions: 400 })], 4),
      '2:0-4',
    ],
    'a run as long as there is room for': [
      route([offer(1, ALL, { freePositions: 200 }), offer(2, ALL, { freePositions: 200 })], 4),
      '1:0-2 1:2-4',
    ],
    'one without room is asked when nobody else is there: the announce may be old': [
      route([offer(1, ALL, { freePositions: 0 })], 4),
      '1:0-4',
    ],
    'a gap is named': [route([offer(1, [0, 2])], 4), 'missing 1,3'],
    'nobody at all': [route([], 2), 'missing 0,1'],
    'the excluded do not count': [
      route(DEVNET, 4, { excluded: new Set(['peer-1', 'peer-2'] as PeerId[]) }),
      '4:0-3 3:3-4',
    ],
    'a suspect is taken when nobody else is there': [
      route([offer(1, [0])], 1, { penalties: suspect(1, 60_000_000) }),
      '1:0-1',
    ],
    'a suspect is avoided else': [
      route([offer(1, [0]), offer(2, [0], { load: 1000 })], 1, { penalties: suspect(1, 60_000_000) }),
      '2:0-1',
    ],
  };
  for (const [what, [result, expected]] of Object.entries(cases)) {
    it(what, () => assert.equal(text(result), expected));
  }

  const SHARDS = 5;
  const anyOffers = fc.uniqueArray(fc.nat({ max: 12 }), { maxLength: 7 }).chain((nodes) =>
    fc.tuple(
      ...nodes.map((node) =>
        fc
          .record({
            shards: fc.subarray([0, 1, 2, 3, 4]),
            load: fc.constantFrom(0, 500),
            rowsPerSecond: fc.constantFrom(0, 50, 1_000),
            freePositions: fc.constantFrom(0, 200, 1e6),
          })
          .map(({ shards, ...traits }) => offer(node + 1, shards, traits)),
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
      fc.property(anyOffers, fc.constantFrom(undefined, 4_000, 40_000), (offers, hopUs) => {
        const known = paces(hopUs === undefined ? {} : { 1: { hopUs }, 3: { hopUs, rowUs: 700 } });
        const result = route(offers, 3, { paces: known });
        const costs = chainCosts(offers, 0, 3, known);
        assert.equal(result.ok, costs.length > 0);
        if (!result.ok) return;
        const cost = result.hops.reduce((sum, { node, from, to }) => {
          const one = offers.find((each) => each.node === node);
          return sum + (one === undefined ? Number.NaN : runCost(one, to - from, known));
        }, 0);
        assert.equal(cost, Math.min(...costs));
      }),
      { numRuns: 300 },
    );
  });
});

describe('routing: coverage', () => {
  it('lists the servers of each shard, ascending', () => {
    assert.deepEqual(coverage([offer(7, [1]), offer(2, [0, 1])], 3), [[2], [2, 7], []]);
    assert.deepEqual(missingShards([offer(7, [1])], 3), [0, 2]);
  });
});

/** Of sessions of 100 positions. */
function runCost(one: Offer, shards: number, known: ReadonlyMap<PeerId, Pace>): number {
  const pace = known.get(one.peer);
  const row = pace?.rowUs ?? (one.rowsPerSecond > 0 ? 1_000_000 / one.rowsPerSecond : ROW);
  const hop = 500 + (pace?.hopUs ?? 10_000);
  const refused = shards * 100 > one.freePositions ? 1_000_000 : 0;
  return hop + refused + shards * (one.load === 500 ? 2 * row : row);
}

/** Costs of every chain [from, to), the slow way. */
function chainCosts(offers: readonly Offer[], from: number, to: number, known: ReadonlyMap<PeerId, Pace>): number[] {
  if (from === to) return [0];
  return offers.flatMap((one) => {
    const costs: number[] = [];
    for (let end = from + 1; end <= to && one.shards.includes((end - 1) as ShardIndex); end += 1) {
      const own = runCost(one, end - from, known);
      costs.push(...chainCosts(offers, end, to, known).map((rest) => own + rest));
    }
    return costs;
  });
}
