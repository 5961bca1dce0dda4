// What an engine asks of the thing that calculates: chunks of one sequence on caches that it opened. Implementations: the ONNX lane, the reference.
// Callers have checked positions, shapes, tokens and memory (engine.ts).

import type { WeightFormat } from '../graph/formats.ts';
import type { LlamaShape } from '../graph/weights.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { ManifestShard } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import type { BorderCodec, EngineInfo, Rows, StepResult } from './types.ts';

/** A cache of the backend; numbers are never reused. */
export type CacheId = number;

export interface CacheSpec {
  readonly from: ShardIndex;
  readonly to: ShardIndex;
  /** Positions that fit. */
  readonly capacity: number;
  readonly codec: BorderCodec;
  /** Whoever it is for: prompts of different owners take turns. */
  readonly owner: string;
}

/** A run of a stateless model. */
export interface Computation {
  readonly from: ShardIndex;
  readonly to: ShardIndex;
  readonly tensors: readonly NamedTensor[];
  readonly owner: string;
}

export interface Backend {
  readonly info: EngineInfo;
  /** What nobody uses of the memory that it computes in; the system's unless given. */
  readonly memoryBytes?: number | undefined;
  /** What a shard takes there. */
  memoryOf(shard: ManifestShard): ManifestShard['memory'];
  load(shard: ShardIndex): Promise<void>;
  /** Nobody uses it, and nothing of it is under way. */
  unload(shard: ShardIndex): Promise<void>;
  open(spec: CacheSpec): Promise<CacheId>;
  /**
   * Writes rows at position `at` of the cache and answers what the range ends with. At most chunkRows() rows; takes ownership of their buffer.
   * Rejects with E_ABORTED when the signal comes before the run has begun; a run that has begun ends.
   */
  run(cache: CacheId, at: number, rows: Rows, signal?: AbortSignal): Promise<StepResult>;
  free(cache: CacheId): Promise<void>;
  /** Consecutive shards without state. Rejects with E_ABORTED as `run` does. */
  compute(computation: Computation, signal?: AbortSignal): Promise<readonly NamedTensor[]>;
  /** (rows, columns) f32 of the shard's deterministic graph. */
  challenge(shard: ShardIndex, rows: Rows, signal?: AbortSignal): Promise<Float32Array>;
  /** Runs that wait. */
  queued(): number;
  close(): Promise<void>;
}

/** Sizes of chunks; below the smallest a prompt is read hardly faster than token by token. */
const CHUNKS = [128, 64, 32];
/**
 * Weights that a chunk may pass, about: half a second on two slow cores (1.1 thousand million weights read 160 tokens a second there in 4 bits, and 1.7
 * times as many in w8a8, where 128 rows at once take 5 to 12 % less per row than 64: processor time, one thread).
 */
const CHUNK_WORK = 8e10;
const CHUNK_WORK_W8A8 = 1.6e11;

/**
 * Rows per native run, the unit of abort and fairness: fewer for larger models, so that nobody waits long behind a prompt. A function of the model
 * alone: all engines cut alike, since the cut of a prompt may change the last bits (engine.md 1.3).
 */
export function chunkRows(
  { blocks, width, ffn, heads, kvHeads, headDim }: LlamaShape,
  format: WeightFormat | undefined,
): number {
  const weights = blocks * width * (3 * ffn + 2 * (heads + kvHeads) * headDim);
  const most = format === 'w8a8' ? CHUNK_WORK_W8A8 : CHUNK_WORK;
  return CHUNKS.find((rows) => rows * weights <= most) ?? CHUNKS.at(-1) ?? 1;
}

/** Capacities of caches: few sizes, so that sessions share pools (engine.md 3.5). */
const CAPACITIES = [256, 1024, 4096, 16_384];

/** The smallest class that holds `maxTokens`. */
export function capacityFor(maxTokens: number, maxContext: number): number {
  return Math.min(maxContext, CAPACITIES.find((capacity) => capacity >= maxTokens) ?? maxContext);
}

export function rowCount(rows: Rows): number {
  return rows.kind === 'tokens' ? rows.ids.length : rows.count;
}
