// The score rule (protocol.md 8): the worked example, which was computed independently, edges by hand, and cases drawn from a word.

import { isqrt, median, medianVector } from '../../src/consensus/integer.ts';
import { agreement, drawnAuditors, type Evidence, quality, score as scoreOf } from '../../src/consensus/score.ts';
import { type NodeId, ONE, type ShardIndex } from '../../src/types/ids.ts';
import { fromHex } from '../../src/util/bytes.ts';
import { createDice, rosterOf, SEED } from './common.ts';

const hundredths = (values: readonly number[]): string[] => values.map((value) => `${BigInt(value) * 10n ** 16n}`);
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

const example = {
  comment:
    'computed independently; sketches of 4 entries instead of 128; nodes 1..5, all of them in both rosters; e-1 was live; nobody audits',
  taus: [100, 100],
  hosterShare: '750000000000000000',
  attestorShare: '250000000000000000',
  sketches: [
    { shard: 0, node: 1, entries: [1000, -2000, 3000, -4000] },
    { shard: 0, node: 2, entries: [1010, -2010, 3000, -4000] },
    { shard: 0, node: 3, entries: [1000, -2000, 3020, -3990] },
    { shard: 0, node: 4, entries: [9000, 2000, 3000, -4000] },
    { shard: 1, node: 3, entries: [500, 600, 700, 800] },
    { shard: 1, node: 4, entries: [510, 590, 700, 805] },
  ],
  reveals: [
    { node: 1, scores: hundredths([40, 30, 20, 0, 10]) },
    { node: 2, scores: hundredths([40, 30, 20, 0, 10]) },
    { node: 5, scores: hundredths([10, 50, 20, 10, 10]) },
  ],
  presence: { 1: 2, 2: 2, 5: 1 },
  scores: {
    1: '304381342258103714',
    2: '293678728012984824',
    3: '267557157404021637',
    4: '97148729771698332',
    5: '37234042553191489',
  },
  agreement: {
    reveals: [hundredths([50, 30, 20]), hundredths([50, 30, 20]), hundredths([20, 20, 60])],
    a: ['1000000000000000000', '1000000000000000000', '600000000000000000'],
  },
};

const INT32_MAX = 2 ** 31 - 1;
const INT32_MIN = -(2 ** 31);

/** Written from the specification. */
const stated = {
  isqrt: [
    ['18446744073709551615', '4294967295'],
    [(128n * (2n ** 32n - 1n) ** 2n).toString(), '48592007988'],
  ].map(([of, is]) => ({ of, is })),
  median: [
    [[1, 2], 1],
    [[-3, 0], -2],
    [[-3, -2], -3],
    [[4, 1, 3, 2], 2],
    [[-5, -2, -1, 7], -2],
    [[INT32_MIN, INT32_MAX], -1],
  ].map(([of, is]) => ({ of, is })),
};

const roots = [
  0n,
  1n,
  2n,
  3n,
  4n,
  15n,
  16n,
  17n,
  24n,
  25n,
  2n ** 52n - 1n,
  2n ** 53n,
  (2n ** 53n + 1n) ** 2n,
  (2n ** 53n + 1n) ** 2n - 1n,
  10n ** 40n,
];

interface Case {
  readonly why: string;
  readonly current: readonly number[];
  readonly previous: readonly number[];
  readonly previousLive: boolean;
  readonly validators: readonly number[];
  readonly taus: readonly number[];
  readonly hosterShare: bigint;
  readonly attestorShare: bigint;
  readonly hosters: readonly {
    readonly node: number;
    readonly audits: boolean;
    readonly sketches: readonly { readonly shard: number; readonly entries: readonly number[] }[];
  }[];
  readonly reveals: readonly { readonly node: number; readonly scores: readonly (readonly [number, bigint])[] }[];
  readonly presence: Readonly<Record<number, number>>;
  readonly zeroed: readonly number[];
}

const FIVE = [1, 2, 3, 4, 5];
const QUIET: Case = {
  why: 'nothing at all',
  current: FIVE,
  previous: FIVE,
  previousLive: true,
  validators: FIVE,
  taus: [100, 100],
  hosterShare: (75n * ONE) / 100n,
  attestorShare: (25n * ONE) / 100n,
  hosters: [],
  reveals: [],
  presence: {},
  zeroed: [],
};
const hoster = (node: number, ...sketches: readonly (readonly [number, ...number[]])[]) => ({
  node,
  audits: false,
  sketches: sketches.map(([shard, ...entries]) => ({ shard, entries })),
});
const auditor = (node: number, ...sketches: readonly (readonly [number, ...number[]])[]) => ({
  ...hoster(node, ...sketches),
  audits: true,
});
const seed = fromHex(SEED);
const drawnFor = (shard: number, validators: readonly number[]) =>
  drawnAuditors(rosterOf(validators), seed, shard as ShardIndex);
