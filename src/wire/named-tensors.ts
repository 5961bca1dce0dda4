// Named tensors in one frame (protocol.md 12, RUN and RESULT): names, types and dims in the header, values behind each other in the frame's tensor,
// little endian. Lengths are checked against dims before memory is taken; values that are not finite are refused.

import type { NamedTensor } from '../types/tensor.ts';
import { concatBytes } from '../util/bytes.ts';
import type { Cbor } from '../util/cbor.ts';
import { between, exactly, list, refuse, text, tuple, U32 } from './fields.ts';

/** Ports of a shard: an encoder has four at most, graphs of others rarely more than ten. */
const MAX_TENSORS = 16;
const MAX_NAME_CHARS = 300;
const MAX_RANK = 8;

const ARRAYS = { f32: Float32Array, i32: Int32Array, i64: BigInt64Array } as const;
type Dtype = keyof typeof ARRAYS;

const entry = tuple(text(MAX_NAME_CHARS), exactly<Dtype>('f32', 'i32', 'i64'), list(between(1, U32), MAX_RANK));
const entries = list(entry, MAX_TENSORS, 1);

/** What a header says of the tensors, and their bytes. */
export function encodeTensors(tensors: readonly NamedTensor[]): { readonly header: Cbor; readonly tensor: Uint8Array } {
  const header = tensors.map(({ name, dims, data }) => [name, dtypeOf(data), [...dims]]);
  const parts = tensors.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { header, tensor: concatBytes(...parts) };
}

/** Exactly what the header says, in memory of its own. Refuses as the fields of a header do. */
export function readTensors(header: Cbor, bytes: Uint8Array): readonly NamedTensor[] {
  const described = entries(header).map(([name, dtype, dims]) => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    return { name, dtype, dims, length: count * ARRAYS[dtype].BYTES_PER_ELEMENT };
  });
  const expected = described.reduce((sum, { length }) => sum + length, 0);
  if (expected !== bytes.length) return refuse(`${bytes.length} bytes of tensors, expected ${expected}`);
  let at = 0;
  return described.map(({ name, dtype, dims, length }) => {
    const data = new ARRAYS[dtype](bytes.slice(at, at + length).buffer);
    at += length;
    if (data instanceof Float32Array && !data.every(Number.isFinite)) return refuse(`${name}: a value is not finite`);
    return { name, dims, data };
  });
}

function dtypeOf(data: NamedTensor['data']): Dtype {
  if (data instanceof Float32Array) return 'f32';
  return data instanceof Int32Array ? 'i32' : 'i64';
}
