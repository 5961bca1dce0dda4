// Properties of the score rule (protocol.md 8): what no set of records may bring about.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isqrt, median } from '../../../src/consensus/integer.ts';
import { drawnAuditors, type Evidence, type HosterEvidence, quality, score } from '../../../src/consensus/score.ts';
import { type Epoch, type NodeId, ONE, type ShardIndex } from '../../../src/types/ids.ts';
import type { Roster, RosterNode } from '../../../src/types/subnet.ts';

const SEED = new Uint8Array(32).fill(3);
const POLICY = { hosterShare: (ONE * 3n) / 4n, attestorShare: ONE / 4n };
const TAUS = [100, 100, 100];

function rosterOf(ids: readonly number[], live = true): Roster {
  const nodes = ids.map((id) => ({ id }) as RosterNode);
  return { epoch: 1 as Epoch, nodes, validators: ids as NodeId[], live };
}

interface Sample {
  readonly ids: readonly number[];
  readonly evidence: Evidence;
}

const entries = fc.array(fc.bigInt({ min: -5000n, max: 5000n }), { minLength: 4, maxLength: 4 });
const hoster: fc.Arbitrary<HosterEvidence> = fc.record({
  audits: fc.boolean(),
  sketches: fc.uniqueArray(fc.record({ shard: fc.nat({ max: 3 }).map((k) => k as ShardIndex), entries }), {
    selector: ({ shard }) => shard,
  }),
});

const sample: fc.Arbitrary<Sample> = fc
  .uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
  .map((ids) => ids.sort((a, b) => a - b))
  .chain((ids) =>
    fc
      .record({
        hosters: fc.array(fc.option(hoster, { nil: undefined }), { minLength: ids.length, maxLength: ids.length }),
        reveals: fc.array(
          fc.option(fc.array(fc.bigInt({ min: 0n, max: ONE }), { minLength: ids.length, maxLength: ids.length }), {
            nil: undefined,
          }),
          { minLength: ids.length, maxLength: ids.length },
        ),
        presence: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: ids.length, maxLength: ids.length }),
      })
      .map((raw) => ({ ids, evidence: evidenceOf(ids, raw) })),
  );

function evidenceOf(
  ids: readonly number[],
  raw: {
    readonly hosters: readonly (HosterEvidence | undefined)[];
    readonly reveals: readonly (readonly bigint[] | undefined)[];
    readonly presence: readonly number[];
  },
): Evidence {
  const map = <T, R>(values: readonly (T | undefined)[], read: (value: T) => R): Map<NodeId, R> =>
    new Map(values.flatMap((value, i) => (value === undefined ? [] : [[ids[i] as NodeId, read(value)] as const])));
  return {
    hosters: map(raw.hosters, (one) => one),
    reveals: map(raw.reveals, (scores) => scores.map((value, i) => ({ nodeId: ids[i] as NodeId, score: value }))),
    presence: map(raw.presence, (w) => w),
    zeroed: new Set(),
  };
}

function scoresOf({ ids, evidence }: Sample, live = true): Map<number, bigint> {
  const roster = rosterOf(ids, live);
  const all = score(evidence, { current: roster, previous: roster }, { seed: SEED, taus: TAUS }, POLICY);
  return new Map(all.map(({ nodeId, score: value }) => [nodeId, value]));
}

function shuffled<K, V>(map: ReadonlyMap<K, V>): Map<K, V> {
  return new Map([...map].reverse());
}