const lucky = FIVE.find((node) => drawnFor(0, FIVE).has(node as NodeId)) ?? 0;
const unlucky = FIVE.find((node) => !drawnFor(0, FIVE).has(node as NodeId)) ?? 0;
const honest = FIVE.filter((node) => node !== lucky && node !== unlucky);
const present = { 1: 2, 2: 2, 3: 2, 4: 2, 5: 2 };
const votes = (...all: readonly (readonly [number, ...bigint[]])[]) =>
  all.map(([node, ...scores]) => ({ node, scores: scores.map((value, i) => [i + 1, value] as const) }));

const BY_HAND: readonly Case[] = [
  QUIET,
  { ...QUIET, why: 'one hoster alone: half pay', hosters: [hoster(1, [0, 1, 2, 3, 4])] },
  {
    ...QUIET,
    why: 'two that agree, and two that do not',
    hosters: [hoster(1, [0, 5, 5], [1, 0, 0]), hoster(2, [0, 5, 5], [1, 3, 4])],
  },
  {
    ...QUIET,
    why: 'just within the cutoff, and just beyond',
    hosters: [
      hoster(1, [0, 0, 0]),
      hoster(2, [0, 0, 0]),
      hoster(3, [0, 0, 0]),
      hoster(4, [0, 1600, 0]),
      hoster(5, [0, 1600, 57]),
    ],
  },
  {
    ...QUIET,
    why: 'a distance whose root is floored to the cutoff',
    hosters: [hoster(1, [0, 0, 0]), hoster(2, [0, 0, 0]), hoster(3, [0, 1600, 56]), hoster(4, [0, 0, 0])],
  },
  {
    ...QUIET,
    why: 'the largest distances',
    taus: [1],
    hosters: [
      hoster(1, [0, INT32_MAX, INT32_MAX]),
      hoster(2, [0, INT32_MIN, INT32_MIN]),
      hoster(3, [0, INT32_MAX, INT32_MIN]),
    ],
  },
  {
    ...QUIET,
    why: 'halves that disagree: the median of an even count is floored below zero',
    hosters: [hoster(1, [0, -3, 1]), hoster(2, [0, -2, 2]), hoster(3, [0, -3, 2]), hoster(4, [0, -2, 1])],
  },
  {
    ...QUIET,
    why: 'a tau beyond all distances',
    taus: [INT32_MAX, 1],
    hosters: [hoster(1, [0, 1, 2], [1, 1, 2]), hoster(2, [0, 9, 2], [1, 1, 3]), hoster(3, [0, 7, 7], [1, 1, 2])],
  },
  {
    ...QUIET,
    why: 'more than three share a shard',
    hosters: FIVE.map((node) => hoster(node, [0, 10 * node, 0])),
    presence: present,
  },
  {
    ...QUIET,
    why: 'who committed and shows nothing is not paid for voting',
    hosters: [hoster(1, [0, 1, 1]), hoster(2), hoster(3, [0, 100_000, 0]), hoster(4, [0, 1, 1]), hoster(5, [0, 1, 1])],
    reveals: votes(...FIVE.map((node) => [node, ONE / 2n, ONE / 2n, 0n, 0n, 0n] as const)),
    presence: present,
  },
  {
    ...QUIET,
    why: 'a shard beyond the cut is not paid',
    taus: [100],
    hosters: [hoster(1, [1, 1, 1]), hoster(2, [0, 1, 1], [1, 1, 1])],
    presence: present,
  },
  {
    ...QUIET,
    why: 'proven false: zero, and out of every median',
    hosters: [hoster(1, [0, 0, 0]), hoster(2, [0, 8, 8]), hoster(3, [0, 16, 0])],
    reveals: votes([1, ONE, 0n, 0n, 0n, 0n], [2, 0n, ONE, 0n, 0n, 0n], [3, 0n, ONE, 0n, 0n, 0n]),
    presence: present,
    zeroed: [1],
  },
  {
    ...QUIET,
    why: 'an auditor that is drawn votes on the reference and earns nothing',
    hosters: [...honest.map((node, i) => hoster(node, [0, 10 * i, 0])), auditor(lucky, [0, 500, 0])],
    presence: present,
  },
  {
    ...QUIET,
    why: 'an auditor that is not drawn does not',
    hosters: [...honest.map((node, i) => hoster(node, [0, 10 * i, 0])), auditor(unlucky, [0, 500, 0])],
    presence: present,
  },
  {
    ...QUIET,
    why: 'an auditor without anything to show keeps what voting pays',
    hosters: [auditor(4), hoster(1, [0, 1, 1])],
    presence: present,
    reveals: votes([4, ONE], [1, ONE]),
  },
  {
    ...QUIET,
    why: 'only votes: they take all',
    reveals: votes([1, ONE, 0n, 0n, 0n, 0n], [2, ONE, 0n, 0n, 0n, 0n], [3, 0n, 0n, 0n, 0n, ONE]),
    presence: { 1: 2, 2: 1, 3: 2 },
  },
  { ...QUIET, why: 'votes of nothing: A and B are 0', reveals: votes([1], [2], [3]), presence: present },
  {
    ...QUIET,
    why: 'votes for who had no seat count for nothing',
    reveals: [...votes([1, ONE], [2, ONE]), { node: 3, scores: [[9, ONE]] }],
    presence: present,
  },
  {
    ...QUIET,
    why: 'who had no seat before is present by half of it, and out of the median',
    previous: [1, 2, 3],
    reveals: votes([1, ONE, 0n, 0n], [2, ONE, 0n, 0n], [4, 0n, 0n, ONE]),
    presence: { 1: 2, 2: 1, 4: 2, 5: 0 },
  },
  {
    ...QUIET,
    why: 'nobody could have scored',
    previousLive: false,
    reveals: votes([1, ONE]),
    presence: { 1: 2, 2: 2, 3: 0, 4: 2, 5: 2 },
  },
  {
    ...QUIET,
    why: 'who left since is in no result',
    current: [1, 2, 4, 5],
    reveals: votes([1, 1n, 2n, 3n, 4n, 5n], [3, ONE, 0n, 0n, 0n, 0n]),
    presence: present,
  },
  {
    ...QUIET,
    why: 'two votes that differ by one',
    reveals: votes([1, 3n, 0n, 0n, 0n, 0n], [2, 4n, 0n, 0n, 0n, 0n]),
    presence: present,
  },
  {
    ...QUIET,
    why: 'no share for hosters',
    hosterShare: 0n,
    attestorShare: ONE,
    hosters: [hoster(1, [0, 1, 1])],
    presence: present,
    reveals: votes([1, ONE], [2, ONE]),
  },
  {
    ...QUIET,
    why: 'a share of 1 of 10^18',
    hosterShare: 1n,
    attestorShare: 1n,
    hosters: [hoster(1, [0, 1, 1]), hoster(2, [0, 1, 1])],
    presence: present,
    reveals: votes([1, ONE], [2, ONE]),
  },
  { ...QUIET, why: 'no shards', taus: [], hosters: [hoster(1, [0, 1, 1])], presence: present },
  { ...QUIET, why: 'nobody has a seat', current: [], previous: [], validators: [] },
  {
    ...QUIET,
    why: 'half a presence, floored',
    reveals: votes([1, 3n, 0n, 0n, 0n, 0n], [2, 3n, 0n, 0n, 0n, 0n], [3, 5n, 0n, 0n, 0n, 0n]),
    presence: { 1: 1, 2: 1, 3: 1 },
  },
  {
    ...QUIET,
    why: '256 seats',
    current: range(256).map((i) => i + 1),
    previous: range(256).map((i) => i + 1),
    validators: range(256).map((i) => i + 1),
    hosters: range(256).map((i) => hoster(i + 1, [i % 2, i, -i])),
    reveals: range(8).map((i) => ({
      node: 256 - i,
      scores: range(256).map((j) => [j + 1, BigInt(i * j) * 10n ** 12n] as const),
    })),
    presence: Object.fromEntries(range(256).map((i) => [i + 1, i % 3])),
  },
];

