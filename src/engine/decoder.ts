// A Llama decoder in plain TypeScript with float64 arithmetic, one position at a time: slow and obvious on purpose. It defines what the
// ONNX graphs mean (engine.md 3.2).

import {
  blockTensor,
  EMBED,
  FINAL_NORM,
  HEAD,
  type Llama,
  type LlamaShape,
  ROPE_COS,
  ROPE_SIN,
} from '../graph/weights.ts';

type Vector = Float64Array;
/** Tensors of graph/weights.ts by name: linear layers are (in, out) row-major. */
export type Tensors = (name: string) => Float32Array;

/** Keys and values of the positions so far, per block (kvHeads * headDim) each. */
export interface BlockCache {
  readonly keys: Vector[];
  readonly values: Vector[];
}

export function embedToken(shape: LlamaShape, tensors: Tensors, id: number): Vector {
  return Float64Array.from(tensors(EMBED).subarray(id * shape.width, (id + 1) * shape.width));
}

/** One block on one row (width) at position `at`; what the cache held from there on is forgotten. */
export function runBlock(
  { shape, traits }: Llama,
  tensors: Tensors,
  block: number,
  cache: BlockCache,
  at: number,
  hidden: Vector,
): Vector {
  const part = (name: Parameters<typeof blockTensor>[1]) => tensors(blockTensor(block, name));
  const queries = shape.heads * shape.headDim;
  const keys = shape.kvHeads * shape.headDim;
  const product = multiply(rmsNorm(shape, hidden, part('attn_norm')), part('qkv'), queries + 2 * keys);
  const qkv = traits.qkvBias ? add(product, Float64Array.from(part('qkv_bias'))) : product;
  const heads = (from: number, to: number, scale: 'q_norm' | 'k_norm') => {
    const own = qkv.slice(from, to);
    return rotate(shape, tensors, traits.qkNorm ? normHeads(shape, own, part(scale)) : own, at);
  };
  cache.keys.length = cache.values.length = at;
  cache.keys.push(heads(queries, queries + keys, 'k_norm'));
  cache.values.push(qkv.slice(queries + keys));
  const seen = traits.window === null ? 0 : Math.max(0, at + 1 - traits.window);
  const attended = attend(shape, heads(0, queries, 'q_norm'), {
    keys: cache.keys.slice(seen),
    values: cache.values.slice(seen),
  });
  const middle = add(hidden, multiply(attended, part('out'), shape.width));
  const normed = rmsNorm(shape, middle, part('ffn_norm'));
  const up = multiply(normed, part('up'), shape.ffn);
  const gated = multiply(normed, part('gate'), shape.ffn).map(
    (gate, i) => (gate / (1 + Math.exp(-gate))) * (up[i] ?? 0),
  );
  return add(middle, multiply(gated, part('down'), shape.width));
}

/** Logits (vocab) of one row. `own`: the head is a tensor, not the embedding read the other way. */
export function runHead(shape: LlamaShape, own: boolean, tensors: Tensors, hidden: Vector): Vector {
  const normed = rmsNorm(shape, hidden, tensors(FINAL_NORM));
  if (own) return multiply(normed, tensors(HEAD), shape.vocab);
  const table = tensors(EMBED);
  return Float64Array.from({ length: shape.vocab }, (_, id) => dot(normed, table, id * shape.width));
}

/** log of the sum of exponentials. */
export function logSumExp(values: Vector): number {
  const max = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
}

function attend(shape: LlamaShape, query: Vector, cache: BlockCache): Vector {
  const { heads, kvHeads, headDim } = shape;
  const out = new Float64Array(heads * headDim);
  for (let head = 0; head < heads; head++) {
    const from = Math.floor(head / (heads / kvHeads)) * headDim; // where this head's keys begin
    const own = query.subarray(head * headDim, (head + 1) * headDim);
    const weights = softmax(Float64Array.from(cache.keys, (key) => dot(own, key, from) / Math.sqrt(headDim)));
    for (const [position, weight] of weights.entries()) {
      const value = cache.values[position] ?? out;
      for (let i = 0; i < headDim; i++)
        out[head * headDim + i] = (out[head * headDim + i] ?? 0) + weight * (value[from + i] ?? 0);
    }
  }
  return out;
}

function softmax(scores: Vector): Vector {
  const all = logSumExp(scores);
  return scores.map((score) => Math.exp(score - all));
}

/** Rotary positions in the half-split layout: dimension i turns with i + headDim / 2. */
function rotate(shape: LlamaShape, tensors: Tensors, values: Vector, at: number): Vector {
  const half = shape.headDim / 2;
  const cos = tensors(ROPE_COS).subarray(at * half, (at + 1) * half);
  const sin = tensors(ROPE_SIN).subarray(at * half, (at + 1) * half);
  return values.map((value, i) => {
    const place = i % shape.headDim;
    const [c, s] = [cos[place % half] ?? 0, sin[place % half] ?? 0];
    return place < half ? value * c - (values[i + half] ?? 0) * s : value * c + (values[i - half] ?? 0) * s;
  });
}

function rmsNorm(shape: LlamaShape, values: Vector, scale: Float32Array): Vector {
  const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
  const factor = 1 / Math.sqrt(mean + shape.eps);
  return values.map((value, i) => value * factor * (scale[i] ?? 0));
}

/** Each head by itself. */
function normHeads(shape: LlamaShape, values: Vector, scale: Float32Array): Vector {
  const out = new Float64Array(values.length);
  for (let at = 0; at < values.length; at += shape.headDim)
    out.set(rmsNorm(shape, values.slice(at, at + shape.headDim), scale), at);
  return out;
}

/** values (in) times matrix (in, out). */
function multiply(values: Vector, matrix: Float32Array, outputs: number): Vector {
  const out = new Float64Array(outputs);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    const row = i * outputs;
    for (let j = 0; j < outputs; j++) out[j] = (out[j] as number) + value * (matrix[row + j] as number);
  }
  return out;
}

function dot(a: Vector, b: Float32Array | Vector, from: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[from + i] as number);
  return sum;
}

function add(a: Vector, b: Vector): Vector {
  return a.map((value, i) => value + (b[i] ?? 0));
}
