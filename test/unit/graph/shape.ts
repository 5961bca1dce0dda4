// A small decoder shape for tests of graphs.

import type { LlamaShape } from '../../../src/graph/weights.ts';

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
