// Writes a model in our own form: f16 weight files, one small graph per shard and profile, tokenizer, chat template, manifest (engine.md 2.1).
// The same source gives the same bytes.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { llamaShard, PORT } from '../graph/llama.ts';
import { type ExternalData, encodeModel, type OnnxModel, type OnnxValue } from '../graph/onnx.ts';
import { layoutWeights, llamaWeights, ROPE_COS, ROPE_SIN, ropeTables, type WeightSpec } from '../graph/weights.ts';
import type { Manifest, ManifestShard, ModelFile, Port } from '../types/model.ts';
import { toHex } from '../util/bytes.ts';
import { sha256 } from '../util/hash.ts';
import { manifestBytes, parseManifest } from './manifest.ts';
import { MANIFEST_FILE } from './open.ts';
import type { LlamaSource } from './source.ts';

export interface WriteOptions {
  readonly name: string;
  readonly license: string;
  /** Blocks of each shard of the cut `default`, in order; they add up to all blocks. */
  readonly shardBlocks: readonly number[];
}

/** The name of the one cut that is written. */
export const DEFAULT_CUT = 'default';
const FORMAT = 'f16';
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
export async function writeModel(folder: string, source: LlamaSource, options: WriteOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files: Record<string, ModelFile> = {};
  const put = async (name: string, bytes: Uint8Array) => {
    files[name] = { bytes: bytes.length, sha256: toHex(sha256(bytes)) };
    await writeFile(join(folder, name), bytes);
  };
  const specs = llamaWeights(source.shape, source.tie);
  const places = layoutWeights(specs);
  for (const name of new Set(specs.map((spec) => spec.file)))
    await put(name, await weightFile(source, specs, places, name));
  await put('tokenizer.json', source.tokenizer.json);
  await put('chat_template.jinja', Buffer.from(source.chatTemplate, 'utf8'));
  const shards: ManifestShard[] = [];
  for (const [from, to] of blockRanges(options.shardBlocks))
    shards.push(await writeShard(source, places, from, to, put));
  await writeFile(join(folder, MANIFEST_FILE), manifestBytes(describe(source, options, files, shards)));
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

async function weightFile(
  source: LlamaSource,
  specs: readonly WeightSpec[],
  places: ReadonlyMap<string, ExternalData>,
  file: string,
): Promise<Uint8Array> {
  const own = specs.filter((spec) => spec.file === file).map((spec) => ({ spec, place: placeOf(places, spec.name) }));
  const bytes = new Uint8Array(Math.max(...own.map(({ place }) => place.offset + place.length)));
  for (const { spec, place } of own) bytes.set(await tensorBytes(source, spec), place.offset);
  return bytes;
}

async function tensorBytes(source: LlamaSource, spec: WeightSpec): Promise<Uint8Array> {
  const rope = ropeTables(source.shape, source.theta);
  if (spec.name === ROPE_COS) return new Uint8Array(rope.cos.buffer);
  if (spec.name === ROPE_SIN) return new Uint8Array(rope.sin.buffer);
  return new Uint8Array(Float16Array.from(await source.tensor(spec.name, spec.dims)).buffer);
}

async function writeShard(
  source: LlamaSource,
  places: ReadonlyMap<string, ExternalData>,
  from: number,
  to: number,
  put: (name: string, bytes: Uint8Array) => Promise<void>,
): Promise<ManifestShard> {
  const { shape, tie } = source;
  const last = to === shape.blocks;
  const probe = last ? spread(shape.vocab, PROBE_COLUMNS) : [];
  const build = (profile: 'serve' | 'det') => llamaShard({ shape, tie, from, to, profile, probe, places });
  const serve = build('serve');
  const graph = `${FORMAT}-${from}-${to}.onnx`;
  // Inside the model both profiles are the same f32 arithmetic with the same output; only the end differs.
  const det = last ? `${FORMAT}-${from}-${to}.det.onnx` : graph;
  await put(graph, encodeModel(serve));
  if (last) await put(det, encodeModel(build('det')));
  return {
    id: `${FORMAT}/${from}-${to}`,
    format: FORMAT,
    from,
    to,
    first: from === 0,
    last,
    graph,
    weights: weightsOf([serve, build('det')]),
    inputs: serve.inputs.map(port),
    outputs: serve.outputs.filter((value) => value.name !== PORT.quiet).map(port),
    det: { graph: det },
    tau: TAU,
    rmsBits: floatBits(1),
    gBits: from === 0 ? 0 : floatBits(1 / CHALLENGE_RMS),
    probe,
    auditable: true,
    memory: {
      weights: loadedBytes(serve) + (last ? loadedBytes(build('det')) : 0),
      kvPerToken: 2 * (to - from) * shape.kvHeads * shape.headDim * FLOAT_BYTES,
    },
  };
}

function describe(
  source: LlamaSource,
  options: WriteOptions,
  files: Readonly<Record<string, ModelFile>>,
  shards: readonly ManifestShard[],
): Manifest {
  const { bos, eos, specials } = source.tokenizer;
  return {
    format: 'tessera-model/1',
    name: options.name,
    license: options.license,
    arch: 'llama',
    shape: source.shape,
    rope: { theta: source.theta },
    tie: source.tie,
    tokenizer: { file: 'tokenizer.json', bos, eos, specials },
    chatTemplate: 'chat_template.jinja',
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

/** What the runtime holds after it has cast the weights to f32. */
function loadedBytes(model: OnnxModel): number {
  return model.initializers.reduce(
    (sum, tensor) => sum + tensor.dims.reduce((product, dim) => product * dim, FLOAT_BYTES),
    0,
  );
}

function port(value: OnnxValue): Port {
  return { name: value.name, dtype: value.type as Port['dtype'], dims: value.dims };
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

function placeOf(places: ReadonlyMap<string, ExternalData>, name: string): ExternalData {
  const place = places.get(name);
  if (place === undefined) throw new RangeError(`no such tensor: ${name}`);
  return place;
}
