// Which tensors a model of the Llama family has, in which files they are stored and where: a pure function of its shape and format, so that any
// cut of its blocks is a small graph over the same weight files (engine.md 2.1).

import { isFloat, type LayerFormats, layerFormat, linearSpecs, plainType, type WeightFormat } from './formats.ts';
import { type ExternalData, type OnnxType, TYPE_BYTES } from './onnx.ts';

/** The numbers of a Llama-style decoder; the manifest's `shape` is one. */
export interface LlamaShape {
  readonly blocks: number;
  readonly width: number;
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocab: number;
  readonly maxContext: number;
  readonly eps: number;
}

/** What tells the decoders of the family apart, beside their numbers. */
export interface LlamaTraits {
  /** The head is the transposed embedding. */
  readonly tie: boolean;
  /** Queries, keys and values have a bias (Qwen 2). */
  readonly qkvBias: boolean;
  /** Each head of queries and keys is RMS-normalised before it is turned (Qwen 3). */
  readonly qkNorm: boolean;
  /** Positions that a query sees, itself included (Mistral); null: all before it. */
  readonly window: number | null;
}

export interface Llama {
  readonly shape: LlamaShape;
  readonly traits: LlamaTraits;
}

export interface WeightSpec {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: Extract<OnnxType, 'f16' | 'f32' | 'u8' | 'i8'>;
  readonly file: string;
}

/** Every tensor starts on a page, so that a runtime may map it (engine.md 2.1). */
const ALIGNMENT = 4096;

export const EMBED = 'embed';
export const HEAD = 'head';
export const FINAL_NORM = 'norm';
export const ROPE_COS = 'rope.cos';
export const ROPE_SIN = 'rope.sin';

/** Linear layers of a block: (in, out). `qkv` packs queries, keys and values along the output axis. */
function linearParts(shape: LlamaShape) {
  const queries = shape.heads * shape.headDim;
  const keys = shape.kvHeads * shape.headDim;
  return {
    qkv: [shape.width, queries + 2 * keys],
    out: [queries, shape.width],
    gate: [shape.width, shape.ffn],
    up: [shape.width, shape.ffn],
    down: [shape.ffn, shape.width],
  } as const;
}
/** Vectors of a block; not every model of the family has all of them. */
function vectorParts(shape: LlamaShape) {
  return {
    attn_norm: shape.width,
    ffn_norm: shape.width,
    qkv_bias: linearParts(shape).qkv[1],
    q_norm: shape.headDim,
    k_norm: shape.headDim,
  } as const;
}
export type LinearPart = keyof ReturnType<typeof linearParts>;
export type VectorPart = keyof ReturnType<typeof vectorParts>;

/** The name of a tensor of one block: `block.3.qkv`. */
export function blockTensor(block: number, part: LinearPart | VectorPart): string {
  return `block.${block}.${part}`;
}

/** Rows and columns of a linear layer by its tensor name: (in, out). */
export function linearDims(shape: LlamaShape, name: string): readonly [number, number] {
  if (name === HEAD) return [shape.width, shape.vocab];
  return linearParts(shape)[name.split('.')[2] as LinearPart];
}

/**
 * All stored tensors in storage order: one file per block, one for the embedding, one for the end, one for the rotary tables (f32).
 * A tied head is stored in its own right when it is quantised: the embedding is not. `layers`: which linear layers are stored otherwise.
 */
export function llamaWeights({ shape, traits }: Llama, format: WeightFormat, layers: LayerFormats = {}): WeightSpec[] {
  const has: Readonly<Record<VectorPart, boolean>> = {
    attn_norm: true,
    ffn_norm: true,
    qkv_bias: traits.qkvBias,
    q_norm: traits.qkNorm,
    k_norm: traits.qkNorm,
  };
  const type = plainType(format);
  const linear = (file: string, name: string, dims: readonly [number, number]) =>
    linearSpecs(layerFormat(format, layers, name), name, dims).map((spec) => ({ ...spec, file }));
  const ofBlock = (block: number): WeightSpec[] => {
    const file = `block-${block}.${format}`;
    const vectors = (Object.entries(vectorParts(shape)) as [VectorPart, number][])
      .filter(([part]) => has[part])
      .map(([part, length]): WeightSpec => ({ name: blockTensor(block, part), dims: [length], type, file }));
    const linears = (Object.entries(linearParts(shape)) as [LinearPart, readonly [number, number]][]).flatMap(
      ([part, dims]) => linear(file, blockTensor(block, part), dims),
    );
    return [...vectors, ...linears];
  };
  const rope = [shape.maxContext, shape.headDim / 2];
  const end = `end.${format}`;
  return [
    { name: EMBED, dims: [shape.vocab, shape.width], type, file: `embed.${type}` },
    ...Array.from({ length: shape.blocks }, (_, block) => ofBlock(block)).flat(),
    { name: FINAL_NORM, dims: [shape.width], type, file: end },
    ...(hasHead(traits, format, layers) ? linear(end, HEAD, linearDims(shape, HEAD)) : []),
    { name: ROPE_COS, dims: rope, type: 'f32', file: 'rope.f32' },
    { name: ROPE_SIN, dims: rope, type: 'f32', file: 'rope.f32' },
  ];
}

/** Whether the head is a tensor of its own, or the embedding read the other way. */
export function hasHead({ tie }: LlamaTraits, format: WeightFormat, layers: LayerFormats = {}): boolean {
  return !tie || !isFloat(layerFormat(format, layers, HEAD));
}

/** Where each tensor lies: by name, in the order of `specs`. */
export function layoutWeights(specs: readonly WeightSpec[]): ReadonlyMap<string, ExternalData> {
  const ends = new Map<string, number>();
  const places = new Map<string, ExternalData>();
  for (const spec of specs) {
    const offset = Math.ceil((ends.get(spec.file) ?? 0) / ALIGNMENT) * ALIGNMENT;
    const length = spec.dims.reduce((product, dim) => product * dim, TYPE_BYTES[spec.type]);
    places.set(spec.name, { location: spec.file, offset, length });
    ends.set(spec.file, offset + length);
  }
  return places;
}
