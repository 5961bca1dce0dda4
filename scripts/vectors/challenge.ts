// Seeds, inputs of shards, and which shards are named or audited (protocol.md 5, 8.1, 14).

import { challengeInput, epochSeed, inputsDigest } from '../../src/consensus/challenge.ts';
import { shardsToName } from '../../src/consensus/commitment.ts';
import { drawnAuditors } from '../../src/consensus/score.ts';
import type { Epoch, NodeId, ShardIndex, SubnetId } from '../../src/types/ids.ts';
import type { Manifest, ManifestShard } from '../../src/types/model.ts';
import { fromHex, toHex } from '../../src/util/bytes.ts';
import { BLOCK_HASH, bitsOf, drawn, EPOCH, fill, GENESIS, MANIFEST, rosterOf, SEED, SUBNET } from './common.ts';

const U32 = 0xffff_ffff;

const seeds = [
  { genesis: GENESIS, subnet: SUBNET, epoch: EPOCH, blockHash: BLOCK_HASH },
  { genesis: fill(0), subnet: 0, epoch: 0, blockHash: fill(0) },
  { genesis: fill(255), subnet: U32, epoch: U32, blockHash: fill(255) },
  { genesis: drawn('genesis', 32), subnet: 128_002, epoch: 65_536, blockHash: drawn('block', 32) },
].map(({ genesis, subnet, epoch, blockHash }) => ({
  genesis: toHex(genesis),
  subnet,
  epoch,
  blockHash: toHex(blockHash),
  seed: toHex(epochSeed(genesis, subnet as SubnetId, epoch as Epoch, blockHash)),
}));

interface Shape {
  readonly shard: number;
  readonly vocab: number;
  readonly specials: number;
  readonly width: number;
  readonly positions: number;
  readonly gBits: number;
}

function inputOf(first: boolean, shape: Shape) {
  const { shard, vocab, specials, width, positions, gBits } = shape;
  const manifest = { shape: { width, vocab }, tokenizer: { specials } } as Manifest;
  const of = { first, gBits } as ManifestShard;
  return challengeInput(fromHex(SEED), MANIFEST, shard as ShardIndex, { manifest, of, positions });
}

const SHAPE: Shape = { shard: 0, vocab: 2048, specials: 8, width: 4, positions: 3, gBits: 0x37dd_b3d7 };

const tokens = [
  SHAPE,
  { ...SHAPE, positions: 16 },
  { ...SHAPE, shard: 65_535, vocab: 128_256, specials: 256 },
  { ...SHAPE, specials: 0 },
  { ...SHAPE, vocab: 9 },
  { ...SHAPE, positions: 256, vocab: 3_000_000 },
].map((shape) => {
  const input = inputOf(true, shape);
  const { shard, vocab, specials, positions } = shape;
  return { shard, vocab, specials, positions, ids: input.kind === 'tokens' ? [...input.ids] : [] };
});

const hidden = [
  { ...SHAPE, shard: 1 },
  { ...SHAPE, shard: 2, gBits: bitsOf(1) },
  { ...SHAPE, shard: 256, gBits: bitsOf(1 / 3) },
  { ...SHAPE, shard: 65_535, width: 7, positions: 16, gBits: bitsOf(2.5e-5) },
  // Products below the smallest normal float32 are rounded all the same, and large ones overflow.
  { ...SHAPE, shard: 3, gBits: 0x0080_0000 },
  { ...SHAPE, shard: 3, gBits: 0x7f7f_ffff },
  { ...SHAPE, shard: 3, width: 1, positions: 1 },
].map((shape) => {
  const input = inputOf(false, shape);
  const { shard, width, positions, gBits } = shape;
  return {
    shard,
    width,
    positions,
    gBits,
    bits: input.kind === 'hidden' ? [...new Uint32Array(input.data.buffer)] : [],
  };
});

const inputs = [
  inputOf(true, SHAPE),
  inputOf(false, { ...SHAPE, shard: 1 }),
  inputOf(false, { ...SHAPE, shard: 2, gBits: bitsOf(1 / 3) }),
];

const named = [
  { node: 3, shards: [5, 1, 3, 1] },
  { node: 3, shards: Array.from({ length: 24 }, (_, i) => 23 - i) },
  { node: 3, shards: Array.from({ length: 25 }, (_, i) => i) },
  { node: U32, shards: Array.from({ length: 200 }, (_, i) => 65_535 - i) },
  { node: 4, shards: [] },
].map(({ node, shards }) => ({
  node,
  shards,
  named: shardsToName(fromHex(SEED), node as NodeId, shards as ShardIndex[]),
}));

const auditors = [
  { shard: 0, validators: [] },
  { shard: 0, validators: [9] },
  { shard: 1, validators: [1, 2, 3] },
  { shard: 2, validators: Array.from({ length: 10 }, (_, i) => i + 1) },
  { shard: 65_535, validators: Array.from({ length: 256 }, (_, i) => 1000 + i) },
].map(({ shard, validators }) => ({
  shard,
  validators,
  drawn: [...drawnAuditors(rosterOf(validators), fromHex(SEED), shard as ShardIndex)].sort((a, b) => a - b),
}));

export const challenge = {
  comment:
    'the first seed was computed independently; everything below it is of that seed and manifest; floats are u32 bits',
  seeds: seeds.map((one, i) => (i === 0 ? { ...one, seed: SEED } : one)),
  manifest: toHex(MANIFEST),
  tokens,
  hidden,
  digest: {
    inputs: inputs.map((input) =>
      input.kind === 'tokens' ? { tokens: [...input.ids] } : { bits: [...new Uint32Array(input.data.buffer)] },
    ),
    digest: toHex(inputsDigest(inputs)),
  },
  named,
  auditors,
};
