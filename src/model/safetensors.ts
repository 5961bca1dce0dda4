// Reads tensors of a .safetensors file by offset, one at a time: u64 header length, JSON header, raw little-endian data.
// Trusts nothing: lengths are checked against the file before memory is taken.

import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { ModelError } from './errors.ts';

export interface Safetensors {
  /** Whether the file has a tensor of this name. */
  has(name: string): boolean;
  /** A tensor as row-major float32. Throws ModelError MODEL_FILE when it is missing, of another shape, or of a type that is no float. */
  read(name: string, dims: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Headers of the largest published models are about 10 MB. */
const MAX_HEADER_BYTES = 64 << 20;
const PREFIX_BYTES = 8;

const entry = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().min(0)),
  data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
});
type Entry = z.infer<typeof entry>;

export async function openSafetensors(path: string): Promise<Safetensors> {
  const file = basename(path);
  const handle = await open(path, 'r');
  try {
    const { header, start } = await readHeader(handle, file);
    return {
      has: (name) => header.has(name),
      read: (name, dims) => readTensor(handle, file, header.get(name), start, name, dims),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function readHeader(handle: FileHandle, file: string): Promise<{ header: Map<string, Entry>; start: number }> {
  const { size } = await handle.stat();
  const length = Number((await readExactly(handle, file, 0, PREFIX_BYTES)).readBigUInt64LE());
  if (length > MAX_HEADER_BYTES || PREFIX_BYTES + length > size) throw bad(file, `a header of ${length} bytes`);
  const text = (await readExactly(handle, file, PREFIX_BYTES, length)).toString('utf8');
  const header = new Map<string, Entry>();
  for (const [name, value] of Object.entries(z.record(z.string(), z.unknown()).parse(JSON.parse(text))))
    if (name !== '__metadata__') header.set(name, entry.parse(value));
  return { header, start: PREFIX_BYTES + length };
}

async function readTensor(
  handle: FileHandle,
  file: string,
  found: Entry | undefined,
  start: number,
  name: string,
  dims: readonly number[],
): Promise<Float32Array> {
  if (found === undefined) throw bad(file, `no tensor ${name}`);
  if (found.shape.join() !== dims.join()) throw bad(file, `${name} is [${found.shape}], not [${dims}]`);
  const [from, to] = found.data_offsets;
  const raw = await readExactly(handle, file, start + from, to - from);
  const values = toFloat32(raw, found.dtype);
  const elements = dims.reduce((product, dim) => product * dim, 1);
  if (values?.length !== elements) throw bad(file, `${name}: ${found.dtype} in ${raw.length} bytes`);
  return values;
}

function toFloat32(raw: Buffer, dtype: string): Float32Array | undefined {
  const bytes = new Uint8Array(raw).buffer;
  if (dtype === 'F32') return new Float32Array(bytes);
  if (dtype === 'F16') return Float32Array.from(new Float16Array(bytes));
  if (dtype !== 'BF16') return undefined;
  return new Float32Array(Uint32Array.from(new Uint16Array(bytes), (bits) => bits << 16).buffer);
}

async function readExactly(handle: FileHandle, file: string, at: number, length: number): Promise<Buffer> {
  const { size } = await handle.stat();
  if (length < 0 || at + length > size) throw bad(file, 'it ends early');
  const buffer = Buffer.alloc(length);
  await handle.read(buffer, 0, length, at);
  return buffer;
}

function bad(file: string, why: string): ModelError {
  return new ModelError({ code: 'MODEL_FILE', file, why }, `${file} cannot be read: ${why}`);
}
