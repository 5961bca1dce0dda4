// Writes test/vectors/*.json, the numbers that other implementations of the protocol check themselves against (protocol.md 17). What the
// specification states stands here as text, computed independently; what it does not state is computed by this program. Integers beyond
// 2^53 are decimal strings, bytes are hex.

import { mkdirSync, writeFileSync } from 'node:fs';
import { challengeInput, epochSeed } from '../src/consensus/challenge.ts';
import { commitmentOf, encodeHosterPayload, encodeScorePayload } from '../src/consensus/commitment.ts';
import { sketchOf } from '../src/consensus/sketch.ts';
import { identityFromSeed } from '../src/p2p/identity.ts';
import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../src/types/ids.ts';
import type { Manifest, ManifestShard } from '../src/types/model.ts';
import type { RecordBody } from '../src/types/record.ts';
import type { Roster } from '../src/types/subnet.ts';
import { encodeBitmap } from '../src/util/bitmap.ts';
import { concatBytes, toHex } from '../src/util/bytes.ts';
import { encodeArgs, evidenceRoot, NO_IDS } from '../src/wire/evidence.ts';
import { encodePolicy, POLICY_DEFAULTS, policyHash } from '../src/wire/policy.ts';
import { signRecord } from '../src/wire/record.ts';

const FOLDER = new URL('../test/vectors/', import.meta.url);
const fill = (byte: number, length = 32): Uint8Array => new Uint8Array(length).fill(byte);
const GENESIS = fill(1);
const SUBNET = 128_001 as SubnetId;
const EPOCH = 7 as Epoch;
const NODE = 3 as NodeId;
const MANIFEST = fill(4);
const identity = identityFromSeed(fill(9));

const clock = {
  windows: [
    [10, 2, 5, 8],
    [20, 3, 10, 13],
    [33, 5, 17, 20],
    [100, 15, 50, 60],
    [300, 45, 150, 180],
  ].map(([length, commit, reveal, score]) => ({ length, commit, reveal, score })),
  phases: {
    slot: 3,
    length: 20,
    epoch: 7,
    at: [
      [143, 0, 'prompt'],
      [146, 3, 'commit'],
      [152, 9, 'commit'],
      [153, 10, 'reveal'],
      [155, 12, 'reveal'],
      [156, 13, 'score'],
      [162, 19, 'score'],
    ].map(([block, offset, phase]) => ({ block, offset, phase })),
    none: [2],
  },
};

const integers = {
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
    [[-(2 ** 31), 2 ** 31 - 1], -1],
  ].map(([of, is]) => ({ of, is })),
};

const hundredths = (values: readonly number[]): string[] => values.map((value) => `${BigInt(value) * 10n ** 16n}`);