/** Anything that can come of records, at random. */
function drawnCase(index: number): Case {
  const dice = createDice(`score ${index}`);
  const count = 3 + dice(10);
  const ids = range(count).map((i) => 3 * i + 1 + dice(3));
  const some = (of: number) => ids.filter(() => dice(100) < of);
  const shards = 1 + dice(4);
  const near = (base: number, by: number): number =>
    Math.max(INT32_MIN, Math.min(INT32_MAX, base + dice(2 * by + 1) - by));
  const taus = range(shards).map(() => 1 + dice(2000));
  const truth = range(shards).map(() => range(8).map(() => dice(2 ** 31) - 2 ** 30));
  const current = some(95);
  const previous = dice(5) === 0 ? some(60) : ids;
  return {
    why: `drawn ${index}`,
    current,
    previous,
    previousLive: dice(8) > 0,
    validators: current.filter(() => dice(4) > 0),
    taus,
    hosterShare: (BigInt(dice(101)) * ONE) / 100n,
    attestorShare: (25n * ONE) / 100n + BigInt(dice(1000)),
    hosters: current
      .filter(() => dice(4) > 0)
      .map((node) => ({
        node,
        audits: dice(4) === 0,
        sketches: range(shards)
          .filter(() => dice(3) > 0)
          .map((shard) => ({
            shard,
            entries: (truth[shard] ?? []).map((value) => near(value, (taus[shard] ?? 1) * (dice(6) === 0 ? 60 : 2))),
          })),
      })),
    reveals: current
      .filter(() => dice(5) > 0)
      .map((node) => ({
        node,
        scores: (dice(12) === 0 ? [1000] : previous.filter(() => dice(6) > 0)).map(
          (id) => [id, BigInt(dice(2 ** 31)) * BigInt(dice(2 ** 28))] as const,
        ),
      })),
    presence: Object.fromEntries(current.map((node) => [node, dice(3)])),
    zeroed: current.filter(() => dice(12) === 0),
  };
}

