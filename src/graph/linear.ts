// Linear layers of a graph in each weight format, for serving and for challenges. Serving may round activations; the deterministic profile never
// does: it is f32 arithmetic on the weights as they are stored (engine.md 1.3).

import type { GraphBuilder } from './builder.ts';
import {
  INT4_BLOCK,
  isFloat,
  isInt4,
  type LayerFormats,
  layerFormat,
  layerKind,
  quantParts,
  type WeightFormat,
} from './formats.ts';
import { attribute } from './onnx.ts';
import { TO_FLOAT, TO_HALF } from './stored.ts';

/** `serve` is for users, `det` answers challenges. */
export type PublishedProfile = 'serve' | 'det';
/** For users on a GPU, made when a shard is loaded: `single` computes in f32 what `serve` does; `half` has linear layers, attention and caches in f16. */
export type DeviceProfile = 'single' | 'half';
export type Profile = PublishedProfile | DeviceProfile;

export interface LinearContext {
  readonly graph: GraphBuilder;
  readonly format: WeightFormat;
  /** Linear layers that are stored otherwise. */
  readonly layers?: LayerFormats | undefined;
  readonly profile: Profile;
  /** A stored tensor as it is. */
  stored(name: string): string;
  /** A stored tensor as f32. */
  float(name: string): string;
  /** A stored tensor as f16. */
  half(name: string): string;
}

/** (..., in) -> (..., out) */
export type Linear = (input: string, name: string, dims: readonly [number, number]) => string;

const MICROSOFT = 'com.microsoft';
/** MatMulNBits: 1 computes in f32, 4 rounds activations to 8 bits, 0 computes in the type of the activations. */
const ACCURACY = { serve: 4, det: 1, single: 1, half: 0 } as const;
/**
 * Activations have 7 bits: kernels of processors without dot products of bytes add pairs of products in 16 bits, which 8-bit activations overflow, and
 * a model must say the same on all of them. Unsigned: signed activations are ten times slower (engine.md 7).
 */
const ZERO_POINT = 64;
const LEVELS = 63;
/** Keeps the scale of a row of zeros above zero, and changes no other. */
const SMALLEST_SCALE = 1e-30;

export function createLinear(context: LinearContext): Linear {
  const known = new Map<WeightFormat, Linear>();
  return (input, name, dims) => {
    const format = layerFormat(context.format, context.layers ?? {}, name);
    const linear = known.get(format) ?? createOne(context, format);
    known.set(format, linear);
    return linear(input, name, dims);
  };
}

function createOne(context: LinearContext, format: WeightFormat): Linear {
  const { profile } = context;
  if (isFloat(format)) return (input, name) => context.graph.node('MatMul', [input, computed(context, name)]);
  if (isInt4(format)) return (input, name, dims) => int4(context, INT4_BLOCK[format], input, name, dims);
  return profile === 'serve' ? createW8a8(context) : (input, name) => dequantized(context, input, name);
}

/** A stored tensor in the type that linear layers of the profile compute in. */
function computed({ profile, float, half }: LinearContext, name: string): string {
  return profile === 'half' ? half(name) : float(name);
}

function int4(
  context: LinearContext,
  block: number,
  input: string,
  name: string,
  [inputs, outputs]: readonly [number, number],
): string {
  const { graph, profile, stored } = context;
  const parts = quantParts(name);
  return graph.node('MatMulNBits', [input, stored(parts.values), computed(context, parts.scales)], {
    domain: MICROSOFT,
    attributes: {
      K: attribute.int(inputs),
      N: attribute.int(outputs),
      bits: attribute.int(4),
      block_size: attribute.int(block),
      accuracy_level: attribute.int(ACCURACY[profile]),
    },
  });
}

/** Integers times scales, which the runtime folds into weights when it loads the graph: in f32, since it has no product of f16 to fold. */
function dequantized({ graph, profile, float }: LinearContext, input: string, name: string): string {
  const parts = quantParts(name);
  const weights = graph.node('Mul', [float(parts.values), float(parts.scales)]);
  const used = profile === 'half' ? graph.node('Cast', [weights], { attributes: { to: TO_HALF } }) : weights;
  return graph.node('MatMul', [input, used]);
}

/** Rows of activations rounded to 7 bits. */
interface RoundedRows {
  /** (rows, in) u8; of layers that are read finely twice as many rows: first all of them, then what the rounding left of each */
  readonly values: string;
  /** (as many, 1) f32 */
  readonly scales: string;
  /** The dims of the unrounded tensor without the last, i64. */
  readonly lead: string;
}

