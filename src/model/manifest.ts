// The manifest: canonical JSON (RFC 8785) that names every file of a model by its hash (engine.md 2.1). Its own SHA-256 is the model's identity,
// so only the one canonical text is taken. Trusts nothing: a manifest comes from strangers.

import { z } from 'zod';
import { WEIGHT_FORMATS } from '../graph/formats.ts';
import type { Llama } from '../graph/weights.ts';
import type { Manifest, ManifestHash, ManifestShard } from '../types/model.ts';
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

const port = z.strictObject({
  name: z.string().min(1).max(100),
  dtype: z.enum(['f32', 'i64', 'i32']),
  dims: z.array(z.union([count, z.string().regex(/^[A-Z]$/)])).max(8),
});

const shard = z.strictObject({
  id: z.string().min(1).max(100),
  format: z.enum(WEIGHT_FORMATS),
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

const manifest = z.strictObject({
  format: z.literal('tessera-model/1'),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  license: z.string().min(1).max(100),
  arch: z.literal('llama'),
  shape: z.strictObject({
    blocks: count.max(MAX_SHARDS),
    width: count,
    ffn: count,
    heads: count,
    kvHeads: count,
    headDim: count.multipleOf(HEAD_DIM_STEP),
    vocab: count,
    maxContext: count.max(MAX_CONTEXT),
    eps: z.number().positive().max(1),
  }),
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
  files: z.record(
    fileName,
    z.strictObject({
      bytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  cuts: z.record(z.string().min(1).max(40), z.array(z.string()).min(1).max(MAX_SHARDS)),
  shards: z.array(shard).min(1).max(MAX_SHARDS),
});

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
export function llamaOf({ shape, tie, attention }: Manifest): Llama {
  return { shape, traits: { tie, ...(attention ?? { qkvBias: false, qkNorm: false, window: null }) } };
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
  const { shape, shards, cuts, tokenizer } = value;
  if (shape.heads % shape.kvHeads !== 0) return 'heads is no multiple of kvHeads';
  if ([tokenizer.bos ?? 0, ...tokenizer.eos, tokenizer.specials].some((id) => id >= shape.vocab))
    return 'a special token lies outside of the vocabulary';
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

function shardContradiction({ shape }: Manifest, item: ManifestShard): string | undefined {
  if (item.from >= item.to || item.to > shape.blocks) return `blocks [${item.from}, ${item.to})`;
  if (item.first !== (item.from === 0) || item.last !== (item.to === shape.blocks))
    return 'first or last disagrees with its blocks';
  if (item.first !== (item.gBits === 0)) return 'gBits is 0 exactly for the first shard';
  if (item.last !== item.probe.length > 0) return 'probe columns belong to the last shard';
  return item.probe.some((column) => column >= shape.vocab)
    ? 'a probe column lies outside of the vocabulary'
    : undefined;
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
function namedFiles({ tokenizer, chatTemplate, shards }: Manifest): string[] {
  return [tokenizer.file, chatTemplate, ...shards.flatMap((item) => [item.graph, item.det.graph, ...item.weights])];
}
