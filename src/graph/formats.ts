// How linear layers are stored: as floats, or as small integers with scales (engine.md 1.3, 7). Everything else stays in half precision, or in f32.
//   f32     (in, out) f32: a model as it was published
//   f16     (in, out) f16: cast to f32 when loaded
//   int4bN  (out, in / N, N / 2) u8, two values a byte, zero point 8, one f32 scale per N inputs of one output: smallest and fastest for one session
//   w8a8    (in, out) i8, one f32 scale per output; activations are rounded to 8 bits row by row: fastest for prompts and batches

import type { OnnxType } from './onnx.ts';

export const WEIGHT_FORMATS = ['f32', 'f16', 'int4b32', 'int4b128', 'w8a8'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];
/** Formats whose linear layers are floats: nothing is rounded when they are multiplied. */
export type FloatFormat = Extract<WeightFormat, 'f32' | 'f16'>;

/** Inputs that share a scale in the formats of 4 bits. */
export const INT4_BLOCK = { int4b32: 32, int4b128: 128 } as const;

export function isFloat(format: WeightFormat): format is FloatFormat {
  return format === 'f32' || format === 'f16';
}

/** How everything but linear layers is stored. */
export function plainType(format: WeightFormat): FloatFormat {
  return format === 'f32' ? 'f32' : 'f16';
}

export function isInt4(format: WeightFormat): format is keyof typeof INT4_BLOCK {
  return Object.hasOwn(INT4_BLOCK, format);
}

/** Names of the stored parts of a quantised layer. */
export function quantParts(name: string) {
  return { values: `${name}.values`, scales: `${name}.scales` } as const;
}

/** The layer that a stored tensor is a part of; undefined for tensors that are stored whole. */
export function layerOfPart(name: string): string | undefined {
  return /^(.+)\.(?:values|scales)$/.exec(name)?.[1];
}

interface StoredPart {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: Extract<OnnxType, 'f16' | 'f32' | 'u8' | 'i8'>;
}

/** Linear layers that are stored in another format than their model: by name (`block.0.down`), or by its last part for all of a kind (`down`, `head`). */
export type LayerFormats = Readonly<Record<string, WeightFormat>>;

/** How the linear layer `name` of a model in `format` is stored; what is said of one layer goes before what is said of its kind. */
export function layerFormat(format: WeightFormat, layers: LayerFormats, name: string): WeightFormat {
  return layers[name] ?? layers[layerKind(name)] ?? format;
}

/** The last part of a linear layer's name. */
export function layerKind(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

/** What is stored of the linear layer `name`. */
export function linearSpecs(format: WeightFormat, name: string, dims: readonly [number, number]): StoredPart[] {
  if (isFloat(format)) return [{ name, dims, type: format }];
  const [inputs, outputs] = dims;
  const parts = quantParts(name);
  if (format === 'w8a8')
    return [
      { name: parts.values, dims, type: 'i8' },
      { name: parts.scales, dims: [outputs], type: 'f32' },
    ];
  const block = INT4_BLOCK[format];
  const blocks = Math.ceil(inputs / block);
  return [
    { name: parts.values, dims: [outputs, blocks, block / 2], type: 'u8' },
    { name: parts.scales, dims: [outputs, blocks], type: 'f32' },
  ];
}
