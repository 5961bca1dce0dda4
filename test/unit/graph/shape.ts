// A small decoder shape for tests of graphs.

import type { Llama, LlamaShape, LlamaTraits } from '../../../src/graph/weights.ts';

export const SHAPE: LlamaShape = {
  blocks: 2,
  width: 32,
  ffn: 64,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  vocab: 100,
  maxContext: 64,
  eps: 1e-5,
};

export const PLAIN: LlamaTraits = { tie: true, qkvBias: false, qkNorm: false, window: null };

/** The shape as a decoder with some traits of its own. */
export function llama(traits: Partial<LlamaTraits> = {}): Llama {
  return { shape: SHAPE, traits: { ...PLAIN, ...traits } };
}
