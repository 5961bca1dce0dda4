// The manifest: canonical JSON (RFC 8785) that names every file of a model by its hash (engine.md 2.1). Its own SHA-256 is the model's identity,
// so only the one canonical text is taken. Trusts nothing: a manifest comes from strangers.

import { z } from 'zod';
import { ACTIVATIONS, type Encoder, embeddingSize, POOLINGS } from '../graph/encoder-weights.ts';
import { WEIGHT_FORMATS } from '../graph/formats.ts';
import type { Llama } from '../graph/weights.ts';
import type { EncoderManifest, LlamaManifest, Manifest, ManifestHash, ManifestShard } from '../types/model.ts';
import { toHex, utf8 } from '../util/bytes.ts';
import { sha256 } from '../util/hash.ts';
import { ModelError } from './errors.ts';

/** A manifest of 1000 shards with 1000 files stays far below. */
export const MAX_MANIFEST_BYTES = 1 << 20;
/** Sizes of shapes: above any published model, and products of three of them stay exact. */
const MAX_DIMENSION = 1 << 24;
const MAX_CONTEXT = 1 << 20;
const MAX_SHARDS = 4096;
/** GroupQueryAttention of onnxruntime takes no other head sizes with rotary positions. */
const HEAD_DIM_STEP = 16;
const MAX_TAU = 2 ** 31;
/** The bits of the smallest normal and of the largest finite float32. */
const MIN_NORMAL_BITS = 0x00800000;
const MAX_FINITE_BITS = 0x7f7fffff;

/** A bare name: no folder, no parent, nothing hidden. */
const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/);
const count = z.number().int().min(1).max(MAX_DIMENSION);
const index = z.number().int().min(0).max(MAX_DIMENSION);
const floatBits = z.number().int().min(MIN_NORMAL_BITS).max(MAX_FINITE_BITS);

/** A linear layer, or the last part of the names of several. */
const layerName = z.string().regex(/^[a-z][a-z0-9_.]{0,59}$/);

const port = z.strictObject({
  name: z.string().min(1).max(300),
  dtype: z.enum(['f32', 'i64', 'i32']),
  dims: z.array(z.union([count, z.string().regex(/^[A-Z]$/)])).max(8),
});

const shard = z.strictObject({
  id: z.string().min(1).max(100),
  format: z.enum(WEIGHT_FORMATS),
  layers: z.record(layerName, z.enum(WEIGHT_FORMATS)).optional(),
  from: index,
  to: count,
  first: z.boolean(),
  last: z.boolean(),
  graph: fileName,
  weights: z.array(fileName).max(MAX_SHARDS),
  inputs: z.array(port).max(16),
  outputs: z.array(port).max(16),
  det: z.strictObject({ graph: fileName }),
  tau: z.number().int().min(1).max(MAX_TAU),
  rmsBits: floatBits,
  gBits: z.union([z.literal(0), floatBits]),
  probe: z.array(index).max(4096),
  auditable: z.boolean(),
  memory: z.strictObject({ weights: z.number().int().min(0), kvPerToken: z.number().int().min(0) }),
});

const positive = z.number().positive();
const ropeScaling = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('linear'), factor: positive }),
  z.strictObject({
    kind: z.literal('llama3'),
    factor: positive,
    lowFactor: positive,
    highFactor: positive,
    originalContext: count,
  }),
  z.strictObject({
    kind: z.literal('yarn'),
    factor: positive,
    betaFast: positive,
    betaSlow: positive,
    originalContext: count,
    amplitude: positive,
  }),
]);

