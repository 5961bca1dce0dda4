// Random weights of a published shape, so that speed can be measured without a download. Tensors are windows into one pool of normal numbers: a
// model of a thousand million weights is made in seconds. It says nothing about quality.

import type { LlamaShape } from '../../../src/graph/weights.ts';
import type { LlamaSource } from '../../../src/model/source.ts';
import { byteTokenizer } from '../../support/random-model.ts';

/** TinyLlama 1.1B. */
export const TINY_LLAMA: LlamaShape = {
  blocks: 22,
  width: 2048,
  ffn: 5632,
  heads: 32,
  kvHeads: 4,
  headDim: 64,
  vocab: 32_000,
  maxContext: 2048,
  eps: 1e-5,
};
export const THETA = 10_000;

export function randomLlama(shape: LlamaShape): LlamaSource {
  const pool = normalPool();
  return {
    arch: 'llama',
    shape,
    traits: { tie: false, qkvBias: false, qkNorm: false, window: null },
    rope: { theta: THETA },
    tokenizer: { json: byteTokenizer(shape.vocab), bos: 0, eos: [1], specials: 4 },
    chatTemplate: "{{ messages[0]['content'] }}",
    tensor: async (name, dims) => randomTensor(pool, name, dims),
  };
}

const POOL = (1 << 22) + 4099;

/** (in, out) weights of deviation 1 / sqrt(in), norms around 1, an embedding of deviation 1. */
function randomTensor(pool: Float32Array, name: string, dims: readonly number[]): Float32Array {
  const out = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
  let from = hash(name) % POOL;
  for (let at = 0; at < out.length; ) {
    const count = Math.min(POOL - from, out.length - at);
    out.set(pool.subarray(from, from + count), at);
    at += count;
    from = (from + count + 13) % POOL;
  }
  const [scale, shift] = dims.length === 1 ? [0.1, 1] : name === 'embed' ? [1, 0] : [1 / Math.sqrt(dims[0] ?? 1), 0];
  for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) * scale + shift;
  return out;
}

/** Box-Muller over xorshift. */
function normalPool(): Float32Array {
  let state = 12_345;
  const uniform = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return Float32Array.from(
    { length: POOL },
    () => Math.sqrt(-2 * Math.log(uniform() + 1e-12)) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 2_166_136_261;
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 16_777_619);
  return value >>> 0;
}
