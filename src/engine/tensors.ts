// Named tensors of stateless models: what a shard takes by the ports of its manifest, checked before any memory is taken. Tensors come from strangers.

import type { Manifest, Port } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { EngineError } from './types.ts';

/** Rows of one run: padded sequences times their length, or samples. A batch that is larger is sent in parts. */
const MAX_RUN_ROWS = 4096;
const MAX_ELEMENTS = 1 << 28;
const FLOAT_BYTES = 4;

function dtypeOf({ data }: NamedTensor): Port['dtype'] {
  if (data instanceof Float32Array) return 'f32';
  return data instanceof Int32Array ? 'i32' : 'i64';
}

/** Exactly the tensors of `ports`, in types and dims that fit, with finite values and ids that exist. Throws E_SHAPE, E_TOKEN, E_FULL. */
export function checkTensors(manifest: Manifest, ports: readonly Port[], tensors: readonly NamedTensor[]): void {
  if (tensors.length !== ports.length || new Set(tensors.map(({ name }) => name)).size !== tensors.length)
    throw shape(
      ports.map(({ name }) => name).join(', '),
      tensors
        .map(({ name }) => name)
        .join(', ')
        .slice(0, 200),
    );
  const symbols = new Map<string, number>();
  for (const port of ports) {
    const tensor = tensors.find(({ name }) => name === port.name);
    if (tensor === undefined) throw shape(port.name, 'no such tensor');
    checkOne(port, tensor, symbols);
    checkIds(manifest, tensor);
  }
  checkSize(manifest, symbols);
}

function checkOne(port: Port, tensor: NamedTensor, symbols: Map<string, number>): void {
  const { name, dims, data } = tensor;
  const expected = `${name} ${port.dtype} [${port.dims}]`;
  if (dtypeOf(tensor) !== port.dtype || dims.length !== port.dims.length) throw shape(expected, `[${dims}]`);
  for (const [i, dim] of dims.entries()) {
    const wanted = port.dims[i] ?? 0;
    const value = typeof wanted === 'number' ? wanted : (symbols.get(wanted) ?? dim);
    if (typeof wanted === 'string') symbols.set(wanted, value);
    if (!Number.isInteger(dim) || dim < 1 || dim !== value) throw shape(expected, `[${dims}]`);
  }
  const elements = dims.reduce((product, dim) => product * dim, 1);
  if (elements > MAX_ELEMENTS || elements !== data.length)
    throw shape(`${elements} values of ${name}`, `${data.length}`);
  if (data instanceof Float32Array && !data.every(Number.isFinite)) throw shape('finite values', `others in ${name}`);
}

/** Indices into tables of an encoder. */
function checkIds(manifest: Manifest, { name, data }: NamedTensor): void {
  if (manifest.arch !== 'bert' || !(data instanceof Int32Array)) return;
  const limits: Readonly<Record<string, number>> = {
    input_ids: manifest.shape.vocab,
    attention_mask: 2,
    token_type_ids: manifest.encoder.types,
  };
  const limit = limits[name] ?? 0;
  const id = data.find((value) => value < 0 || value >= limit);
  if (id === undefined) return;
  throw new EngineError({ code: 'E_TOKEN', id, vocab: limit }, `${name}: ${id} is not below ${limit}`);
}

function checkSize({ shape: { maxContext } }: Manifest, symbols: ReadonlyMap<string, number>): void {
  const [batch, length] = [symbols.get('B') ?? 1, symbols.get('S') ?? 1];
  if (length > maxContext)
    throw new EngineError({ code: 'E_FULL', maxTokens: maxContext }, `a sequence has at most ${maxContext} tokens`);
  if (batch * length > MAX_RUN_ROWS) throw shape(`at most ${MAX_RUN_ROWS} rows in a run`, `${batch} x ${length}`);
}

/** What the runtime takes for the activations of one run beside its tensors: an upper bound for encoders, a guess for others. Bytes. */
export function workspaceBytes(
  { arch, shape: { width, ffn, heads } }: Manifest,
  tensors: readonly NamedTensor[],
): number {
  const [batch = 1, length = 1] = tensors[0]?.dims ?? [];
  const given = tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
  if (arch !== 'bert') return GUESSED_FACTOR * given;
  const rows = batch * length;
  return given + FLOAT_BYTES * rows * (2 * ffn + 8 * width + 3 * heads * length);
}

/** Activations of a graph of which nothing is known, in units of its inputs. */
const GUESSED_FACTOR = 16;

function shape(expected: string, found: string): EngineError {
  return new EngineError({ code: 'E_SHAPE', expected, found }, `expected ${expected}, found ${found}`);
}
