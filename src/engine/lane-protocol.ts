// What the main thread and the lane say to each other. Plain objects; every ArrayBuffer is moved, never copied (engine.md 1.1, 3.3).

import type { LlamaShape } from '../graph/weights.ts';
import type { CacheId, CacheSpec } from './backend.ts';
import type { EngineErrorFacts, Rows, StepResult } from './types.ts';

/** What the lane is started with; everything in it has been checked. */
export interface LaneData {
  readonly shape: LlamaShape;
  readonly threads: number;
}

/** The weights of a kept graph, beside it. */
export const PREPACKED_WEIGHTS = 'weights.bin';

/** A checked shard: absolute paths of graphs whose weights lie beside them. */
export interface ShardFiles {
  readonly index: number;
  /** Blocks [from, to). */
  readonly from: number;
  readonly to: number;
  readonly first: boolean;
  readonly last: boolean;
  readonly serve: string;
  readonly det: string;
  /** Path at which to keep the repacked serving graph. */
  readonly keep?: string;
  /** Values per row of the deterministic output. */
  readonly columns: number;
}

export type LaneRequest =
  | { readonly op: 'load'; readonly id: number; readonly files: ShardFiles }
  | { readonly op: 'open'; readonly id: number; readonly cache: CacheId; readonly spec: CacheSpec }
  | { readonly op: 'run'; readonly id: number; readonly cache: CacheId; readonly at: number; readonly rows: Rows }
  | { readonly op: 'free'; readonly id: number; readonly cache: CacheId }
  | { readonly op: 'challenge'; readonly id: number; readonly shard: number; readonly rows: Rows }
  | { readonly op: 'cancel'; readonly id: number; readonly target: number }
  | { readonly op: 'close'; readonly id: number };

/** How pre-allocated outputs are kept from being copied (engine.md 1.2). */
export type Binding = 'quiet' | 'plain';

export type LaneReply =
  | { readonly op: 'ready'; readonly binding: Binding; readonly version: string }
  | { readonly op: 'done'; readonly id: number; readonly value: LaneValue }
  | { readonly op: 'failed'; readonly id: number; readonly facts: EngineErrorFacts; readonly message: string };

export type LaneValue = StepResult | Float32Array | null;

/** The buffers of a value that may be moved: whole ones only, since a view would take the rest with it. */
export function transferOf(value: Rows | LaneValue): ArrayBuffer[] {
  if (value === null) return [];
  if (value instanceof Float32Array) return whole(value);
  if (value.kind === 'tokens') return whole(value.ids);
  return value.kind === 'hidden' ? whole(value.data) : [];
}

function whole(array: Float32Array | Int32Array): ArrayBuffer[] {
  const { buffer } = array;
  return buffer instanceof ArrayBuffer && array.byteLength === buffer.byteLength ? [buffer] : [];
}
