// An .onnx file of other people as a model of ours: read by its rules, cut where a single tensor lives on, weights beside small graphs (engine.md 2.2, 2.4).
// The runtime sees the graph only after the rules have; it tells the types of the borders and how large their values are.

import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import ort from 'onnxruntime-node';
import {
  brokenForeignRule,
  encodeForeign,
  type ForeignDim,
  type ForeignGraph,
  type ForeignTensor,
  type ForeignValue,
  readForeign,
} from '../graph/foreign.ts';
import { chooseCuts, cutPoints, partOf, tensorBytesOf } from '../graph/foreign-cut.ts';
import { ModelError } from '../model/errors.ts';
import { manifestBytes, parseManifest } from '../model/manifest.ts';
import { MANIFEST_FILE, type Model, openModel } from '../model/open.ts';
import { DEFAULT_CUT } from '../model/write.ts';
import type { ManifestShard, ModelFile, Port } from '../types/model.ts';
import { toHex } from '../util/bytes.ts';
import { errorMessage } from '../util/errors.ts';
import { sha256 } from '../util/hash.ts';

export interface GraphOptions {
  readonly name: string;
  readonly license: string;
  /** Shards at most: as many as the graph can be cut into by single tensors. */
  readonly parts: number;
}

/** A graph file with its weights inside; larger models keep them beside it. */
const MAX_FILE_BYTES = 2 ** 31;
/** Smaller tensors stay in the graph. */
const INLINE_BYTES = 1024;
const ALIGNMENT = 4096;
const DTYPES: Readonly<Record<number, Port['dtype']>> = { 1: 'f32', 6: 'i32', 7: 'i64' };
const ORT_TYPES: Readonly<Record<string, number>> = { float32: 1, int32: 6, int64: 7 };
const TAU = 1024;
const CHALLENGE_RMS = 37837.23;
/** Rows of a run; its samples are no larger than the runtime can take. */
const MAX_ROWS = 4096;
/** Sizes that symbols get in the trial run. */
const TRIAL_DIM = 2;

