// Which tensors a Llama model has, in which files they are stored and where: a pure function of its shape, so that any cut of its blocks is
// a small graph over the same weight files (engine.md 2.1). Linear layers are stored transposed, (in, out), as MatMul reads them.

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

export interface WeightSpec {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: Extract<OnnxType, 'f16' | 'f32'>;
  readonly file: string;
}

/** Every tensor starts on a page, so that a runtime may map it (engine.md 2.1). */
const ALIGNMENT = 4096;

export const EMBED = 'embed';
export const HEAD = 'head';
export const FINAL_NORM = 'norm';
export const ROPE_COS = 'rope.cos';
export const ROPE_SIN = 'rope.sin';

/** The name of a tensor of one block: `block.3.qkv`. */
export function blockTensor(block: number, part: keyof ReturnType<typeof blockParts>): string {
  return `block.${block}.${part}`;
}

/** Dims of the tensors of one block; `qkv` packs queries, keys and values along the output axis. */
export function blockParts(shape: LlamaShape) {
  const queries = shape.heads * shape.headDim;
  const keys = shape.kvHeads * shape.headDim;
  return {
    attn_norm: [shape.width],
    qkv: [shape.width, queries + 2 * keys],
    out: [queries, shape.width],
    ffn_norm: [shape.width],
    gate: [shape.width, shape.ffn],
    up: [shape.width, shape.ffn],
    down: [shape.ffn, shape.width],
  } as const;
}

/** All stored tensors in storage order: one file per block, one for the embedding, one for the end, one for the rotary tables (f32). */
export function llamaWeights(shape: LlamaShape, tie: boolean): WeightSpec[] {
  const blocks = Array.from({ length: shape.blocks }, (_, block) =>
    Object.entries(blockParts(shape)).map(
      ([part, dims]): WeightSpec => ({ name: `block.${block}.${part}`, dims, type: 'f16', file: `block-${block}.f16` }),
    ),
  );
  const rope = [shape.maxContext, shape.headDim / 2];
  return [
    { name: EMBED, dims: [shape.vocab, shape.width], type: 'f16', file: 'embed.f16' },
    ...blocks.flat(),
    { name: FINAL_NORM, dims: [shape.width], type: 'f16', file: 'end.f16' },
    ...(tie ? [] : [{ name: HEAD, dims: [shape.width, shape.vocab], type: 'f16', file: 'end.f16' } as const]),
    { name: ROPE_COS, dims: rope, type: 'f32', file: 'rope.f32' },
    { name: ROPE_SIN, dims: rope, type: 'f32', file: 'rope.f32' },
  ];
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

/** Cosines and sines of the rotary angles, each (maxContext, headDim / 2) row-major float32: angle = position / theta^(2i / headDim). */
export function ropeTables(
  shape: LlamaShape,
  theta: number,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = shape.headDim / 2;
  const angle = (_: unknown, i: number) => Math.floor(i / half) / theta ** ((2 * (i % half)) / shape.headDim);
  const angles = Array.from({ length: shape.maxContext * half }, angle);
  return { cos: Float32Array.from(angles, Math.cos), sin: Float32Array.from(angles, Math.sin) };
}