describe('score', () => {
  it('never gives out more than ONE, nor a score of 0 or less', () => {
    fc.assert(
      fc.property(sample, (one) => {
        const values = [...scoresOf(one).values()];
        assert.ok(values.every((value) => value > 0n));
        assert.ok(values.reduce((a, b) => a + b, 0n) <= ONE);
      }),
    );
  });

  it('does not care in which order records came', () => {
    fc.assert(
      fc.property(sample, ({ ids, evidence }) => {
        const turned = {
          ...evidence,
          hosters: new Map(
            [...shuffled(evidence.hosters)].map(([node, { audits, sketches }]) => [
              node,
              { audits, sketches: sketches.toReversed() },
            ]),
          ),
          reveals: shuffled(evidence.reveals),
          presence: shuffled(evidence.presence),
        };
        assert.deepEqual(scoresOf({ ids, evidence: turned }), scoresOf({ ids, evidence }));
      }),
    );
  });

  it('pays nothing for a commitment without anything good behind it, whatever the votes', () => {
    fc.assert(
      fc.property(sample, ({ ids, evidence }) => {
        const empty = { audits: false, sketches: [] };
        const hosters = new Map(evidence.hosters).set(ids[0] as NodeId, empty);
        assert.equal(scoresOf({ ids, evidence: { ...evidence, hosters } }).has(ids[0] as number), false);
      }),
    );
  });

  it('gives a proven liar nothing and leaves him out of every reference', () => {
    fc.assert(
      fc.property(sample, ({ ids, evidence }) => {
        const liar = ids[0] as NodeId;
        const without = {
          ...evidence,
          hosters: new Map([...evidence.hosters].filter(([node]) => node !== liar)),
          reveals: new Map([...evidence.reveals].filter(([node]) => node !== liar)),
          presence: new Map([...evidence.presence].filter(([node]) => node !== liar)),
        };
        const zeroed = scoresOf({ ids, evidence: { ...evidence, zeroed: new Set([liar]) } });
        assert.equal(zeroed.has(liar), false);
        const shares = (scores: Map<number, bigint>) => [...scores.keys()];
        assert.deepEqual(shares(zeroed), shares(scoresOf({ ids, evidence: without })));
      }),
    );
  });

  it('leaves honest hosters whole beside a minority that invents', () => {
    const honest = [1n, 2n, 3n, 4n];
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        const shard = 0 as ShardIndex;
        const says = (one: readonly bigint[]) => ({ audits: false, sketches: [{ shard, entries: one }] });
        const far = (one: readonly bigint[]) => one.map((value) => value + 100_000n);
        const evidence: Evidence = {
          hosters: new Map([honest, honest, honest, far(a), far(b)].map((one, i) => [(i + 1) as NodeId, says(one)])),
          reveals: new Map(),
          presence: new Map(),
          zeroed: new Set(),
        };
        const scores = scoresOf({ ids: [1, 2, 3, 4, 5], evidence });
        assert.deepEqual([...scores.keys()], [1, 2, 3]);
        assert.equal(new Set(scores.values()).size, 1);
      }),
    );
  });

  it('counts only three drawn auditors of a shard, and pays them nothing for it', () => {
    const ids = [1, 2, 3, 4, 5, 6, 7];
    const roster = rosterOf(ids);
    const drawn = drawnAuditors(roster, SEED, 0 as ShardIndex);
    assert.equal(drawn.size, 3);
    const says = (audits: boolean, value: bigint) => ({
      audits,
      sketches: [{ shard: 0 as ShardIndex, entries: [value, value] }],
    });
    const hosters = new Map(ids.map((id) => [id as NodeId, says(true, 9_000_000n)]));
    const honest = ids.filter((id) => !drawn.has(id as NodeId));
    for (const id of honest) hosters.set(id as NodeId, says(false, 1n));
    const evidence = { hosters, reveals: new Map(), presence: new Map(), zeroed: new Set<NodeId>() };
    assert.deepEqual([...scoresOf({ ids, evidence }).keys()], honest);
  });

  it('treats who could not have scored yet as agreeing', () => {
    const evidence: Evidence = {
      hosters: new Map(),
      reveals: new Map(),
      presence: new Map([[1 as NodeId, 2]]),
      zeroed: new Set(),
    };
    assert.deepEqual(scoresOf({ ids: [1, 2], evidence }, false), new Map([[1, ONE / 4n]]));
    assert.deepEqual(scoresOf({ ids: [1, 2], evidence }, true), new Map());
  });
});

describe('quality', () => {
  it('falls with distance, is ONE at none and 0 beyond 16 tolerances', () => {
    assert.equal(quality([5n], [5n], 100), ONE);
    assert.equal(quality([1600n], [0n], 100), (ONE * 100n) / 1700n);
    assert.equal(quality([1601n], [0n], 100), 0n);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 3000n }), fc.bigInt({ min: 0n, max: 3000n }), (a, b) => {
        const [near, far] = a < b ? [a, b] : [b, a];
        assert.ok(quality([near], [0n], 100) >= quality([far], [0n], 100));
      }),
    );
  });
});

describe('integers', () => {
  it('has square roots that are the largest that fit', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 140n }), (value) => {
        const root = isqrt(value);
        assert.ok(root * root <= value && (root + 1n) * (root + 1n) > value);
      }),
    );
  });

  it('has a median between the extremes that moves with its values', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }), { minLength: 1 }), fc.nat(), (all, at) => {
        const found = median(all);
        assert.ok(all.some((value) => value <= found) && all.some((value) => value >= found));
        const raised = all.map((value, i) => (i === at % all.length ? value + 10n : value));
        assert.ok(median(raised) >= found);
      }),
    );
    assert.throws(() => median([]), RangeError);
  });
});