/**
 * Layers whose activations are rounded twice, the second time what the first one left: 14 bits in place of 7, by twice as many rows on the same weights.
 * Rounding costs most where products of two activations (`down`) or candidates (`head`) come out: on the bundled model both together lower the divergence
 * from 1.5e-4 to 2.0e-5 nats, rounding all layers so to 1.2e-5, one of the two alone to 0.9e-4 (docs/models.md).
 */
const FINE: ReadonlySet<string> = new Set(['down', 'head']);

/** Each row has its own scale, so that no answer depends on who shares the batch; layers that read the same rows share the rounding. */
function createW8a8({ graph, stored }: LinearContext): Linear {
  const known = new Map<string, RoundedRows>();
  const constants = createConstants(graph);
  const under = (first: string, second: string) =>
    graph.node('Concat', [first, second], { attributes: { axis: attribute.int(0) } });
  /** (rows, in) f32 and (rows, 1) scales -> (rows, in) u8 */
  const quantize = (flat: string, scales: string): string => {
    const list = graph.node('Reshape', [scales, constants.integers([-1])]); // (rows)
    const zeros = graph.node('Expand', [constants.bytes([ZERO_POINT], [1]), graph.node('Shape', [list])]);
    return graph.node('QuantizeLinear', [flat, list, zeros], { attributes: { axis: attribute.int(0) } });
  };
  const round = (input: string, width: number, fine: boolean): RoundedRows => {
    const flat = graph.node('Reshape', [input, constants.integers([-1, width])]); // (rows, in)
    const largest = graph.node('ReduceMax', [graph.node('Abs', [flat]), constants.integers([-1])], {
      attributes: { keepdims: attribute.int(1) },
    });
    const step = graph.node('Mul', [largest, constants.float(1 / LEVELS)]);
    const scales = graph.node('Add', [step, constants.float(SMALLEST_SCALE)]); // (rows, 1)
    const values = quantize(flat, scales);
    const lead = graph.node('Shape', [input], { attributes: { start: attribute.int(0), end: attribute.int(-1) } });
    if (!fine) return { values, scales, lead };
    const levels = graph.node('Sub', [
      graph.node('Cast', [values], { attributes: { to: TO_FLOAT } }),
      constants.float(ZERO_POINT),
    ]);
    const left = graph.node('Sub', [flat, graph.node('Mul', [levels, scales])]); // at most half a step
    const finer = graph.node('Mul', [scales, constants.float(1 / (2 * LEVELS))]);
    return { values: under(values, quantize(left, finer)), scales: under(scales, finer), lead };
  };
  return (input, name, [width, outputs]) => {
    const fine = FINE.has(layerKind(name));
    const key = `${input} ${fine}`;
    const rows = known.get(key) ?? round(input, width, fine);
    known.set(key, rows);
    const parts = quantParts(name);
    const inputs = [
      rows.values,
      stored(parts.values),
      constants.float(1),
      stored(parts.scales),
      constants.bytes([ZERO_POINT], []),
    ];
    const product = graph.node('MatMulIntegerToFloat', inputs, { domain: MICROSOFT }); // (rows or twice as many, out)
    const scaled = graph.node('Mul', [product, rows.scales]);
    const whole = fine ? bothParts(graph, name, scaled) : scaled;
    const dims = graph.node('Concat', [rows.lead, constants.integers([outputs])], {
      attributes: { axis: attribute.int(0) },
    });
    return graph.node('Reshape', [whole, dims]);
  };
}

/** (2 rows, out) -> (rows, out): each row and what belongs to it in the second half, added. */
function bothParts(graph: GraphBuilder, name: string, product: string): string {
  const halves = [`${name}.coarse`, `${name}.fine`];
  graph.node('Split', [product], {
    outputs: halves,
    attributes: { axis: attribute.int(0), num_outputs: attribute.int(2) },
  });
  return graph.node('Add', halves);
}

/** Small inline tensors, one of each value. */
export function createConstants(graph: GraphBuilder) {
  return {
    integers: (values: readonly number[], dims: readonly number[] = [values.length], name = values.join('_')) =>
      graph.constant(
        `i64.${name}.${dims.length}`,
        'i64',
        dims,
        new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
      ),
    /** f32 (1) */
    float: (value: number) => graph.constant(`f32.${value}`, 'f32', [1], new Uint8Array(Float32Array.of(value).buffer)),
    bytes: (values: readonly number[], dims: readonly number[]) =>
      graph.constant(`u8.${values.join('_')}.${dims.length}`, 'u8', dims, Uint8Array.from(values)),
  };
}
