// Reads tensors of .safetensors files by offset, one at a time: u64 header length, JSON header, raw little-endian data; an index names the file of
// each tensor where there are several.
// Trusts nothing: lengths are checked against the file before memory is taken.

import type { FileHandle } from 'node:fs/promises';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { ModelError } from './errors.ts';

export interface Safetensors {
  /** A tensor as row-major float32. Throws ModelError MODEL_FILE when it is missing, of another shape, or of a type that is no float. */
  read(name: string, dims: readonly number[]): Promise<Float32Array>;
  has(name: string): boolean;
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

const SINGLE_FILE = 'model.safetensors';
/** What torch writes unless told otherwise. */
const PICKLE = /^pytorch_model.*\.bin$|\.(pt|pth|ckpt)$/;
const INDEX_FILE = 'model.safetensors.index.json';
/** Files beside the index: bare names only. */
const index = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)) });

/** The weights of a folder, in one file or in those that the index names. */
export async function openWeights(folder: string): Promise<Safetensors> {
  const text = await readFile(join(folder, INDEX_FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return openSingle(folder);
  const { weight_map: homes } = parseIndex(text);
  const files = new Map<string, Safetensors>();
  const close = async () => {
    for (const file of files.values()) await file.close();
  };
  try {
    for (const name of new Set(Object.values(homes))) files.set(name, await openSafetensors(join(folder, name)));
  } catch (error) {
    await close();
    throw error;
  }
  const read: Safetensors['read'] = async (name, dims) => {
    const home = Object.hasOwn(homes, name) ? files.get(homes[name] ?? '') : undefined;
    if (home === undefined) throw bad(INDEX_FILE, `no tensor ${name}`);
    return home.read(name, dims);
  };
  return { read, has: (name) => Object.hasOwn(homes, name), close };
}

async function openSingle(folder: string): Promise<Safetensors> {
  const path = join(folder, SINGLE_FILE);
  const [pickle] = (await readdir(folder).catch(() => [])).filter((name) => PICKLE.test(name));
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere || pickle === undefined) return openSafetensors(path);
  const advice = `${pickle} is a pickle, which may run any code when it is read: save the model again with safe_serialization=True`;
  throw new ModelError(
    { code: 'MODEL_FILE', file: SINGLE_FILE, why: 'it is missing' },
    `${SINGLE_FILE} is missing, and ${advice}`,
  );
}

function parseIndex(text: string): z.infer<typeof index> {
  try {
    return index.parse(JSON.parse(text));
  } catch (error) {
    throw bad(INDEX_FILE, 'not an index of tensors', error);
  }
}

async function openSafetensors(path: string): Promise<Safetensors> {
  const file = basename(path);
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw bad(file, 'it is missing', error);
  });
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
  return { header: parseHeader(file, text), start: PREFIX_BYTES + length };
}

function parseHeader(file: string, text: string): Map<string, Entry> {
  try {
    const entries = Object.entries(z.record(z.string(), z.unknown()).parse(JSON.parse(text)));
    return new Map(
      entries.filter(([name]) => name !== '__metadata__').map(([name, value]) => [name, entry.parse(value)]),
    );
  } catch (error) {
    throw bad(file, 'its header lists no tensors', error);
  }
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
  // Before memory is taken: a header may claim anything.
  if (to - from !== dims.reduce((product, dim) => product * dim, DTYPE_BYTES[found.dtype] ?? 0))
    throw bad(file, `${name}: ${found.dtype} in ${to - from} bytes`);
  const raw = await readExactly(handle, file, start + from, to - from);
  return toFloat32(raw, found.dtype);
}

/** Element types that weights come in. */
const DTYPE_BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

function toFloat32(raw: Uint8Array<ArrayBuffer>, dtype: string): Float32Array {
  const bytes = raw.buffer;
  if (dtype === 'F32') return new Float32Array(bytes);
  if (dtype === 'F16') return new Float32Array(new Float16Array(bytes));
  return widenBf16(new Uint16Array(bytes));
}

/** The upper half of an f32. A plain loop: a callback per value takes 27 times as long. */
function widenBf16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16;
  return new Float32Array(bits.buffer);
}

async function readExactly(handle: FileHandle, file: string, at: number, length: number): Promise<Buffer<ArrayBuffer>> {
  const { size } = await handle.stat();
  if (length < 0 || at + length > size) throw bad(file, 'it ends early');
  const buffer = Buffer.from(new ArrayBuffer(length)); // not from the pool: its memory becomes a tensor
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(buffer, done, length - done, at + done);
    if (bytesRead === 0) throw bad(file, 'it ends early');
    done += bytesRead;
  }
  return buffer;
}

function bad(file: string, why: string, cause?: unknown): ModelError {
  return new ModelError({ code: 'MODEL_FILE', file, why }, `${file} cannot be read: ${why}`, { cause });
}
