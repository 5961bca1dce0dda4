// Writes a model in our own form: weight files, one small graph per shard and profile, tokenizer, chat template, manifest (engine.md 2.1).
// The same source gives the same bytes. One tensor is in memory at a time.

import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  isFloat,
  type LayerFormats,
  layerFormat,
  layerOfPart,
  quantParts,
  type WeightFormat,
} from '../graph/formats.ts';
import type { PublishedProfile } from '../graph/linear.ts';
import { type ExternalData, encodeModel, type OnnxModel, type OnnxValue, TYPE_BYTES } from '../graph/onnx.ts';
import { quantizeLayer } from '../graph/quant.ts';
import { layoutWeights, type WeightSpec } from '../graph/weights.ts';
import type { Manifest, ManifestShard, ModelFile, Port } from '../types/model.ts';
import { toHex } from '../util/bytes.ts';
import { sha256 } from '../util/hash.ts';
import { ModelError } from './errors.ts';
import { manifestBytes, parseManifest } from './manifest.ts';
import { MANIFEST_FILE } from './open.ts';
import { type ModelPlan, planModel, usualLayers } from './plan.ts';
import type { ModelSource } from './source.ts';

export interface WriteOptions {
  readonly name: string;
  readonly license: string;
  /** Blocks of each shard of the cut `default`, in order; they add up to all blocks. */
  readonly shardBlocks: readonly number[];
  /** How linear layers are stored; in half precision unless given. */
  readonly format?: WeightFormat;
  /** Linear layers that are stored otherwise; those of usualLayers unless given. */
  readonly layers?: LayerFormats;
  /** Told after each tensor: its file and the bytes written so far. */
  readonly onProgress?: (file: string, bytes: number) => void;
}

/** The name of the one cut that is written. */
export const DEFAULT_CUT = 'default';
/**
 * Sketch units of 2^-24 (protocol.md 5, 8.3). Measured on the bundled model, 16 positions, each of its four shards: f32 on ONNX Runtime against the
 * float64 reference d = 4 to 8 (between machines about 100 is expected, q = 0.91); outputs rounded to int8, one scale per row, d = 57,000 to 104,000,
 * far beyond the cut-off at 16 tau = 16,384; rounded to f16, d = 2,300 to 3,100, q = 0.25 to 0.31.
 */
const TAU = 1024;
/** Logits that the last shard's challenge answers with, spread over the vocabulary. */
const PROBE_COLUMNS = 64;
/** RMS of a + b + c + d - 131070 for four u16 (protocol.md 5). */
const CHALLENGE_RMS = 37837.23;
const FLOAT_BYTES = 4;

/** Writes the whole folder. Boundaries are left at RMS 1: measure them by running the model, then call setBoundaryRms. */
export async function writeModel(folder: string, source: ModelSource, options: WriteOptions): Promise<void> {
  const { format = 'f16', layers = usualLayers(source, format) } = options;
  await mkdir(folder, { recursive: true });
  const plan = planModel(source, format, layers);
  const places = layoutWeights(plan.specs);
  const files = await writeWeights(
    folder,
    plan,
    (name) => layerFormat(format, layers, name),
    places,
    options.onProgress,
  );
  const put = async (name: string, bytes: Uint8Array) => {
    files[name] = { bytes: bytes.length, sha256: toHex(sha256(bytes)) };
    await writeFile(join(folder, name), bytes);
  };
  for (const [name, bytes] of Object.entries(plan.texts)) await put(name, bytes);
  const shards: ManifestShard[] = [];
  for (const [from, to] of blockRanges(options.shardBlocks))
    shards.push(await writeShard(plan, { format, layers }, places, from, to, put));
  await writeFile(join(folder, MANIFEST_FILE), manifestBytes(describe(plan, options, files, shards)));
}

