// What this program asks of an engine: run consecutive shards of a model on rows of one sequence, with the KV state of that sequence kept inside.
// Implementations: onnx.ts (ONNX Runtime in a worker thread) and reference.ts (the slow truth); test/compliance/engine.ts compares them (engine.md 3).

import type { ShardIndex } from '../types/ids.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { CodedError } from '../util/errors.ts';

/** What enters a shard: token ids for the first one, else `count` rows of `width` float32 values, row-major. Ownership of the buffer moves to the engine. */
export type Rows =
  | { readonly kind: 'tokens'; readonly ids: Int32Array }
  | { readonly kind: 'hidden'; readonly data: Float32Array; readonly count: number };

/** The candidates of the last position, by descending logit, ties by ascending id. */
export interface TopLogits {
  readonly ids: Int32Array;
  readonly values: Float32Array;
  readonly logSumExp: number;
}

export type StepResult =
  | { readonly kind: 'hidden'; readonly data: Float32Array; readonly count: number }
  | { readonly kind: 'top'; readonly top: TopLogits };

export type EngineErrorFacts =
  | { readonly code: 'E_MEMORY'; readonly need: number; readonly free: number; readonly budget: number }
  | { readonly code: 'E_BUSY'; readonly retryAfterMs: number }
  | { readonly code: 'E_POSITION'; readonly length: number; readonly at: number }
  | { readonly code: 'E_SHAPE'; readonly expected: string; readonly found: string }
  | { readonly code: 'E_TOKEN'; readonly id: number; readonly vocab: number }
  | { readonly code: 'E_RANGE'; readonly from: number; readonly to: number }
  | { readonly code: 'E_FULL'; readonly maxTokens: number }
  | { readonly code: 'E_ABORTED'; readonly length: number }
  | { readonly code: 'E_GONE' }
  | { readonly code: 'E_LANE'; readonly reason: string }
  | { readonly code: 'E_RUN'; readonly reason: string }
  | { readonly code: 'E_NONFINITE'; readonly shard: number }
  | { readonly code: 'E_HASH'; readonly file: string }
  | { readonly code: 'E_UNSAFE'; readonly file: string; readonly rule: string };

export class EngineError extends CodedError<EngineErrorFacts> {}

/**
 * How hidden states are rounded at every border of the cut, also at those inside one engine: the tokens then do not depend on which node
 * serves which run of shards, so a route may change in mid generation (docs/decisions/0003).
 */
export type BorderCodec = 'f16' | 'f32';

export interface KvSession {
  /** Positions in the cache. */
  readonly length: number;
  readonly maxTokens: number;
  /** Shards [from, to) of the cut. */
  readonly from: ShardIndex;
  readonly to: ShardIndex;
  /**
   * Appends rows at `at`, which must equal `length` (else E_POSITION carries the true length), and runs them through [from, to).
   * Answers all rows of hidden state, or the top logits of the last row when the range ends the model.
   * An abort takes effect between native runs: the session is truncated to the last finished chunk.
   */
  step(at: number, rows: Rows, signal?: AbortSignal): Promise<StepResult>;
  /** Rolls back to `length` positions; never forward. */
  truncate(length: number): void;
  release(): Promise<void>;
}

export interface EngineInfo {
  readonly provider: 'cpu' | 'cuda' | 'reference';
  /** Why not a better one: plain words for a person. */
  readonly why: string;
  readonly threads: number;
  readonly version: string;
}

export interface EngineStats {
  readonly shards: readonly ShardIndex[];
  readonly sessions: number;
  readonly kvBytes: number;
  readonly kvBudgetBytes: number;
  readonly steps: number;
  readonly rows: number;
  /** Native runs that are waiting. */
  readonly queued: number;
}

export interface Engine {
  readonly info: EngineInfo;
  /** Loads shards of the cut this engine was made for; a shard that is loaded stays. */
  load(shards: readonly ShardIndex[], signal?: AbortSignal): Promise<void>;
  loaded(): readonly ShardIndex[];
  /** Gives the memory of shards back. Rejects with E_BUSY while a session or a run has one of them: then all stay. */
  unload(shards: readonly ShardIndex[]): Promise<void>;
  /** Reserves the KV memory of `maxTokens` positions or refuses with E_MEMORY before anything is allocated. */
  openSession(
    range: { readonly from: ShardIndex; readonly to: ShardIndex },
    options: { readonly maxTokens: number; readonly owner: string; readonly codec: BorderCodec },
  ): Promise<KvSession>;
  /**
   * Runs consecutive shards [from, to) of a stateless model on the tensors that the first of them takes by its ports, and answers what the last gives.
   * Takes the buffers over. Rejects with E_SHAPE, E_TOKEN, E_FULL, E_MEMORY, E_NONFINITE; with E_ABORTED when the signal comes before the run begins.
   */
  run(
    range: { readonly from: ShardIndex; readonly to: ShardIndex },
    tensors: readonly NamedTensor[],
    options: { readonly owner: string },
    signal?: AbortSignal,
  ): Promise<readonly NamedTensor[]>;
  /** One prefill of one shard in the deterministic profile (protocol.md 5): all rows x columns, row-major float32. */
  challenge(shard: ShardIndex, rows: Rows, signal?: AbortSignal): Promise<Float32Array>;
  stats(): EngineStats;
  close(): Promise<void>;
}
