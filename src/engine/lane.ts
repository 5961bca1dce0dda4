// The worker thread that owns ONNX Runtime: all shards, all caches, one native run at a time (engine.md 3.3). It trusts the main thread, which has
// checked every file, position and size.

import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../util/errors.ts';
import { type CacheId, type CacheSpec, rowCount } from './backend.ts';
import { chooseBinding, runtimeVersion } from './binding.ts';
import { createKvPool, type KvPool } from './kv-pool.ts';
import {
  type Binding,
  type LaneData,
  type LaneReply,
  type LaneRequest,
  type LaneValue,
  transferOf,
} from './lane-protocol.ts';
import { chooseJobs } from './schedule.ts';
import { assertFinite, type Batch, createShardRunner, type ShardRunner } from './shard-runner.ts';
import { EngineError, type EngineErrorFacts, type Rows, type StepResult } from './types.ts';

interface Cache {
  readonly spec: CacheSpec;
  readonly pool: KvPool;
}

type RunRequest = Extract<LaneRequest, { op: 'run' }>;
/** Requests that wait their turn; `cancel` never does. */
type Queued = Exclude<LaneRequest, { op: 'cancel' }>;

/** Sessions of one pool, and so of one batch; opening or releasing one copies the pool once. */
const MAX_SLOTS = 16;

function startLane(port: NonNullable<typeof parentPort>, data: LaneData, binding: Binding): void {
  const queue: Queued[] = [];
  const shards = new Map<number, ShardRunner>();
  const caches = new Map<CacheId, Cache>();
  const pools = new Map<string, KvPool[]>();
  let busy = false;
  let afterDecode = false;

  const reply = (message: LaneReply, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  const done = (id: number, value: LaneValue) => reply({ op: 'done', id, value }, transferOf(value));
  const failed = (id: number, error: unknown) =>
    reply({ op: 'failed', id, facts: factsOf(error), message: errorMessage(error) });

  const shardAt = (index: number): ShardRunner => {
    const shard = shards.get(index);
    if (shard === undefined) throw new RangeError(`shard ${index} is not loaded`);
    return shard;
  };
  const cacheOf = (id: CacheId): Cache => {
    const cache = caches.get(id);
    if (cache === undefined) throw new EngineError({ code: 'E_GONE' }, 'the cache is gone');
    return cache;
  };
  const openCache = (id: CacheId, spec: CacheSpec) => {
    const key = `${spec.from}-${spec.to}-${spec.capacity}-${spec.codec}`;
    const shape = { from: shardAt(spec.from).files.from, to: shardAt(spec.to - 1).files.to, capacity: spec.capacity };
    const alike = pools.get(key) ?? [];
    const pool = alike.find(({ size }) => size < MAX_SLOTS) ?? createKvPool({ ...data.shape, ...shape });
    pool.add(id);
    pools.set(key, [...new Set([...alike, pool])]);
    caches.set(id, { spec, pool });
  };
  const freeCache = (id: CacheId) => {
    caches.get(id)?.pool.remove(id);
    caches.delete(id);
  };

  /** Rows of one sequence, or one row of each of several, through the shards of the range. */
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
  const runSteps = async (requests: readonly RunRequest[]): Promise<void> => {
    const [first] = requests;
    if (first === undefined) return;
    try {
      const { spec, pool } = cacheOf(first.cache);
      const totals = requests.map((request) => request.at + rowCount(request.rows));
      const rows = rowCount(first.rows);
      const results = await runRange(spec, { pool, slot: pool.slotOf(first.cache), totals, rows }, joinRows(requests));
      for (const [i, request] of requests.entries()) done(request.id, results[i] ?? null);
    } catch (error) {
      // One bad row must not fail its neighbours: they run again alone, which writes the same cache entries again.
      if (requests.length === 1) failed(first.id, error);
      else for (const request of requests) await runSteps([request]);
    }
  };
  const perform = async (request: Exclude<Queued, RunRequest>): Promise<LaneValue> => {
    switch (request.op) {
      case 'load':
        shards.set(request.files.index, await createShardRunner(request.files, data.shape, data.threads, binding));
        return null;
      case 'open':
        openCache(request.cache, request.spec);
        return null;
      case 'free':
        freeCache(request.cache);
        return null;
      case 'challenge':
        return shardAt(request.shard).challenge(request.rows, rowCount(request.rows));
      case 'close':
        for (const shard of shards.values()) await shard.release();
        return null;
    }
  };
  const take = (ids: readonly number[]): Queued[] =>
    ids.flatMap((id) =>
      queue.splice(
        queue.findIndex((request) => request.id === id),
        1,
      ),
    );
  const waiting = (request: Queued) => {
    const cache = request.op === 'run' && rowCount(request.rows) === 1 ? caches.get(request.cache) : undefined;
    if (request.op !== 'run' || cache === undefined) return { id: request.id };
    return { id: request.id, place: { pool: cache.pool, slot: cache.pool.slotOf(request.cache) } };
  };
  const work = async (): Promise<void> => {
    while (queue.length > 0) {
      const chosen = take(chooseJobs(queue.map(waiting), afterDecode));
      const steps = chosen.flatMap((request) => (request.op === 'run' ? [request] : []));
      afterDecode = steps.length > 0 && steps.every((request) => rowCount(request.rows) === 1);
      if (steps.length > 0) await runSteps(steps);
      else for (const request of chosen) await performAndReply(request as Exclude<Queued, RunRequest>);
      await new Promise((resolve) => setImmediate(resolve)); // lets the port deliver what came during the run
    }
  };
  const performAndReply = async (request: Exclude<Queued, RunRequest>): Promise<void> => {
    try {
      done(request.id, await perform(request));
      if (request.op === 'close') port.close();
    } catch (error) {
      failed(request.id, error);
    }
  };
  const cancel = (target: number) => {
    const place = queue.findIndex((request) => request.id === target);
    if (place < 0) return;
    queue.splice(place, 1);
    failed(target, new EngineError({ code: 'E_ABORTED', length: 0 }, 'aborted'));
  };

  port.on('message', (request: LaneRequest) => {
    if (request.op === 'cancel') {
      cancel(request.target);
      return;
    }
    queue.push(request);
    if (busy) return;
    busy = true;
    void work().finally(() => {
      busy = false;
    });
  });
  reply({ op: 'ready', binding, version: runtimeVersion });
}

/** f32 -> f16 -> f32 in place, to nearest even. */
function roundToHalf(data: Float32Array): void {
  data.set(new Float16Array(data));
}

function joinRows(requests: readonly RunRequest[]): Rows {
  const [first] = requests;
  if (first === undefined) throw new RangeError('no rows');
  if (requests.length === 1) return first.rows;
  if (first.rows.kind === 'tokens')
    return {
      kind: 'tokens',
      ids: Int32Array.from(requests, ({ rows }) => (rows.kind === 'tokens' ? (rows.ids[0] ?? 0) : 0)),
    };
  const width = first.rows.data.length;
  const data = new Float32Array(requests.length * width);
  for (const [i, { rows }] of requests.entries()) if (rows.kind === 'hidden') data.set(rows.data, i * width);
  return { kind: 'hidden', data, count: requests.length };
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

function factsOf(error: unknown): EngineErrorFacts {
  return error instanceof EngineError ? error.facts : { code: 'E_LANE', reason: errorMessage(error) };
}

if (parentPort !== null) startLane(parentPort, workerData as LaneData, await chooseBinding());
