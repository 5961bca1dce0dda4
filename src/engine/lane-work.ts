// What the lane can do, one thing at a time: shards, caches, chunks of one session or one row each of several (engine.md 1.3).
// Trusts its caller to have checked positions, sizes and files.

import { type CacheId, type CacheSpec, rowCount } from './backend.ts';
import { createKvCaches, type KvPool } from './kv-pool.ts';
import type { Binding, LaneData, LaneRequest, ShardFiles } from './lane-protocol.ts';
import { assertFinite, type Batch, createShardRunner, type ShardRunner } from './shard-runner.ts';
import type { Rows, StepResult } from './types.ts';

export type RunRequest = Extract<LaneRequest, { op: 'run' }>;

export interface LaneWork {
  load(files: ShardFiles): Promise<void>;
  open(cache: CacheId, spec: CacheSpec): void;
  free(cache: CacheId): void;
  /** Where a cache lies; throws E_GONE. */
  place(cache: CacheId): { readonly pool: KvPool; readonly slot: number };
  /** A chunk of one session, or one row each of sessions in neighbouring slots; results in their order. */
  run(requests: readonly RunRequest[]): Promise<readonly StepResult[]>;
  challenge(shard: number, rows: Rows): Promise<Float32Array>;
  release(): Promise<void>;
}

export function createLaneWork(data: LaneData, binding: Binding): LaneWork {
  const shards = new Map<number, ShardRunner>();
  const caches = createKvCaches(data.shape);
  const shardAt = (index: number): ShardRunner => {
    const shard = shards.get(index);
    if (shard === undefined) throw new RangeError(`shard ${index} is not loaded`);
    return shard;
  };
  const place = (cache: CacheId) => {
    const { pool } = caches.get(cache);
    return { pool, slot: pool.slotOf(cache) };
  };
  const runRange = async (spec: CacheSpec, batch: Batch, input: Rows): Promise<readonly StepResult[]> => {
    let rows = input;
    for (let index = spec.from; index < spec.to; index++) {
      const shard = shardAt(index);
      if (shard.files.last) return (await shard.top(batch, rows)).map((top) => ({ kind: 'top', top }));
      const hidden = await shard.hidden(batch, rows);
      if (spec.codec === 'f16') roundToHalf(hidden);
      assertFinite(hidden, index); // also what half precision cannot hold
      rows = { kind: 'hidden', data: hidden, count: rowCount(rows) };
    }
    return splitHidden(rows, batch.totals.length);
  };
  return {
    async load(files) {
      shards.set(files.index, await createShardRunner(files, data.shape, data.threads, binding));
    },
    open(cache, spec) {
      const blocks = { from: shardAt(spec.from).files.from, to: shardAt(spec.to - 1).files.to };
      caches.open(cache, spec, blocks);
    },
    free: (cache) => caches.free(cache),
    place,
    async run(requests) {
      const [first] = requests;
      if (first === undefined) return [];
      const totals = requests.map((request) => request.at + rowCount(request.rows));
      const batch = { ...place(first.cache), totals, rows: rowCount(first.rows) };
      return runRange(caches.get(first.cache).spec, batch, joinRows(requests.map(({ rows }) => rows)));
    },
    challenge: (shard, rows) => shardAt(shard).challenge(rows, rowCount(rows)),
    async release() {
      for (const shard of shards.values()) await shard.release();
    },
  };
}

/** f32 -> f16 -> f32 in place, to nearest even. */
function roundToHalf(data: Float32Array): void {
  data.set(new Float16Array(data));
}

/** Rows of several sequences under each other. */
function joinRows(list: readonly Rows[]): Rows {
  const [first] = list;
  if (first === undefined) throw new RangeError('no rows');
  if (list.length === 1) return first;
  if (first.kind === 'tokens')
    return {
      kind: 'tokens',
      ids: Int32Array.from(list.flatMap((rows) => (rows.kind === 'tokens' ? [...rows.ids] : []))),
    };
  const parts = list.flatMap((rows) => (rows.kind === 'hidden' ? [rows.data] : []));
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  for (const [i, part] of parts.entries()) data.set(part, i * part.length);
  return { kind: 'hidden', data, count: list.length };
}

function splitHidden(rows: Rows, sequences: number): StepResult[] {
  if (rows.kind !== 'hidden') throw new RangeError('a range ends with hidden rows or candidates');
  if (sequences === 1) return [rows];
  const each = rows.data.length / sequences;
  return Array.from({ length: sequences }, (_, i) => ({
    kind: 'hidden',
    data: rows.data.slice(i * each, (i + 1) * each),
    count: rows.count / sequences,
  }));
}
