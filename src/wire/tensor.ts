// Rows of hidden state and token ids as little-endian bytes (protocol.md 12). Lengths are checked against what the header says before
// memory is taken; values that are not finite are refused, for they would poison a KV cache silently.
// Typed arrays have the byte order of the machine: every platform this program supports (x64, arm64) is little-endian.

import { type Parsed, parsing, refuse } from './fields.ts';

/** How rows travel: the codec of the session (f16 by default), fixed in OPEN. */
export type RowCodec = 'f16' | 'f32';

const BYTES_PER_VALUE = { f16: 2, f32: 4 } as const;
const ID_BYTES = 4;

/**
 * `count` rows as they travel. Rows that the engine rounded to f16 at its border (engine/types.ts, BorderCodec) lose nothing here.
 *
 * @param data (rows, width) row-major
 */
export function rowsToBytes(codec: RowCodec, data: Float32Array): Uint8Array {
  const values = codec === 'f16' ? Float16Array.from(data) : data;
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Exactly `count` rows of `width` finite values, in memory of their own: the engine takes the buffer over. */
export function bytesToRows(codec: RowCodec, bytes: Uint8Array, count: number, width: number): Parsed<Float32Array> {
  return parsing(() => {
    const expected = count * width * BYTES_PER_VALUE[codec];
    if (bytes.length !== expected) return refuse(`${bytes.length} bytes of rows, expected ${expected}`);
    const aligned = bytes.slice().buffer;
    const data = codec === 'f16' ? Float32Array.from(new Float16Array(aligned)) : new Float32Array(aligned);
    if (!data.every(Number.isFinite)) return refuse('a value is not finite');
    return data;
  });
}

/** Token ids as u32. */
export function idsToBytes(ids: readonly number[]): Uint8Array {
  const values = Uint32Array.from(ids);
  return new Uint8Array(values.buffer);
}

/** Exactly `count` ids below `vocab`. */
export function bytesToIds(bytes: Uint8Array, count: number, vocab: number): Parsed<Int32Array> {
  return parsing(() => {
    if (bytes.length !== count * ID_BYTES) return refuse(`${bytes.length} bytes of ids, expected ${count * ID_BYTES}`);
    const ids = new Uint32Array(bytes.slice().buffer);
    const bad = ids.find((id) => id >= vocab);
    if (bad !== undefined) return refuse(`token id ${bad} of a vocabulary of ${vocab}`);
    return Int32Array.from(ids);
  });
}
