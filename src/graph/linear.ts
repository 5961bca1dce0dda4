// Linear layers of a graph in each weight format, for serving and for challenges. Serving may round activations; the deterministic profile never
// does: it is f32 arithmetic on the weights as they are stored (engine.md 1.3).

import type { GraphBuilder } from './builder.ts';
import { INT4_BLOCK, isFloat, isInt4, quantParts, type WeightFormat } from './formats.ts';
import { attribute } from './onnx.ts';

/** `serve` is for users, `det` answers challenges. */
export type Profile = 'serve' | 'det';

export interface LinearContext {
  readonly graph: GraphBuilder;
  readonly format: WeightFormat;
  readonly profile: Profile;
  /** A stored tensor as it is. */
  stored(name: string): string;
  /** A stored tensor as f32. */
  float(name: string): string;
}

/** (..., in) -> (..., out) */
export type Linear = (input: string, name: string, dims: readonly [number, number]) => string;

const MICROSOFT = 'com.microsoft';
/** MatMulNBits: 1 computes in f32, 4 rounds activations to 8 bits. */
const ACCURACY = { serve: 4, det: 1 } as const;
/**
 * Activations have 7 bits: kernels of processors without dot products of bytes add pairs of products in 16 bits, which 8-bit activations overflow, and
 * a model must say the same on all of them. Unsigned: signed activations are ten times slower (engine.md 7).
 */
const ZERO_POINT = 64;
const LEVELS = 63;
/** Keeps the scale of a row of zeros above zero, and changes no other. */
const SMALLEST_SCALE = 1e-30;

export function createLinear(context: LinearContext): Linear {
  const { format, profile } = context;
  if (isFloat(format)) return (input, name) => context.graph.node('MatMul', [input, context.float(name)]);
  if (isInt4(format)) return (input, name, dims) => int4(context, INT4_BLOCK[format], input, name, dims);
  return profile === 'serve' ? createW8a8(context) : (input, name) => dequantized(context, input, name);
}

function int4(
  { graph, profile, stored }: LinearContext,
  block: number,
  input: string,
  name: string,
  [inputs, outputs]: readonly [number, number],
): string {
  const parts = quantParts(name);
  return graph.node('MatMulNBits', [input, stored(parts.values), stored(parts.scales)], {
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

/** Integers times scales, which the runtime folds into f32 weights when it loads the graph. */
function dequantized({ graph, stored, float }: LinearContext, input: string, name: string): string {
  const parts = quantParts(name);
  return graph.node('MatMul', [input, graph.node('Mul', [float(parts.values), stored(parts.scales)])]);
}

/** Rows of activations rounded to 7 bits. */
interface RoundedRows {
  /** (rows, in) u8 */
  readonly values: string;
  /** (rows, 1) f32 */
  readonly scales: string;
  /** The dims of the unrounded tensor without the last, i64. */
  readonly lead: string;
}

/** Each row has its own scale, so that no answer depends on who shares the batch; layers that read the same rows share the rounding. */
function createW8a8({ graph, stored }: LinearContext): Linear {
  const known = new Map<string, RoundedRows>();
  const constants = createConstants(graph);
  const round = (input: string, width: number): RoundedRows => {
    const flat = graph.node('Reshape', [input, constants.integers([-1, width])]); // (rows, in)
    const last = constants.integers([-1]);
    const largest = graph.node('ReduceMax', [graph.node('Abs', [flat]), last], {
      attributes: { keepdims: attribute.int(1) },
    });
    const step = graph.node('Mul', [largest, constants.float(1 / LEVELS)]);
    const scales = graph.node('Add', [step, constants.float(SMALLEST_SCALE)]); // (rows, 1)
    const scaleList = graph.node('Reshape', [scales, last]); // (rows)
    const zeros = graph.node('Expand', [constants.bytes([ZERO_POINT], [1]), graph.node('Shape', [scaleList])]);
    const values = graph.node('QuantizeLinear', [flat, scaleList, zeros], { attributes: { axis: attribute.int(0) } });
    const lead = graph.node('Shape', [input], { attributes: { start: attribute.int(0), end: attribute.int(-1) } });
    return { values, scales, lead };
  };
  return (input, name, [width, outputs]) => {
    const rows = known.get(input) ?? round(input, width);
    known.set(input, rows);
    const parts = quantParts(name);
    const inputs = [
      rows.values,
      stored(parts.values),
      constants.float(1),
      stored(parts.scales),
      constants.bytes([ZERO_POINT], []),
    ];
    const product = graph.node('MatMulIntegerToFloat', inputs, { domain: MICROSOFT }); // (rows, out)
    const scaled = graph.node('Mul', [product, rows.scales]);
    const dims = graph.node('Concat', [rows.lead, constants.integers([outputs])], {
      attributes: { axis: attribute.int(0) },
    });
    return graph.node('Reshape', [scaled, dims]);
  };
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