function evidenceOf({ hosters, reveals, presence, zeroed }: Case): Evidence {
  return {
    hosters: new Map(
      hosters.map(({ node, audits, sketches }) => [
        node as NodeId,
        {
          audits,
          sketches: sketches.map(({ shard, entries }) => ({
            shard: shard as ShardIndex,
            entries: entries.map(BigInt),
          })),
        },
      ]),
    ),
    reveals: new Map(
      reveals.map(({ node, scores }) => [
        node as NodeId,
        scores.map(([id, value]) => ({ nodeId: id as NodeId, score: value })),
      ]),
    ),
    presence: new Map(Object.entries(presence).map(([node, w]) => [Number(node) as NodeId, w])),
    zeroed: new Set(zeroed as NodeId[]),
  };
}

function solved(one: Case) {
  const rosters = {
    current: rosterOf(one.current, { validators: one.validators }),
    previous: rosterOf(one.previous, { epoch: 6, live: one.previousLive }),
  };
  const { hosterShare, attestorShare, taus } = one;
  const scores = scoreOf(evidenceOf(one), rosters, { seed, taus }, { hosterShare, attestorShare });
  return {
    ...one,
    hosterShare: String(hosterShare),
    attestorShare: String(attestorShare),
    reveals: one.reveals.map(({ node, scores: all }) => ({
      node,
      scores: all.map(([id, value]) => [id, String(value)]),
    })),
    scores: scores.map(({ nodeId, score: value }) => [nodeId, String(value)]),
  };
}

const distances = [0, 1, 1599, 1600, 1601].map((distance) => ({
  tau: 100,
  entries: [distance, 0],
  reference: [0, 0],
  q: String(quality([BigInt(distance), 0n], [0n, 0n], 100)),
}));

export const score = {
  comment: 'scores, shares and large integers are decimal strings; sketches may have fewer entries than 128',
  seed: SEED,
  stated,
  isqrt: roots.map((of) => ({ of: String(of), is: String(isqrt(of)) })),
  median: [
    [7],
    [0, 0],
    [-1, 0],
    [1, 1, 1, 2],
    [5, -5, 5, -5, 0],
    [INT32_MAX, INT32_MAX],
    [INT32_MIN, INT32_MIN, INT32_MIN, INT32_MAX],
  ].map((of) => ({
    of,
    is: Number(median(of.map(BigInt))),
  })),
  quality: distances,
  agreement: [
    [
      [0n, 0n],
      [0n, 0n],
    ],
    [
      [1n, 0n],
      [0n, 1n],
    ],
    [
      [1n, 2n, 3n],
      [1n, 2n, 4n],
      [9n, 9n, 9n],
    ],
    [
      [ONE, 0n],
      [ONE, 0n],
      [0n, 0n],
    ],
  ].map((reveals) => ({
    reveals: reveals.map((all) => all.map(String)),
    a: reveals.map((all) => String(agreement(all, medianVector(reveals)))),
  })),
  example,
  cases: [...BY_HAND, ...range(40).map(drawnCase)].map(solved),
};
