// Which tensors an encoder of the BERT family has, in which files they are stored and where: a pure function of its shape, traits and format, so that
// any cut of its blocks is a small graph over the same weight files (engine.md 2.1).

import type { EncoderManifest } from '../types/model.ts';
import { type LayerFormats, layerFormat, linearSpecs, plainType, type WeightFormat } from './formats.ts';
import type { LlamaShape, WeightSpec } from './weights.ts';

/** What tells the encoders of the family apart, beside their numbers. */
export type EncoderTraits = Pick<EncoderManifest['encoder'], 'activation' | 'types' | 'relative' | 'pooling' | 'head'>;
export type Activation = EncoderTraits['activation'];
export type Pooling = EncoderTraits['pooling'][number];
export type HeadStep = EncoderTraits['head'][number];

export const ACTIVATIONS = ['gelu', 'gelu_tanh', 'quick_gelu', 'relu', 'silu'] as const satisfies readonly Activation[];
/** In the order in which several are put behind each other. */
export const POOLINGS = ['cls', 'max', 'mean', 'mean_sqrt_len'] as const satisfies readonly Pooling[];

export interface Encoder {
  readonly shape: LlamaShape;
  readonly encoder: EncoderTraits;
}

export const WORD = 'word';
export const POSITION = 'position';
export const SEGMENT = 'segment';
export const EMBED_NORM = 'embed_norm';
/** (2 maxContext - 1, heads): what is added to attention by the place of the key less that of the query, from 1 - maxContext on. */
export const RELATIVE = 'relative';

/** Linear layers of a block: (in, out), each with a bias. `qkv` packs queries, keys and values along the output axis. */
function linearParts({ width, ffn }: LlamaShape) {
  return { qkv: [width, 3 * width], out: [width, width], up: [width, ffn], down: [ffn, width] } as const;
}
export type EncoderLinear = keyof ReturnType<typeof linearParts>;
const NORM_PARTS = ['attn_norm', 'ffn_norm'] as const;
export type EncoderNorm = (typeof NORM_PARTS)[number];

/** The name of a tensor of one block: `block.3.qkv`. */
export function encoderTensor(block: number, part: EncoderLinear | EncoderNorm): string {
  return `block.${block}.${part}`;
}

/** The weights of the dense step at this place of the head. */
export function denseTensor(step: number): string {
  return `dense.${step}`;
}

/** Of a linear layer or a norm. */
export function biasOf(name: string): string {
  return `${name}_bias`;
}

/** Rows and columns of a linear layer of a block by its tensor name: (in, out). */
export function encoderLinearDims(shape: LlamaShape, name: string): readonly [number, number] {
  return linearParts(shape)[name.split('.')[2] as EncoderLinear];
}

/** Values of the vector that comes out. */
export function embeddingSize({ shape, encoder }: Encoder): number {
  const pooled = encoder.pooling.length * shape.width;
  return encoder.head.reduce((size, step) => (step.kind === 'dense' ? step.outputs : size), pooled);
}

/** All stored tensors in storage order: one file for the embeddings, one for relative positions, one per block, one for the head. Only the linear layers of blocks are quantised. */
export function encoderWeights(
  { shape, encoder }: Encoder,
  format: WeightFormat,
  layers: LayerFormats = {},
): WeightSpec[] {
  const type = plainType(format);
  const plain = (file: string, name: string, ...dims: number[]): WeightSpec => ({ name, dims, type, file });
  const normed = (file: string, name: string) => [
    plain(file, name, shape.width),
    plain(file, biasOf(name), shape.width),
  ];
  const start = `embed.${type}`;
  const ofBlock = (block: number): WeightSpec[] => {
    const file = `block-${block}.${format}`;
    const linears = Object.entries(linearParts(shape)).flatMap(([part, dims]) => {
      const name = encoderTensor(block, part as EncoderLinear);
      const stored = linearSpecs(layerFormat(format, layers, name), name, dims).map((spec) => ({ ...spec, file }));
      return [plain(file, biasOf(name), dims[1]), ...stored];
    });
    return [...NORM_PARTS.flatMap((part) => normed(file, encoderTensor(block, part))), ...linears];
  };
  const dense = encoder.head.flatMap((step, i) => {
    if (step.kind !== 'dense') return [];
    const weights = plain(`head.${type}`, denseTensor(i), step.inputs, step.outputs);
    return step.bias ? [weights, plain(`head.${type}`, biasOf(denseTensor(i)), step.outputs)] : [weights];
  });
  return [
    plain(start, WORD, shape.vocab, shape.width),
    plain(start, POSITION, shape.maxContext, shape.width),
    ...(encoder.types > 0 ? [plain(start, SEGMENT, encoder.types, shape.width)] : []),
    ...normed(start, EMBED_NORM),
    ...(encoder.relative ? [plain(`relative.${type}`, RELATIVE, 2 * shape.maxContext - 1, shape.heads)] : []),
    ...Array.from({ length: shape.blocks }, (_, block) => ofBlock(block)).flat(),
    ...dense,
  ];
}
