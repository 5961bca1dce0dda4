// What stands on chain (protocol.md 1, 7): policy, args, roots; what witnesses make count; and one epoch from its records to its scores.

import { chooseWitnesses, majorityOf, readWitness, toWitnessList } from '../../src/consensus/witness.ts';
import { ONE } from '../../src/types/ids.ts';
import type { EpochKind, Witness } from '../../src/types/record.ts';
import { WITNESSED } from '../../src/types/record.ts';
import { concatBytes, fromHex, toHex } from '../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../src/util/cbor.ts';
import { byPlace, decodeArgs, encodeArgs, evidenceRoot, NO_IDS, PLACES } from '../../src/wire/evidence.ts';
import { decodePolicy, encodePolicy, POLICY_DEFAULTS, policyHash } from '../../src/wire/policy.ts';
import { createDice, drawn, EPOCH, fill, MANIFEST, rosterOf } from './common.ts';
import { epoch } from './epoch.ts';

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
const POLICY = { ...POLICY_DEFAULTS, manifest: toHex(MANIFEST), cut: 'fp32/4' };

const policies = [
  POLICY,
  {
    ...POLICY,
    hosterShare: 0n,
    attestorShare: 0n,
    challengeTokens: 1,
    auditRate: 0n,
    access: 'private' as const,
    cut: '',
  },
  {
    ...POLICY,
    hosterShare: ONE,
    attestorShare: 0n,
    challengeTokens: 256,
    auditRate: ONE,
    access: 'registered' as const,
    cut: 'x'.repeat(64),
  },
].map((policy) => ({
  manifest: policy.manifest,
  cut: policy.cut,
  hosterShare: String(policy.hosterShare),
  attestorShare: String(policy.attestorShare),
  challengeTokens: policy.challengeTokens,
  auditRate: String(policy.auditRate),
  access: policy.access,
  bytes: toHex(encodePolicy(policy)),
  hash: toHex(policyHash(policy)),
}));

const policyMap = decodeCbor(encodePolicy(POLICY)) as { readonly [key: string]: Cbor };
const policiesRefused = (
  [
    ['shares above ONE together', { h: ONE, a: 1 }],
    ['no positions', { t: 0 }],
    ['257 positions', { t: 257 }],
    ['an access that is none', { x: 'closed' }],
    ['version 2', { v: 2 }],
    ['a key more', { y: 1 }],
    ['a cut of 65 characters', { c: 'x'.repeat(65) }],
  ] as const
).map(([why, changes]) => {
  const bytes = encodeCbor({ ...policyMap, ...changes });
  return { why, bytes: toHex(bytes), taken: decodePolicy(bytes).ok };
});

const NAMED = { first: [0, 2, 9], second: [0, 2], equivocators: [1] };

const args = [
  { seats: 10, epoch: EPOCH, ...NAMED, root: fill(3) },
  { seats: 0, epoch: 0, first: [], second: [], equivocators: [], root: fill(0) },
  { seats: 1, epoch: 23, first: [0], second: [0], equivocators: [0], root: fill(255) },
  { seats: 8, epoch: 24, first: [7], second: range(8), equivocators: [], root: drawn('root', 32) },
  { seats: 9, epoch: 65_536, first: [8], second: range(9), equivocators: [], root: drawn('root', 32) },
  {
    seats: 256,
    epoch: 0xffff_ffff,
    first: range(256),
    second: [255],
    equivocators: range(256).filter((i) => i % 7 === 0),
    root: fill(3),
  },
].map((one) => ({
  ...one,
  root: toHex(one.root),
  bytes: toHex(encodeArgs({ ...one, epoch: one.epoch as typeof EPOCH }, one.seats)),
}));

const goodArgs = encodeArgs({ epoch: EPOCH, ...NAMED, root: fill(3) }, 10);
const argsMap = decodeCbor(goodArgs) as { readonly [key: string]: Cbor };
const argsRefused = (
  [
    ['a seat too few', 9, goodArgs],
    ['a byte too few for the seats', 17, goodArgs],
    ['a padding bit', 10, encodeCbor({ ...argsMap, a: Uint8Array.of(1, 4) })],
    ['a root of 31 bytes', 10, encodeCbor({ ...argsMap, r: fill(3, 31) })],
    ['version 2', 10, encodeCbor({ ...argsMap, v: 2 })],
    ['a key more', 10, encodeCbor({ ...argsMap, z: 1 })],
    ['a byte more', 10, concatBytes(goodArgs, fill(0, 1))],
    ['nothing', 10, new Uint8Array()],
    ['more than 512 bytes', 10, encodeCbor({ ...argsMap, r: fill(3, 600) })],
    ['an epoch in more bytes than it needs', 10, fromHex(toHex(goodArgs).replace('616507', '61651807'))],
  ] as const
).map(([why, seats, bytes]) => ({ why, seats, bytes: toHex(bytes), taken: decodeArgs(bytes, seats).ok }));

