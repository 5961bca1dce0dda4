// What the main thread and the lane say to each other. Plain objects; every ArrayBuffer is moved, never copied (engine.md 1.1, 3.3).

import type { DeviceProfile } from '../graph/linear.ts';
import type { LlamaShape } from '../graph/weights.ts';
import type { Port } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import type { CacheId, CacheSpec, Computation } from './backend.ts';
import type { EngineErrorFacts, Rows, StepResult } from './types.ts';

/** What the lane is started with; everything in it has been checked. */
export interface LaneData {
  readonly shape: LlamaShape;
  readonly threads: number;
  readonly device: DeviceWish;
  /** How a device computes. */
  readonly profile: DeviceProfile;
}

/** `auto`: a GPU if one can be used. `host`: what runs on a GPU, on the CPU, to be compared with it. */
export type DeviceWish = 'auto' | 'cpu' | 'cuda' | 'host';

/** Where a lane computes. */
export interface LanePlace {
  readonly provider: 'cpu' | 'cuda';
  /** In plain words: why there, or why not on a GPU. */
  readonly why: string;
  /** Of the CPU's runs. */
  readonly binding: Binding;
  /** Of a device, what nobody uses. */
  readonly memoryBytes?: number;
}

/** The weights of a kept graph, beside it. */
export const PREPACKED_WEIGHTS = 'weights.bin';

/** What a stateless shard takes and gives. */
export interface StatelessPorts {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

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
  /** The serving graph for a device, and where its weights lie. */
  readonly onDevice?: { readonly graph: Uint8Array; readonly folder: string };
  /** Path at which to keep the repacked serving graph. */
  readonly keep?: string;
  /** Values per row of the deterministic output. */
  readonly columns: number;
  /** Of a stateless model alone. */
  readonly ports?: StatelessPorts;
}

export type LaneRequest =
  | { readonly op: 'load'; readonly id: number; readonly files: ShardFiles }
  | { readonly op: 'unload'; readonly id: number; readonly shard: number }
  | { readonly op: 'open'; readonly id: number; readonly cache: CacheId; readonly spec: CacheSpec }
  | { readonly op: 'run'; readonly id: number; readonly cache: CacheId; readonly at: number; readonly rows: Rows }
  | ({ readonly op: 'compute'; readonly id: number } & Computation)
  | { readonly op: 'free'; readonly id: number; readonly cache: CacheId }
  | { readonly op: 'challenge'; readonly id: number; readonly shard: number; readonly rows: Rows }
  | { readonly op: 'cancel'; readonly id: number; readonly target: number }
  | { readonly op: 'close'; readonly id: number };

/** How pre-allocated outputs are kept from being copied (engine.md 1.2). */
export type Binding = 'quiet' | 'plain';

export type LaneReply =
  | ({ readonly op: 'ready'; readonly version: string } & LanePlace)
  | { readonly op: 'unusable'; readonly facts: EngineErrorFacts; readonly message: string }
  | { readonly op: 'done'; readonly id: number; readonly value: LaneValue }
  | { readonly op: 'failed'; readonly id: number; readonly facts: EngineErrorFacts; readonly message: string };

export type LaneValue = StepResult | Float32Array | readonly NamedTensor[] | null;

/** The buffers of a value that may be moved: whole ones only, since a view would take the rest with it. */
export function transferOf(value: Rows | LaneValue): ArrayBuffer[] {
  if (value === null) return [];
  if (value instanceof Float32Array) return whole(value);
  if (isTensors(value)) return value.flatMap(({ data }) => whole(data));
  if (value.kind === 'tokens') return whole(value.ids);
  return value.kind === 'hidden' ? whole(value.data) : [];
}

export function isTensors(value: Rows | LaneValue): value is readonly NamedTensor[] {
  return Array.isArray(value);
}

function whole(array: NamedTensor['data']): ArrayBuffer[] {
  const { buffer } = array;
  return buffer instanceof ArrayBuffer && array.byteLength === buffer.byteLength ? [buffer] : [];
}