const base = {
  format: z.literal('tessera-model/1'),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  license: z.string().min(1).max(100),
  shape: z.strictObject({
    blocks: count.max(MAX_SHARDS),
    width: count,
    ffn: count,
    heads: count,
    kvHeads: count,
    headDim: count,
    vocab: count,
    maxContext: count.max(MAX_CONTEXT),
    eps: z.number().positive().max(1),
  }),
  files: z.record(
    fileName,
    z.strictObject({
      bytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  cuts: z.record(z.string().min(1).max(40), z.array(z.string()).min(1).max(MAX_SHARDS)),
  shards: z.array(shard).min(1).max(MAX_SHARDS),
};

const llama = z.strictObject({
  ...base,
  arch: z.literal('llama'),
  rope: z.strictObject({ theta: positive, scaling: ropeScaling.optional() }),
  tie: z.boolean(),
  attention: z
    .strictObject({ qkvBias: z.boolean(), qkNorm: z.boolean(), window: count.max(MAX_CONTEXT).nullable() })
    .optional(),
  tokenizer: z.strictObject({
    file: fileName,
    bos: index.nullable(),
    eos: z.array(index).min(1).max(16),
    specials: index,
  }),
  chatTemplate: fileName,
});

const MAX_PREFIX_CHARS = 1000;
const headStep = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('dense'),
    inputs: count,
    outputs: count,
    bias: z.boolean(),
    activation: z.enum(['identity', 'tanh']),
  }),
  z.strictObject({ kind: z.literal('normalize') }),
]);

const encoder = z.strictObject({
  ...base,
  arch: z.literal('bert'),
  encoder: z.strictObject({
    activation: z.enum(ACTIVATIONS),
    types: index,
    relative: z.boolean(),
    pooling: z.array(z.enum(POOLINGS)).min(1).max(POOLINGS.length),
    head: z.array(headStep).max(16),
    lowercase: z.boolean(),
    prefix: z.string().max(MAX_PREFIX_CHARS),
  }),
  tokenizer: z.strictObject({ file: fileName, specials: index }),
});

const graph = z.strictObject({ ...base, arch: z.literal('graph') });

const manifest = z.discriminatedUnion('arch', [llama, encoder, graph]);

/** Throws ModelError MODEL_MANIFEST unless `bytes` are the canonical text of a manifest that agrees with itself. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES) throw refused(`larger than ${MAX_MANIFEST_BYTES} bytes`);
  const parsed = manifest.safeParse(parseJson(bytes));
  if (!parsed.success) throw refused(z.prettifyError(parsed.error));
  if (Buffer.compare(manifestBytes(parsed.data), bytes) !== 0) throw refused('not the canonical text (RFC 8785)');
  const why = contradiction(parsed.data);
  if (why !== undefined) throw refused(why);
  return parsed.data;
}

/** The decoder that a manifest describes. */
export function llamaOf({ shape, tie, attention }: LlamaManifest): Llama {
  return { shape, traits: { tie, ...(attention ?? { qkvBias: false, qkNorm: false, window: null }) } };
}

/** The encoder that a manifest describes. */
export function encoderOf({ shape, encoder: traits }: EncoderManifest): Encoder {
  return { shape, encoder: traits };
}

/** The manifest of a model that writes text. Throws ModelError MODEL_UNSUPPORTED for others. */
export function textManifest(value: Manifest): LlamaManifest {
  if (value.arch === 'llama') return value;
  const advice =
    value.arch === 'bert' ? 'it gives vectors: use tessera embed, or /v1/embeddings' : 'it is a function of tensors';
  throw new ModelError({ code: 'MODEL_UNSUPPORTED', key: value.arch }, `${value.name} writes no text; ${advice}`);
}

/** The manifest of a model that gives a vector for a text. Throws ModelError MODEL_UNSUPPORTED for others. */
export function encoderManifest(value: Manifest): EncoderManifest {
  if (value.arch === 'bert') return value;
  throw new ModelError({ code: 'MODEL_UNSUPPORTED', key: value.arch }, `${value.name} gives no embeddings`);
}

/** The files that tell texts from token ids. */
export function textFiles(value: Manifest): string[] {
  if (value.arch === 'graph') return [];
  return value.arch === 'llama' ? [value.tokenizer.file, value.chatTemplate] : [value.tokenizer.file];
}

/** The canonical text, UTF-8. */
export function manifestBytes(value: Manifest): Uint8Array {
  return utf8(canonicalJson(value));
}

/** The identity of the model on the network. */
export function manifestHash(bytes: Uint8Array): ManifestHash {
  return toHex(sha256(bytes));
}