/** Writes what was measured on real text: the RMS of each shard's output, in the order of the cut. */
export async function setBoundaryRms(folder: string, rms: readonly number[]): Promise<void> {
  const path = join(folder, MANIFEST_FILE);
  const manifest = parseManifest(await readFile(path));
  const shards = manifest.shards.map((shard, i) => ({
    ...shard,
    rmsBits: floatBits(rms[i] ?? Number.NaN),
    gBits: shard.first ? 0 : floatBits((rms[i - 1] ?? Number.NaN) / CHALLENGE_RMS),
  }));
  const bytes = manifestBytes({ ...manifest, shards });
  parseManifest(bytes);
  await writeFile(path, bytes);
}

type Places = ReadonlyMap<string, ExternalData>;

/** Tensor after tensor, hashed as it is written. */
async function writeWeights(
  folder: string,
  plan: ModelPlan,
  formatOf: (layer: string) => WeightFormat,
  places: Places,
  onProgress: WriteOptions['onProgress'],
): Promise<Record<string, ModelFile>> {
  const files: Record<string, ModelFile> = {};
  const stored = createStored(plan, formatOf);
  let total = 0;
  for (const file of new Set(plan.specs.map((spec) => spec.file))) {
    await using handle = await open(join(folder, file), 'w');
    const hash = createHash('sha256');
    let end = 0;
    for (const spec of plan.specs.filter((candidate) => candidate.file === file)) {
      const padding = new Uint8Array((places.get(spec.name)?.offset ?? 0) - end);
      const bytes = await stored(spec);
      for (const part of [padding, bytes]) {
        hash.update(part);
        await writeAll(handle, part, end);
        end += part.length;
      }
      total += bytes.length;
      onProgress?.(file, total);
    }
    files[file] = { bytes: end, sha256: hash.digest('hex') };
  }
  return files;
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** The bytes of a stored tensor. Values and scales of one layer are asked for one after the other: it is quantised once. */
function createStored(
  plan: ModelPlan,
  formatOf: (layer: string) => WeightFormat,
): (spec: WeightSpec) => Promise<Uint8Array> {
  let layer: { readonly name: string; readonly parts: ReturnType<typeof quantizeLayer> } | undefined;
  const quantized = async (name: string) => {
    const format = formatOf(name);
    if (isFloat(format)) throw new RangeError(`${name} is not quantised`);
    const dims = plan.linearDims(name);
    layer = layer?.name === name ? layer : { name, parts: quantizeLayer(format, await plan.tensor(name, dims), dims) };
    return layer.parts;
  };
  return async (spec) => {
    const name = layerOfPart(spec.name);
    if (name === undefined) {
      const values = await plan.tensor(spec.name, spec.dims);
      return spec.type === 'f16' ? halves(spec.name, values) : bytesOf(values);
    }
    const { values, scales } = await quantized(name);
    return new Uint8Array(spec.name === quantParts(name).values ? values.buffer : scales.buffer);
  };
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Throws MODEL_UNSUPPORTED for what half precision cannot hold. */
function halves(name: string, values: Float32Array): Uint8Array {
  const rounded = Float16Array.from(values);
  if (!rounded.every(Number.isFinite))
    throw new ModelError(
      { code: 'MODEL_UNSUPPORTED', key: name },
      `this model cannot be stored: ${name} has values that half precision cannot hold`,
    );
  return new Uint8Array(rounded.buffer);
}

async function writeShard(
  plan: ModelPlan,
  { format, layers }: Required<Pick<WriteOptions, 'format' | 'layers'>>,
  places: Places,
  from: number,
  to: number,
  put: (name: string, bytes: Uint8Array) => Promise<void>,
): Promise<ManifestShard> {
  const last = to === plan.facts.shape.blocks;
  const probe = last ? spread(plan.probeColumns, PROBE_COLUMNS) : [];
  const build = (profile: PublishedProfile) => plan.shard({ from, to, profile, probe, places });
  const [serve, det] = [build('serve'), build('det')];
  const graph = `${format}-${from}-${to}.onnx`;
  // Inside a model of floats both profiles are the same f32 arithmetic with the same output; only the end differs.
  const same = isFloat(format) && !last;
  const detGraph = same ? graph : `${format}-${from}-${to}.det.onnx`;
  await put(graph, encodeModel(serve));
  if (!same) await put(detGraph, encodeModel(det));
  return {
    id: `${format}/${from}-${to}`,
    format,
    ...(Object.keys(layers).length > 0 && { layers }),
    from,
    to,
    first: from === 0,
    last,
    graph,
    weights: weightsOf([serve, det]),
    inputs: serve.inputs.map(port),
    outputs: serve.outputs.filter(({ name }) => !plan.hiddenOutputs.includes(name)).map(port),
    det: { graph: detGraph },
    tau: TAU,
    rmsBits: floatBits(1),
    gBits: from === 0 ? 0 : floatBits(1 / CHALLENGE_RMS),
    probe,
    auditable: plan.cacheValues === 0 || isExact(format, layers),
    memory: {
      weights: loadedBytes(serve, 'serve') + (same ? 0 : loadedBytes(det, 'det')),
      kvPerToken: (to - from) * plan.cacheValues * FLOAT_BYTES,
    },
  };
}

function describe(
  plan: ModelPlan,
  options: WriteOptions,
  files: Readonly<Record<string, ModelFile>>,
  shards: readonly ManifestShard[],
): Manifest {
  return {
    format: 'tessera-model/1',
    name: options.name,
    license: options.license,
    ...plan.facts,
    files,
    cuts: { [DEFAULT_CUT]: shards.map((shard) => shard.id) },
    shards,
  };
}

function blockRanges(shardBlocks: readonly number[]): (readonly [number, number])[] {
  let next = 0;
  return shardBlocks.map((blocks) => {
    next += blocks;
    return [next - blocks, next] as const;
  });
}

function weightsOf(models: readonly OnnxModel[]): string[] {
  const names = models.flatMap((model) =>
    model.initializers.flatMap(({ data }) => (data instanceof Uint8Array ? [] : [data.location])),
  );
  return [...new Set(names)].toSorted();
}

/**
 * What the runtime holds of a graph's weights. Measured on TinyLlama's shape: 543 MB of 551 in int4b128, 980 MB of 984 in w8a8, none of it pages of the
 * files. A graph for serving keeps as f32 what it casts.
 */
function loadedBytes(model: OnnxModel, profile: PublishedProfile): number {
  const cast = new Set(model.nodes.filter(({ op }) => op === 'Cast').flatMap(({ inputs }) => inputs));
  return model.initializers.reduce((sum, { name, type, dims }) => {
    const bytes = profile === 'serve' && cast.has(name) ? FLOAT_BYTES : TYPE_BYTES[type];
    return sum + dims.reduce((product, dim) => product * dim, bytes);
  }, 0);
}

function port(value: OnnxValue): Port {
  return { name: value.name, dtype: value.type as Port['dtype'], dims: value.dims };
}

/**
 * Whether a sequence that is read at once gives what it gives token by token, within tau. Floats do. Where activations are rounded to integers, the last
 * bit of a sum may turn one into its neighbour, and layer after layer makes more of it: 23 tau after three shards of the bundled model in 4 bits.
 */
function isExact(format: WeightFormat, layers: LayerFormats): boolean {
  return isFloat(format) && Object.values(layers).every(isFloat);
}

/** `count` numbers below `limit`, evenly spread. */
function spread(limit: number, count: number): number[] {
  const used = Math.min(limit, count);
  return Array.from({ length: used }, (_, i) => Math.floor(((i + 0.5) * limit) / used));
}

/** u32 bits of the nearest float32 to three significant digits: the last bits differ between machines, the manifest must not. */
function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(Number(value.toPrecision(3))).buffer)[0] ?? 0;
}
