// What a model is to the network: a manifest that names every byte by its hash, and the cut of its blocks into shards (engine.md 2.1).

/** Lower-case hex SHA-256 of the manifest's bytes. */
export type ManifestHash = string;

export interface ModelFile {
  readonly bytes: number;
  readonly sha256: string;
}

type WeightFormat = 'f32' | 'f16' | 'int4b32' | 'int4b128' | 'w8a8';

export interface Port {
  readonly name: string;
  readonly dtype: 'f32' | 'i64' | 'i32';
  /** Numbers, or symbols: B batch, S rows of this call, P past capacity. */
  readonly dims: readonly (number | string)[];
}

export interface ManifestShard {
  readonly id: string;
  readonly format: WeightFormat;
  /** Linear layers that are stored otherwise: by name, or by the last part of it. */
  readonly layers?: Readonly<Record<string, WeightFormat>> | undefined;
  /** Blocks [from, to). */
  readonly from: number;
  readonly to: number;
  readonly first: boolean;
  readonly last: boolean;
  /** Serving graph; `weights` are its external data files. */
  readonly graph: string;
  readonly weights: readonly string[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  /** The graph that answers challenges (deterministic profile); one prefill call. */
  readonly det: { readonly graph: string };
  /** Tolerance in sketch units, an integer >= 1 (protocol.md 5). */
  readonly tau: number;
  /** u32 bits of the positive float32 RMS of this shard's output, and of the gain of its synthetic hidden input (0 for the first shard). */
  readonly rmsBits: number;
  readonly gBits: number;
  /** Columns of the logits that the last shard's `det` graph gives out. */
  readonly probe: readonly number[];
  readonly auditable: boolean;
  readonly memory: { readonly weights: number; readonly kvPerToken: number };
}

export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFactor: number;
      readonly highFactor: number;
      readonly originalContext: number;
    }
  | {
      readonly kind: 'yarn';
      readonly factor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalContext: number;
      /** Cosines and sines are multiplied by it. */
      readonly amplitude: number;
    };

interface ManifestBase {
  readonly format: 'tessera-model/1';
  readonly name: string;
  readonly license: string;
  readonly shape: {
    readonly blocks: number;
    readonly width: number;
    readonly ffn: number;
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDim: number;
    readonly vocab: number;
    readonly maxContext: number;
    readonly eps: number;
  };
  readonly files: Readonly<Record<string, ModelFile>>;
  /** Name of a cut -> shard ids in order; a policy names one. */
  readonly cuts: Readonly<Record<string, readonly string[]>>;
  readonly shards: readonly ManifestShard[];
}

/** A decoder of the Llama family: text in, text out, with a cache per session. */
export interface LlamaManifest extends ManifestBase {
  readonly arch: 'llama';
  /** `scaling` is a record of how the tables were made, which are files of the model. */
  readonly rope: { readonly theta: number; readonly scaling?: RopeScaling | undefined };
  readonly tie: boolean;
  /** What differs from a plain Llama; absent: nothing. */
  readonly attention?:
    | {
        /** Queries, keys and values have a bias. */
        readonly qkvBias: boolean;
        /** Each head of queries and keys is normalised. */
        readonly qkNorm: boolean;
        /** Positions that a query sees, itself included; null: all. */
        readonly window: number | null;
      }
    | undefined;
  readonly tokenizer: {
    readonly file: string;
    /** The beginning mark of plain prompts; null: they have none. */
    readonly bos: number | null;
    readonly eos: readonly number[];
    /** Ids below this are special: challenges never draw them. */
    readonly specials: number;
  };
  readonly chatTemplate: string;
}

/** An encoder of the BERT family: texts in, one vector each out; stateless. */
export interface EncoderManifest extends ManifestBase {
  readonly arch: 'bert';
  readonly encoder: {
    readonly activation: 'gelu' | 'gelu_tanh' | 'quick_gelu' | 'relu' | 'silu';
    /** Kinds of segments that have an embedding; 0: none. */
    readonly types: number;
    /** Whether how far apart two positions are weighs on their attention. */
    readonly relative: boolean;
    /** How the rows of a text become one vector; several are put behind each other. */
    readonly pooling: readonly ('cls' | 'max' | 'mean' | 'mean_sqrt_len')[];
    /** What follows the pooling, in order. */
    readonly head: readonly (
      | {
          readonly kind: 'dense';
          readonly inputs: number;
          readonly outputs: number;
          readonly bias: boolean;
          readonly activation: 'identity' | 'tanh';
        }
      | { readonly kind: 'normalize' }
    )[];
    /** Whether texts are put in lower case before the tokenizer sees them. */
    readonly lowercase: boolean;
    /** Put before every text. */
    readonly prefix: string;
  };
  readonly tokenizer: {
    readonly file: string;
    /** Ids below this are special: challenges never draw them. */
    readonly specials: number;
  };
}

/** Any stateless ONNX graph, cut where a single tensor lives on. Of `shape` only `blocks` (its shards) and `maxContext` (rows of a run) mean something. */
export interface GraphManifest extends ManifestBase {
  readonly arch: 'graph';
}

export type Manifest = LlamaManifest | EncoderManifest | GraphManifest;