/** The shards of a cut in order. Throws ModelError MODEL_MANIFEST when the model has no such cut. */
export function cutShards(value: Manifest, cut: string): readonly ManifestShard[] {
  const ids = Object.hasOwn(value.cuts, cut) ? value.cuts[cut] : undefined;
  if (ids === undefined) throw refused(`no cut is named ${cut}; there are: ${Object.keys(value.cuts).join(', ')}`);
  return ids.flatMap((id) => value.shards.filter((item) => item.id === id));
}

/** JSON with sorted keys and no spaces; numbers and strings as JSON.stringify writes them, which is what RFC 8785 asks for. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw refused('not JSON');
  }
}

function refused(why: string): ModelError {
  return new ModelError({ code: 'MODEL_MANIFEST', why }, `the manifest is refused: ${why}`);
}

function contradiction(value: Manifest): string | undefined {
  const { shape, shards, cuts } = value;
  const specials = value.arch === 'graph' ? 0 : value.tokenizer.specials;
  const marks = value.arch === 'llama' ? [value.tokenizer.bos ?? 0, ...value.tokenizer.eos] : [];
  if ([...marks, specials].some((id) => id >= shape.vocab)) return 'a special token lies outside of the vocabulary';
  const wrong = archContradiction(value);
  if (wrong !== undefined) return wrong;
  if (new Set(shards.map((item) => item.id)).size !== shards.length) return 'two shards have one id';
  const missing = namedFiles(value).find((file) => !Object.hasOwn(value.files, file));
  if (missing !== undefined) return `${missing} is named but not listed in files`;
  for (const item of shards) {
    const why = shardContradiction(value, item);
    if (why !== undefined) return `shard ${item.id}: ${why}`;
  }
  for (const [name, ids] of Object.entries(cuts))
    if (!covers(value, ids)) return `the cut ${name} does not cover the blocks in order`;
  return undefined;
}

function archContradiction(value: Manifest): string | undefined {
  if (value.arch === 'graph') return undefined;
  return value.arch === 'llama' ? decoderContradiction(value) : encoderContradiction(value);
}

function decoderContradiction({ shape }: LlamaManifest): string | undefined {
  if (shape.headDim % HEAD_DIM_STEP !== 0) return `headDim is no multiple of ${HEAD_DIM_STEP}`;
  return shape.heads % shape.kvHeads === 0 ? undefined : 'heads is no multiple of kvHeads';
}

function encoderContradiction(value: EncoderManifest): string | undefined {
  const { shape, encoder: traits } = value;
  if (shape.kvHeads !== shape.heads || shape.heads * shape.headDim !== shape.width)
    return 'heads do not fill the width';
  for (const [i, step] of traits.head.entries()) {
    const size = embeddingSize({ shape, encoder: { ...traits, head: traits.head.slice(0, i) } });
    if (step.kind === 'dense' && step.inputs !== size) return `a dense layer of ${step.inputs} inputs behind ${size}`;
  }
  return undefined;
}

function shardContradiction({ arch, shape }: Manifest, item: ManifestShard): string | undefined {
  if (item.from >= item.to || item.to > shape.blocks) return `blocks [${item.from}, ${item.to})`;
  if (item.first !== (item.from === 0) || item.last !== (item.to === shape.blocks))
    return 'first or last disagrees with its blocks';
  if (arch === 'graph')
    return item.gBits === 0 || item.probe.length > 0 ? 'a graph has a gain and no probe' : undefined;
  if (item.first !== (item.gBits === 0)) return 'gBits is 0 exactly for the first shard';
  if (item.last !== item.probe.length > 0) return 'probe columns belong to the last shard';
  const columns = arch === 'llama' ? shape.vocab : shape.width;
  return item.probe.some((column) => column >= columns) ? 'a probe column lies outside of the output' : undefined;
}

function covers({ shape, shards }: Manifest, ids: readonly string[]): boolean {
  let next = 0;
  for (const id of ids) {
    const item = shards.find((candidate) => candidate.id === id);
    if (item === undefined || item.from !== next) return false;
    next = item.to;
  }
  return next === shape.blocks;
}

/** Every file that the manifest says it needs. */
function namedFiles(value: Manifest): string[] {
  return [...textFiles(value), ...value.shards.flatMap((item) => [item.graph, item.det.graph, ...item.weights])];
}