/** Writes the graph as a model into the new folder. Throws ModelError MODEL_UNSUPPORTED, MODEL_FILE. */
export async function publishGraph(folder: string, file: string, options: GraphOptions): Promise<Model> {
  const place = resolve(folder);
  if (await isThere(place)) throw unusable(folder, 'something is there already; name a new folder');
  const graph = await readChecked(file);
  const points = chooseCuts(
    cutPoints(graph),
    graph.tensors.reduce((sum, tensor) => sum + tensorBytesOf(tensor), 0),
    options.parts,
  );
  const trial = await tryOut(
    file,
    graph,
    points.map(({ border }) => border),
  );
  const draft = `${place}.draft-${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await writeShards(draft, dirname(resolve(file)), graph, points, trial, options);
    await rename(draft, place);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return openModel(place);
}

async function readChecked(file: string): Promise<ForeignGraph> {
  const { size } = await stat(file).catch((error: unknown) => {
    throw unusable(file, errorMessage(error));
  });
  if (size > MAX_FILE_BYTES) throw unusable(file, `larger than ${MAX_FILE_BYTES} bytes`);
  const bytes = await readFile(file);
  let graph: ForeignGraph;
  try {
    graph = readForeign(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch (error) {
    throw unusable(file, errorMessage(error));
  }
  const sizes = await sizesBeside(file, graph);
  const rule = brokenForeignRule(graph, (location) => sizes.get(location));
  if (rule !== undefined) throw unsupported(rule);
  if (graph.outputs.length === 0 || graph.inputs.length === 0) throw unsupported('no inputs or no outputs');
  for (const { name, type } of graph.inputs)
    if (DTYPES[type] === undefined) throw unsupported(`input ${name} of type ${type}`);
  return graph;
}

/** Bare names of plain files in the graph's own folder; whatever else a tensor names is not there. */
async function sizesBeside(file: string, graph: ForeignGraph): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const { data } of graph.tensors) {
    if (data instanceof Uint8Array || sizes.has(data.location)) continue;
    if (!/^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(data.location)) continue;
    const handle = await open(
      join(dirname(resolve(file)), data.location),
      constants.O_RDONLY | constants.O_NOFOLLOW,
    ).catch(() => undefined);
    if (handle === undefined) continue;
    const found = await handle.stat().finally(() => handle.close());
    if (found.isFile()) sizes.set(data.location, found.size);
  }
  return sizes;
}

interface Trial {
  readonly ports: ReadonlyMap<string, Port>;
  /** Root mean square of floats in a run on random inputs; 1 where it could not be had. */
  readonly rms: ReadonlyMap<string, number>;
}

/** Loads the graph once with its borders as outputs. */
async function tryOut(file: string, graph: ForeignGraph, borders: readonly string[]): Promise<Trial> {
  const names = new Map<string, string>();
  const outputs = [...graph.outputs, ...borders.map((name): ForeignValue => ({ name, type: 0, dims: [] }))];
  const widened = join(dirname(resolve(file)), `.${basename(file)}.${process.pid}.tessera`);
  await writeFile(widened, encodeForeign({ ...graph, outputs }, 'trial'));
  try {
    const session = await ort.InferenceSession.create(widened, {
      intraOpNumThreads: 1,
      graphOptimizationLevel: 'basic',
    }).catch((error: unknown) => {
      throw unsupported(errorMessage(error));
    });
    try {
      const ports = new Map<string, Port>();
      for (const { name, type, dims } of graph.inputs)
        ports.set(name, { name, dtype: DTYPES[type] ?? 'f32', dims: symbolsOf(dims, names) });
      for (const meta of session.outputMetadata) {
        if (!meta.isTensor || ORT_TYPES[meta.type] === undefined)
          throw unsupported(`${meta.name} of type ${meta.isTensor ? meta.type : 'none'}`);
        const dims = meta.shape.map((dim) =>
          typeof dim === 'number' && dim > 0 ? dim : typeof dim === 'string' && dim !== '' ? dim : null,
        );
        ports.set(meta.name, {
          name: meta.name,
          dtype: DTYPES[ORT_TYPES[meta.type] ?? 0] ?? 'f32',
          dims: symbolsOf(dims, names),
        });
      }
      return { ports, rms: await rmsOf(session, graph, ports) };
    } finally {
      await session.release();
    }
  } finally {
    await rm(widened, { force: true });
  }
}

/** The first dim of whoever has no number is the batch; other symbols get the letters behind it. */
function symbolsOf(dims: readonly ForeignDim[], names: Map<string, string>): (number | string)[] {
  return dims.map((dim, i) => {
    if (typeof dim === 'number') return dim;
    if (i === 0 && dim !== null && !names.has(dim) && ![...names.values()].includes('B')) names.set(dim, 'B');
    const known = dim === null ? undefined : names.get(dim);
    if (known !== undefined) return known;
    const letter = String.fromCharCode('C'.charCodeAt(0) + names.size);
    if (letter > 'Z') throw unsupported('more than twenty symbols in its dims');
    names.set(dim ?? `?${names.size}`, letter);
    return letter;
  });
}

async function rmsOf(session: ort.InferenceSession, graph: ForeignGraph, ports: ReadonlyMap<string, Port>) {
  const rms = new Map<string, number>();
  const feeds = Object.fromEntries(graph.inputs.map(({ name }) => [name, trialTensor(ports.get(name))]));
  const outputs = await session.run(feeds).catch(() => ({}) as ort.InferenceSession.OnnxValueMapType);
  for (const [name, tensor] of Object.entries(outputs)) {
    if (!('data' in tensor) || !(tensor.data instanceof Float32Array)) continue;
    const { data } = tensor;
    const mean = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / Math.max(1, data.length));
    rms.set(name, Number.isFinite(mean) && mean > 0 ? mean : 1);
  }
  return rms;
}

function trialTensor(port: Port | undefined): ort.Tensor {
  const dims = (port?.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : TRIAL_DIM));
  const count = dims.reduce((product, dim) => product * dim, 1);
  if (port?.dtype === 'i64') return new ort.Tensor('int64', new BigInt64Array(count), dims);
  if (port?.dtype === 'i32') return new ort.Tensor('int32', new Int32Array(count), dims);
  return new ort.Tensor(
    'float32',
    Float32Array.from({ length: count }, (_, i) => Math.SQRT2 * Math.sin(i * 1.7 + 0.3)),
    dims,
  );
}

async function writeShards(
  folder: string,
  beside: string,
  graph: ForeignGraph,
  points: ReturnType<typeof chooseCuts>,
  { ports, rms }: Trial,
  { name, license }: GraphOptions,
): Promise<void> {
  const files: Record<string, ModelFile> = {};
  const put = async (file: string, bytes: Uint8Array): Promise<void> => {
    files[file] = { bytes: bytes.length, sha256: toHex(sha256(bytes)) };
    await writeFile(join(folder, file), bytes);
  };
  const ends = [...points.map(({ after }) => after), graph.nodes.length];
  const shards: ManifestShard[] = [];
  for (const [k, to] of ends.entries()) {
    const from = ends[k - 1] ?? 0;
    const { nodes, tensors } = partOf(graph, from, to);
    const weights = `shard-${k}.weights`;
    const placed = await placeTensors(tensors, weights, beside);
    const inputs = portsOf(k === 0 ? graph.inputs.map((value) => value.name) : [points[k - 1]?.border ?? ''], ports);
    const outputs = portsOf(
      to === graph.nodes.length ? graph.outputs.map((value) => value.name) : [points[k]?.border ?? ''],
      ports,
    );
    const values = (list: readonly Port[]) =>
      list.map((port): ForeignValue => ({ name: port.name, type: numberOf(port.dtype), dims: port.dims }));
    const bytes = encodeForeign(
      { ...graph, nodes, tensors: placed.tensors, inputs: values(inputs), outputs: values(outputs) },
      `shard-${k}`,
    );
    await put(`shard-${k}.onnx`, bytes);
    if (placed.bytes.length > 0) await put(weights, placed.bytes);
    const [first] = outputs;
    shards.push({
      id: `graph/${k}`,
      format: 'f32',
      from: k,
      to: k + 1,
      first: k === 0,
      last: to === graph.nodes.length,
      graph: `shard-${k}.onnx`,
      weights: placed.bytes.length > 0 ? [weights] : [],
      inputs,
      outputs,
      det: { graph: `shard-${k}.onnx` },
      tau: TAU,
      rmsBits: floatBits(rms.get(first?.name ?? '') ?? 1),
      gBits: floatBits((rms.get(inputs[0]?.name ?? '') ?? 1) / CHALLENGE_RMS),
      probe: [],
      auditable: isAuditable(inputs) && isAuditable(outputs),
      memory: { weights: placed.bytes.length + bytes.length, kvPerToken: 0 },
    });
  }
  const shape = {
    blocks: shards.length,
    width: 1,
    ffn: 1,
    heads: 1,
    kvHeads: 1,
    headDim: 1,
    vocab: 1,
    maxContext: MAX_ROWS,
    eps: 1e-5,
  };
  const cuts = { [DEFAULT_CUT]: shards.map(({ id }) => id) };
  const text = manifestBytes({ format: 'tessera-model/1', name, license, arch: 'graph', shape, files, cuts, shards });
  parseManifest(text);
  await writeFile(join(folder, MANIFEST_FILE), text);
}

/** A challenge can ask for one float tensor of which only the batch is open. */
function isAuditable(ports: readonly Port[]): boolean {
  const [port, ...others] = ports;
  return (
    others.length === 0 &&
    port?.dtype === 'f32' &&
    typeof port.dims[0] === 'string' &&
    port.dims.slice(1).every((dim) => typeof dim === 'number')
  );
}

function portsOf(names: readonly string[], ports: ReadonlyMap<string, Port>): Port[] {
  return names.flatMap((name) => ports.get(name) ?? []);
}

function numberOf(dtype: Port['dtype']): number {
  return { f32: 1, i32: 6, i64: 7 }[dtype];
}

/** Large tensors behind each other, each on a page; small ones stay where they are. */
async function placeTensors(tensors: readonly ForeignTensor[], file: string, beside: string) {
  const parts: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  let end = 0;
  const placed: ForeignTensor[] = [];
  for (const tensor of tensors) {
    const bytes =
      tensor.data instanceof Uint8Array ? tensor.data : await readPart(join(beside, tensor.data.location), tensor.data);
    if (bytes.length < INLINE_BYTES) {
      placed.push({ ...tensor, data: bytes });
      continue;
    }
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    parts.push({ offset, bytes });
    placed.push({ ...tensor, data: { location: file, offset, length: bytes.length } });
    end = offset + bytes.length;
  }
  const all = new Uint8Array(end);
  for (const { offset, bytes } of parts) all.set(bytes, offset);
  return { tensors: placed, bytes: all };
}

async function readPart(
  path: string,
  { offset, length }: { readonly offset: number; readonly length: number },
): Promise<Uint8Array> {
  await using handle = await open(path, 'r');
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) throw unusable(basename(path), 'it ends early');
    done += bytesRead;
  }
  return bytes;
}

/** u32 bits of the nearest float32 to three significant digits. */
function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(Number(value.toPrecision(3))).buffer)[0] ?? 0;
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function unsupported(key: string): ModelError {
  return new ModelError({ code: 'MODEL_UNSUPPORTED', key }, `this graph cannot be imported: ${key}`);
}

function unusable(file: string, why: string): ModelError {
  return new ModelError({ code: 'MODEL_FILE', file, why }, `${file} cannot be used: ${why}`);
}