const score = {
  comment: 'sketches of 4 entries instead of 128; nodes 1..5, all of them in both rosters; e-1 was live; nobody audits',
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

/** Only what challenges look at. */
const model = { shape: { width: 4, vocab: 2048 }, tokenizer: { specials: 8 } } as Manifest;
const seed = epochSeed(GENESIS, SUBNET, EPOCH, fill(2));
const RMS_ONE = 0x3f80_0000;
const output = Float32Array.from({ length: 24 }, (_, i) => Math.fround((i - 11) / 8));

function inputOf(first: boolean): readonly number[] {
  const of = { first, gBits: 0x37dd_b3d7 } as ManifestShard;
  const input = challengeInput(seed, MANIFEST, (first ? 0 : 1) as ShardIndex, { manifest: model, of, positions: 3 });
  return input.kind === 'tokens' ? [...input.ids] : [...new Uint32Array(input.data.buffer)];
}

const sketch = sketchOf(seed, 1 as ShardIndex, output, RMS_ONE) ?? fill(0, 0);

const challenge = {
  genesis: toHex(GENESIS),
  subnet: SUBNET,
  epoch: EPOCH,
  blockHash: toHex(fill(2)),
  seed: 'e76fca72b5fe79470dac0fcd42f0faa9a35f84f809050651d9a8c2d5e438afaf',
  manifest: toHex(MANIFEST),
  vocab: 2048,
  specials: 8,
  width: 4,
  positions: 3,
  tokens: { shard: 0, ids: inputOf(true) },
  hidden: { shard: 1, gBits: 0x37dd_b3d7, bits: inputOf(false) },
  sketch: { shard: 1, rmsBits: RMS_ONE, output: [...output], bytes: toHex(sketch) },
};

const head = { genesis: GENESIS, subnet: SUBNET, epoch: EPOCH, node: NODE };
const opening = { salt: fill(5), payload: encodeHosterPayload([{ shard: 1 as ShardIndex, sketch }]) };
const scores = encodeScorePayload([{ nodeId: NODE, score: 5n * 10n ** 17n }]);
const binding = { ...head, what: 'hoster', peer: identity.peer, manifest: MANIFEST, audits: false } as const;
const commitment = commitmentOf(binding, opening);
const scoreOpening = { salt: fill(6), payload: scores };
const scoreCommitment = commitmentOf({ ...binding, what: 'score' }, scoreOpening);

/** Seats 0, 2 and 9 of 10. */
const LISTED = { seats: encodeBitmap([0, 2, 9], 10), ids: concatBytes(fill(10, 16), fill(11, 16), fill(12, 16)) };
const NONE_LISTED = { seats: encodeBitmap([], 10), ids: fill(0, 0) };

const BODIES: readonly RecordBody[] = [
  { kind: 'hc', ...head, commitment, manifest: MANIFEST, audits: false },
  { kind: 'hr', ...head, ...opening },
  { kind: 'sc', ...head, commitment: scoreCommitment },
  { kind: 'sr', ...head, ...scoreOpening },
  { kind: 'pr', ...head, seed, digest: fill(8) },
  { kind: 'wa', ...head, held: [LISTED, LISTED, NONE_LISTED, NONE_LISTED] },
  { kind: 'wb', ...head, held: [LISTED, NONE_LISTED, LISTED] },
  { kind: 'au', ...head, verdicts: [{ accused: NODE, shard: 1 as ShardIndex, segment: fill(7), bad: true }] },
  {
    kind: 'an',
    ...head,
    shards: [0, 1, 3] as ShardIndex[],
    addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${identity.peer}`],
    load: 250,
    rowsPerSecond: 900,
    freePositions: 4_096,
    memoryMiB: 512,
    version: '0.1.0',
    block: 143 as BlockNumber,
    expires: 158 as BlockNumber,
  },
];

const records = {
  comment: 'signed by the Ed25519 key of the seed 09 x 32',
  peer: identity.peer,
  records: BODIES.map((body) => {
    const record = signRecord(body, identity);
    return { kind: body.kind, bytes: toHex(record.bytes), id: toHex(record.id) };
  }),
  commitments: { hoster: toHex(commitment), score: toHex(scoreCommitment) },
};

const policy = { ...POLICY_DEFAULTS, manifest: toHex(MANIFEST), cut: 'fp32/4' };
const named = { first: [0, 2, 9], second: [0, 2], equivocators: [1] };
const placed = { ...NO_IDS, a: new Map([[0, fill(20)]]), hc: new Map([[2, fill(21)]]), au: new Map([[9, fill(22)]]) };
const tenSeats = { nodes: Array.from({ length: 10 }, (_, i) => ({ id: i + 1 })) } as unknown as Roster;
const evidence = {
  emptyRoot: '2ad201e4f8c113b523460d4cc5283f73ff10f27a398f11fdb96dade4150141aa',
  policy: { bytes: toHex(encodePolicy(policy)), hash: toHex(policyHash(policy)) },
  args: { seats: 10, epoch: EPOCH, ...named, bytes: toHex(encodeArgs({ epoch: EPOCH, ...named, root: fill(3) }, 10)) },
  root: {
    comment: 'nodes 1..10; a: seat 0 has 20 x 32, hc: seat 2 has 21 x 32, au: seat 9 has 22 x 32 (decimal)',
    hash: toHex(evidenceRoot(tenSeats, placed)),
  },
};

mkdirSync(FOLDER, { recursive: true });
for (const [name, value] of Object.entries({ clock, integers, score, challenge, records, evidence })) {
  writeFileSync(new URL(`${name}.json`, FOLDER), `${JSON.stringify(value, undefined, 1)}\n`);
}