const placed = { ...NO_IDS, a: new Map([[0, fill(20)]]), hc: new Map([[2, fill(21)]]), au: new Map([[9, fill(22)]]) };
const everywhere = byPlace((place) => new Map(range(5).map((seat) => [seat, drawn(`${place} ${seat}`, 32)])));
const roots = [
  { nodes: range(10).map((i) => i + 1), ids: placed },
  { nodes: [2, 3, 5, 70_000, 0xffff_ffff], ids: everywhere },
  {
    nodes: range(256).map((i) => 256 - i + i * 2),
    ids: { ...NO_IDS, hr: new Map(range(256).map((seat) => [seat, drawn(`hr ${seat}`, 32)])) },
  },
].map(({ nodes, ids }) => ({
  nodes,
  places: Object.fromEntries(PLACES.map((place) => [place, [...ids[place]].map(([seat, id]) => [seat, toHex(id)])])),
  root: toHex(evidenceRoot(rosterOf(nodes), ids)),
}));

/** Witnesses of one kind, and what most of them list. */
function counted(
  kind: Witness['kind'],
  seats: number,
  members: readonly ReadonlyMap<EpochKind, ReadonlyMap<number, string>>[],
  quorum: number,
) {
  const held = members.map((listed) =>
    WITNESSED[kind].map((one) => {
      const ids = new Map([...(listed.get(one) ?? [])].map(([seat, word]) => [seat, drawn(word, 32)]));
      return toWitnessList(ids, seats);
    }),
  );
  const read = held.flatMap((lists) => readWitness({ kind, held: lists }, seats) ?? []);
  const chosen = chooseWitnesses(new Map(read.map((listed, i) => [i, listed])), quorum);
  return {
    kind,
    seats,
    quorum,
    members: held.map((lists) => lists.map((list) => ({ seats: toHex(list.seats), ids: toHex(list.ids) }))),
    in: Object.fromEntries(WITNESSED[kind].map((one) => [one, [...majorityOf(read, one)]])),
    /** Advice, not a rule: whom an honest proposer names of these. */
    named: [...chosen].sort((a, b) => a - b),
  };
}

const listing = (...parts: readonly (readonly [EpochKind, readonly (readonly [number, string])[]])[]) =>
  new Map(parts.map(([kind, entries]) => [kind, new Map(entries)]));
const dice = createDice('witnesses');

const witnesses = [
  counted('wa', 10, [], 0),
  counted(
    'wa',
    10,
    [
      listing([
        'hc',
        [
          [0, 'x'],
          [9, 'y'],
        ],
      ]),
    ],
    1,
  ),
  // Half is not in, one more is.
  counted('wa', 9, [listing(['hc', [[0, 'x']]]), listing(['hc', [[1, 'x']]])], 2),
  counted(
    'wa',
    9,
    [
      listing(['hc', [[0, 'x']]]),
      listing([
        'hc',
        [
          [0, 'x'],
          [1, 'y'],
        ],
      ]),
      listing(['sc', [[1, 'y']]]),
    ],
    2,
  ),
  // Two faces: neither has most, then one has.
  counted('wb', 8, [listing(['hr', [[3, 'x']]]), listing(['hr', [[3, 'y']]]), listing(['hr', [[3, 'z']]])], 2),
  counted('wb', 8, [listing(['hr', [[3, 'x']]]), listing(['hr', [[3, 'y']]]), listing(['hr', [[3, 'x']]])], 2),
  counted('wb', 1, [listing(['hr', [[0, 'x']]], ['sr', [[0, 'y']]], ['wa', [[0, 'z']]])], 1),
  ...range(6).map((i) => {
    const seats = 4 + dice(13);
    const members = range(seats).map(() =>
      listing(
        ...WITNESSED[i % 2 === 0 ? 'wa' : 'wb'].map(
          (kind) =>
            [
              kind,
              range(seats).flatMap((seat) =>
                dice(10) < 7 ? [[seat, `${kind} ${seat} ${dice(8) === 0 ? dice(2) : ''}`] as const] : [],
              ),
            ] as const,
        ),
      ),
    );
    return counted(i % 2 === 0 ? 'wa' : 'wb', seats, members, Math.ceil((2 * seats) / 3));
  }),
  counted(
    'wb',
    256,
    range(3).map((m) =>
      listing([
        'hr',
        range(256)
          .filter((i) => i % (m + 1) === 0)
          .map((i) => [i, `h${i}`] as const),
      ]),
    ),
    2,
  ),
];

export const evidence = {
  comment: 'bitmaps are over the seats of the roster of the epoch; members of witnesses in the order of their seats',
  emptyRoot: '2ad201e4f8c113b523460d4cc5283f73ff10f27a398f11fdb96dade4150141aa',
  policies,
  policiesRefused,
  args,
  argsRefused,
  roots,
  witnesses,
  epoch,
};
