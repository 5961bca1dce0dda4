// Sketches of outputs (protocol.md 5): sums in order, ties to even, saturation, what is not finite.

import { sketchOf } from '../../src/consensus/sketch.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { fromHex, toHex } from '../../src/util/bytes.ts';
import { bitsOf, createDice, SEED } from './common.ts';

const RMS_ONE = bitsOf(1);
const dice = createDice('sketch');
const anyFloat = (): number => Math.fround((dice(2 ** 24) - 2 ** 23) / 2 ** dice(40));

interface Case {
  readonly why: string;
  readonly shard: number;
  readonly rmsBits: number;
  readonly output: readonly number[];
}

/** With two values and 128 entries the divisor is sqrt(256) = 16: a first value of x / 2^20 gives +-x exactly. */
const tie = (x: number): Case => ({ why: `${x} exactly`, shard: 0, rmsBits: RMS_ONE, output: [x / 2 ** 20, 0] });

const CASES: readonly Case[] = [
  { why: 'eighths', shard: 1, rmsBits: RMS_ONE, output: Array.from({ length: 24 }, (_, i) => (i - 11) / 8) },
  ...[0.5, 1.5, 2.5, 3.5, -0.5, -1.5, 0.25, 0.75, 2 ** 31 - 0.5, 2 ** 31].map(tie),
  { why: 'one value', shard: 2, rmsBits: bitsOf(0.37), output: [1] },
  { why: 'rows that end inside a byte', shard: 3, rmsBits: bitsOf(1.7), output: [1, -2, 4, -8, 16, 32, 64] },
  { why: 'all zero', shard: 4, rmsBits: RMS_ONE, output: [0, -0, 0] },
  { why: 'too large for int32', shard: 5, rmsBits: bitsOf(1e-30), output: [1, 2, -3, 4] },
  { why: 'sums that depend on their order', shard: 6, rmsBits: RMS_ONE, output: [1e20, 1, -1e20, 3, 1e-20, 7e19, 1] },
  { why: 'the smallest numbers', shard: 65_535, rmsBits: 0x0080_0000, output: [1e-45, -1e-45, 1.2e-38, 0] },
  { why: 'any numbers', shard: 7, rmsBits: bitsOf(1234.5), output: Array.from({ length: 129 }, anyFloat) },
  { why: 'many numbers', shard: 8, rmsBits: bitsOf(0.9), output: Array.from({ length: 1000 }, anyFloat) },
  { why: 'not a number', shard: 0, rmsBits: RMS_ONE, output: [1, Number.NaN] },
  { why: 'infinite', shard: 0, rmsBits: RMS_ONE, output: [Number.POSITIVE_INFINITY] },
  { why: 'infinite below', shard: 0, rmsBits: RMS_ONE, output: [1, Number.NEGATIVE_INFINITY] },
  { why: 'nothing', shard: 0, rmsBits: RMS_ONE, output: [] },
];

export const sketch = {
  comment: 'outputs as u32 bits of float32; null: that shard is not named',
  seed: SEED,
  sketches: CASES.map(({ why, shard, rmsBits, output }) => {
    const bytes = sketchOf(fromHex(SEED), shard as ShardIndex, Float32Array.from(output), rmsBits);
    return { why, shard, rmsBits, output: output.map(bitsOf), sketch: bytes === undefined ? null : toHex(bytes) };
  }),
};
