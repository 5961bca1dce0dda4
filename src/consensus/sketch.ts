// What of an output is compared: 128 random projections with directions nobody knew before the epoch (protocol.md 5). Floats end here.

import type { ShardIndex } from '../types/ids.ts';
import { u16le } from '../util/bytes.ts';
import { shake256, tag } from '../util/hash.ts';
import { floatOfBits } from './challenge.ts';

/** Johnson-Lindenstrauss: 6 % spread of L2 distances at 128 directions. */
const SKETCH_ENTRIES = 128;
/** 128 x int32, little endian. */
export const SKETCH_BYTES = SKETCH_ENTRIES * 4;
const SCALE = 2 ** 24;
const INT32_MAX = 2 ** 31 - 1;
const INT32_MIN = -(2 ** 31);

/**
 * Sketch of one shard's flattened output: 512 bytes, or undefined when a value is not finite (that shard is then not named).
 *
 * @param output (T, width) or (T, probes) float32, row-major
 * @param rmsBits u32 bits of the float32 RMS of this shard's output
 */
export function sketchOf(
  seed: Uint8Array,
  shard: ShardIndex,
  output: Float32Array,
  rmsBits: number,
): Uint8Array | undefined {
  if (output.length === 0 || !output.every(Number.isFinite)) return undefined;
  const signs = shake256(Math.ceil((SKETCH_ENTRIES * output.length) / 8), tag('tessera/sketch/1'), seed, u16le(shard));
  return projections(output, signs, SKETCH_ENTRIES, floatOfBits(rmsBits));
}

/**
 * `entries` projections as int32, little endian, in units of 2^-24 of `rms`: the length of the difference of two sketches is about that
 * of the outputs, whatever their number.
 *
 * @param signs bit j * output.length + i is the sign of value i in projection j
 */
export function projections(output: Float32Array, signs: Uint8Array, entries: number, rms: number): Uint8Array {
  const divisor = rms * Math.sqrt(output.length * entries);
  const sketch = new DataView(new ArrayBuffer(entries * 4));
  for (let j = 0; j < entries; j++) {
    sketch.setInt32(j * 4, saturate(roundTiesToEven((SCALE * project(output, signs, j)) / divisor)), true);
  }
  return new Uint8Array(sketch.buffer);
}

/** The 128 integers of a sketch; `bytes` has 512. */
export function sketchEntries(bytes: Uint8Array): readonly bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => BigInt(view.getInt32(i * 4, true)));
}

/** sum_i r_ji * y_i in float64, in index order; bit 1 of the stream is +1, bit 0 is -1, rows j-major without padding. */
function project(output: Float32Array, signs: Uint8Array, j: number): number {
  let sum = 0;
  let bit = j * output.length;
  for (let i = 0; i < output.length; i++, bit++) {
    const value = output[i] as number;
    sum += ((signs[bit >>> 3] as number) >>> (bit & 7)) & 1 ? value : -value;
  }
  return sum;
}

function roundTiesToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1;
  return down % 2 === 0 ? down : down + 1;
}

function saturate(value: number): number {
  return Math.min(INT32_MAX, Math.max(INT32_MIN, value));
}
