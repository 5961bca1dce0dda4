// Where the weights of a model come from before it is written in our own form: an imported folder, or a generator in tests.

import type { Encoder } from '../graph/encoder-weights.ts';
import type { Rope } from '../graph/rope.ts';
import type { Llama } from '../graph/weights.ts';

export interface LlamaSource extends Llama {
  readonly arch: 'llama';
  readonly rope: Rope;
  readonly tokenizer: {
    readonly json: Uint8Array;
    readonly bos: number | null;
    readonly eos: readonly number[];
    /** Ids below this are special. */
    readonly specials: number;
  };
  /** Jinja. */
  readonly chatTemplate: string;
  /** A tensor of graph/weights.ts by its name in a float format, row-major in the dims stored there; rotary tables are not asked for. */
  tensor(name: string, dims: readonly number[]): Promise<Float32Array>;
}

export interface EncoderSource extends Encoder {
  readonly arch: 'bert';
  readonly tokenizer: {
    readonly json: Uint8Array;
    /** Ids below this are special. */
    readonly specials: number;
  };
  /** What happens to a text before the tokenizer sees it. */
  readonly text: { readonly lowercase: boolean; readonly prefix: string };
  /** A tensor of graph/encoder-weights.ts by its name in a float format, row-major in the dims stored there. */
  tensor(name: string, dims: readonly number[]): Promise<Float32Array>;
}

export type ModelSource = LlamaSource | EncoderSource;
