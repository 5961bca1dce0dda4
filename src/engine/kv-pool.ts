// KV caches of sessions that may share a batch: per block keys and values as (slots, kvHeads, capacity, headDim), a slot per session,
// slots always 0..n-1 (engine.md 3.5). The length of a session is the caller's; what lies beyond it is never read.

import type { LlamaShape } from '../graph/weights.ts';
import type { CacheId, CacheSpec } from './backend.ts';
import type { KvMemory } from './kv-memory.ts';
import { EngineError } from './types.ts';

/** Who lies where, whatever the values lie in. */
export interface KvSlots {
  readonly capacity: number;
  /** Adds a zeroed slot at the end. Throws what the memory throws; the others then stay as they are. */
  add(cache: CacheId): void;
  /** Moves the last slot into the hole. */
  remove(cache: CacheId): void;
  slotOf(cache: CacheId): number;
  readonly size: number;
  /** Positions of a slot that were written last: at least as many as its session still counts. */
  written(slot: number): number;
  setWritten(slot: number, positions: number): void;
}

export interface KvPool<Part> extends KvSlots {
  /** Memory of slots [slot, slot + count) of one block; valid until the next add or remove. */
  view(block: number, slot: number, count: number): { readonly keys: Part; readonly values: Part };
  /** Gives all memory back; the pool is empty. */
  clear(): void;
}

export interface PoolShape {
  /** Blocks [from, to). */
  readonly from: number;
  readonly to: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly capacity: number;
}

export function createKvPool<Part>(shape: PoolShape, memory: KvMemory<Part>): KvPool<Part> {
  const slotValues = shape.kvHeads * shape.capacity * shape.headDim;
  const caches: CacheId[] = [];
  const lengths: number[] = [];
  /** Keys and values of each block in turn. */
  const sides = Array.from({ length: 2 * (shape.to - shape.from) }, (_, side) => side);

  const slotOf = (cache: CacheId): number => {
    const slot = caches.indexOf(cache);
    if (slot < 0) throw new RangeError(`cache ${cache} is not in this pool`);
    return slot;
  };
  /** One side at a time: memory that must copy to grow needs no more than one side of one block beside the whole. */
  const resize = () => {
    for (const side of sides) memory.resize(side, caches.length * slotValues);
  };
  const sideView = (side: number, slot: number, count: number) =>
    memory.part(side, slot * slotValues, count * slotValues);

  return {
    capacity: shape.capacity,
    add(cache) {
      caches.push(cache);
      lengths.push(0);
      try {
        resize();
      } catch (error) {
        caches.pop();
        lengths.pop();
        throw error;
      }
    },
    remove(cache) {
      const slot = slotOf(cache);
      const last = caches.length - 1;
      if (slot !== last) for (const side of sides) memory.move(side, slot * slotValues, last * slotValues, slotValues);
      caches[slot] = caches[last] ?? cache;
      lengths[slot] = lengths[last] ?? 0;
      caches.pop();
      lengths.pop();
      resize();
    },
    slotOf,
    get size() {
      return caches.length;
    },
    written: (slot) => lengths[slot] ?? 0,
    setWritten(slot, positions) {
      lengths[slot] = positions;
    },
    view(block, slot, count) {
      const side = 2 * (block - shape.from);
      return { keys: sideView(side, slot, count), values: sideView(side + 1, slot, count) };
    },
    clear() {
      caches.length = 0;
      lengths.length = 0;
      resize();
    },
  };
}

/** An open cache: what it was opened for, and the pool that holds it. */
export interface KvCache<Part> {
  readonly spec: CacheSpec;
  readonly pool: KvPool<Part>;
}

export interface KvCaches<Part> {
  /** @param blocks [from, to) of the shards of `spec` */
  open(cache: CacheId, spec: CacheSpec, blocks: { readonly from: number; readonly to: number }): void;
  free(cache: CacheId): void;
  /** Throws E_GONE. */
  get(cache: CacheId): KvCache<Part>;
  /** All are gone. */
  clear(): void;
}

/** Sessions of one pool, and so of one batch. */
const MAX_SLOTS = 16;

/** Caches by number; those of one range, capacity and codec share pools. */
export function createKvCaches<Part>(shape: LlamaShape, createMemory: () => KvMemory<Part>): KvCaches<Part> {
  const caches = new Map<CacheId, KvCache<Part>>();
  const pools = new Map<string, KvPool<Part>[]>();
  return {
    open(cache, spec, blocks) {
      const key = `${spec.from}-${spec.to}-${spec.capacity}-${spec.codec}`;
      const alike = pools.get(key) ?? [];
      const pool =
        alike.find(({ size }) => size < MAX_SLOTS) ??
        createKvPool({ ...shape, ...blocks, capacity: spec.capacity }, createMemory());
      pool.add(cache);
      pools.set(key, [...new Set([...alike, pool])]);
      caches.set(cache, { spec, pool });
    },
    free(cache) {
      caches.get(cache)?.pool.remove(cache);
      caches.delete(cache);
    },
    get(cache) {
      const found = caches.get(cache);
      if (found === undefined) throw new EngineError({ code: 'E_GONE' }, 'the cache is gone');
      return found;
    },
    clear() {
      caches.clear();
      for (const pool of [...pools.values()].flat()) pool.clear();
    },
  };
}
