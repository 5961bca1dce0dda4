// What the lane can do, one thing at a time: shards, caches, chunks of one session or one row each of several (engine.md 1.3).
// Trusts its caller to have checked positions, sizes and files.

import type { NamedTensor } from '../types/tensor.ts';
import { type CacheId, type CacheSpec, type Computation, rowCount } from './backend.ts';
import type { KvMemory } from './kv-memory.ts';
import { createKvCaches, type KvPool, type KvSlots } from './kv-pool.ts';
import type { LaneData, LanePlace, LaneRequest, ShardFiles } from './lane-protocol.ts';
import type { Place } from './schedule.ts';
import { assertFinite, type Batch, type ShardRunner } from './shard-runner.ts';
import { createStatelessRunner, type StatelessRunner } from './stateless-runner.ts';
import type { Rows, StepResult } from './types.ts';

export type RunRequest = Extract<LaneRequest, { op: 'run' }>;

/** What the work takes of the place it is done in. `Part`: a stretch of its memory. */
export interface Device<Part> {
  openShard(files: ShardFiles): Promise<ShardRunner<Part>>;
  createMemory(): KvMemory<Part>;
}

export interface LaneWork {
  load(files: ShardFiles): Promise<void>;
  unload(shard: number): Promise<void>;
  open(cache: CacheId, spec: CacheSpec): void;
  free(cache: CacheId): void;
  /** Where a cache lies; throws E_GONE. */
  place(cache: CacheId): Place<KvSlots>;
  /** Whom a cache was opened for; throws E_GONE. */
  owner(cache: CacheId): string;
  /** Whether a slot may lie in a batch without work: it has room for a row that nobody reads. */
  mayIdle(place: Place<KvSlots>): boolean;
  /** A chunk of one session, or one row each of sessions by ascending slot of one pool; results in their order. */
  run(requests: readonly RunRequest[]): Promise<readonly StepResult[]>;
  /** Consecutive shards of a stateless model. */
  compute(computation: Computation): Promise<readonly NamedTensor[]>;
  challenge(shard: number, rows: Rows): Promise<Float32Array>;
  release(): Promise<void>;
}

/** The work of a lane, and where it is done. */
export interface Chosen {
  readonly work: LaneWork;
  readonly place: LanePlace;
}

export function createLaneWork<Part>(data: LaneData, device: Device<Part>): LaneWork {
  const shards = new Map<number, ShardRunner<Part>>();
  const stateless = new Map<number, StatelessRunner>();
  const caches = createKvCaches(data.shape, () => device.createMemory());
  const shardAt = (index: number): ShardRunner<Part> => {
    const shard = shards.get(index);
    if (shard === undefined) throw new RangeError(`shard ${index} is not loaded`);
    return shard;
  };
  const place = (cache: CacheId): Place<KvPool<Part>> => {
    const { pool } = caches.get(cache);
    return { pool, slot: pool.slotOf(cache) };
  };
  /** `wanted`: the places in the batch that somebody waits for. */
  const runRange = async (
    spec: CacheSpec,
    batch: Batch<Part>,
    input: Rows,
    wanted: readonly number[],
  ): Promise<readonly StepResult[]> => {
    let rows = input;
    for (let index = spec.from; index < spec.to; index++) {
      const shard = shardAt(index);
      if (shard.files.last) return (await shard.top(batch, rows, wanted)).map((top) => ({ kind: 'top', top }));
      const data = await shard.hidden(batch, rows);
      if (spec.codec === 'f16') roundToHalf(data);
      rows = { kind: 'hidden', data, count: rowCount(rows) };
      // Also what half precision cannot hold.
      for (const part of splitHidden(rows, batch.totals.length, wanted)) assertFinite(part.data, index);
    }
    return splitHidden(rows, batch.totals.length, wanted);
  };
  return {
    async load(files) {
      const { index, ports } = files;
      if (ports === undefined) shards.set(index, await device.openShard(files));
      else stateless.set(index, await createStatelessRunner(files, ports, data.threads));
    },
    async unload(index) {
      const runner = shards.get(index) ?? stateless.get(index);
      shards.delete(index);
      stateless.delete(index);
      await runner?.release();
    },
    open(cache, spec) {
      const blocks = { from: shardAt(spec.from).files.from, to: shardAt(spec.to - 1).files.to };
      caches.open(cache, spec, blocks);
    },
    free: (cache) => caches.free(cache),
    place,
    owner: (cache) => caches.get(cache).spec.owner,
    mayIdle: ({ pool, slot }) => slot >= 0 && slot < pool.size && pool.written(slot) < pool.capacity,
    async run(requests) {
      const [first] = requests;
      if (first === undefined) return [];
      const { pool, slot } = place(first.cache);
      const slots = requests.map(({ cache }) => pool.slotOf(cache) - slot);
      const count = (slots.at(-1) ?? 0) + 1;
      const totals = Array.from({ length: count }, (_, i) => pool.written(slot + i) + 1);
      const rows: Rows[] = Array.from({ length: count }, () => idleRow(first.rows, data.shape.width));
      for (const [i, request] of requests.entries()) {
        const place = slots[i] ?? 0;
        totals[place] = request.at + rowCount(request.rows);
        rows[place] = request.rows;
      }
      const batch = { pool, slot, totals, rows: rowCount(first.rows) };
      const results = await runRange(caches.get(first.cache).spec, batch, joinRows(rows), slots);
      for (const place of slots) pool.setWritten(slot + place, totals[place] ?? 0);
      return results;
    },
    async compute({ from, to, tensors }) {
      const known = new Map(tensors.map((tensor) => [tensor.name, tensor]));
      let outputs: readonly NamedTensor[] = [];
      for (let index = from as number; index < to; index++) {
        const runner = stateless.get(index);
        if (runner === undefined) throw new RangeError(`shard ${index} is not loaded`);
        outputs = await runner.run(known);
        for (const tensor of outputs) known.set(tensor.name, tensor);
      }
      return outputs;
    },
    challenge: (shard, rows) => (stateless.get(shard) ?? shardAt(shard)).challenge(rows, rowCount(rows)),
    async release() {
      caches.clear();
      for (const shard of [...shards.values(), ...stateless.values()]) await shard.release();
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

/** A row for a slot without work: it is written behind the end of its cache, where the next real row will stand, and read by nobody. */
function idleRow(like: Rows, width: number): Rows {
  return like.kind === 'tokens'
    ? { kind: 'tokens', ids: Int32Array.of(0) }
    : { kind: 'hidden', data: new Float32Array(width), count: 1 };
}

/** Hidden rows of the `wanted` ones of `sequences`. */
function splitHidden(rows: Rows, sequences: number, wanted: readonly number[]) {
  if (rows.kind !== 'hidden') throw new RangeError('a range ends with hidden rows or candidates');
  if (sequences === 1) return [rows];
  const each = rows.data.length / sequences;
  return wanted.map((i) => ({
    kind: 'hidden' as const,
    data: rows.data.slice(i * each, (i + 1) * each),
    count: rows.count / sequences,
  }));
}
