// One shard in the lane: its ONNX Runtime sessions and how rows go through them. Inputs have been checked on the main side.

import ort from 'onnxruntime-node';
import { kvPorts, PORT, TOP_K } from '../graph/llama.ts';
import type { LlamaShape } from '../graph/weights.ts';
import { f32, lengthFeeds, loadSession, runInPlace, type Tensors } from './binding.ts';
import { createArrayMemory } from './kv-memory.ts';
import { createKvPool, type KvPool } from './kv-pool.ts';
import type { Binding, ShardFiles } from './lane-protocol.ts';
import { EngineError, type Rows, type TopLogits } from './types.ts';

/** Where a batch lies: `totals` are the lengths after this run, one per slot from `slot` on. */
export interface Batch<Part> {
  readonly pool: KvPool<Part>;
  readonly slot: number;
  readonly totals: readonly number[];
  /** Rows per sequence; more than one only for a batch of one (engine.md 1.3). */
  readonly rows: number;
}

export interface ShardRunner<Part> extends Challenger {
  readonly files: ShardFiles;
  /** batch * rows ids or hidden rows in; (batch, rows, width) out, whatever the numbers are. */
  hidden(batch: Batch<Part>, input: Rows): Promise<Float32Array>;
  /** The last shard: candidates of the last row of each sequence that is `wanted`. */
  top(batch: Batch<Part>, input: Rows, wanted: readonly number[]): Promise<readonly TopLogits[]>;
}

/** Answers challenges, always on the CPU: its arithmetic is what all nodes agree on (engine.md 1.3). */
export interface Challenger {
  /** The deterministic graph on fresh caches: (rows, columns). */
  challenge(input: Rows, rows: number): Promise<Float32Array>;
  release(): Promise<void>;
}

/** What a shard on the CPU needs beside its files. */
export interface CpuOptions {
  readonly shape: LlamaShape;
  readonly threads: number;
  readonly binding: Binding;
}

export async function createShardRunner(files: ShardFiles, options: CpuOptions): Promise<ShardRunner<Float32Array>> {
  const { shape, threads, binding } = options;
  const serve = await loadSession(files.serve, threads, 'fast', files.keep);
  const challenger = createChallenger(files, options, serve);
  const candidates = Math.min(TOP_K, shape.vocab);
  const run = (batch: Batch<Float32Array>, input: Rows, outputs: Tensors) =>
    runBlocks(serve, binding, feedsOf(files, shape, batch, input), outputs);
  return {
    files,
    async hidden(batch, input) {
      const dims = [batch.totals.length, batch.rows, shape.width];
      const data = new Float32Array(batch.totals.length * batch.rows * shape.width);
      await run(batch, input, { [PORT.hiddenOut]: f32(data, dims) });
      return data;
    },
    async top(batch, input, wanted) {
      const count = batch.totals.length;
      const best = emptyTops(count, candidates);
      await run(batch, input, {
        [PORT.topIds]: new ort.Tensor('int32', best.ids, [count, candidates]),
        [PORT.topValues]: f32(best.values, [count, candidates]),
        [PORT.logSumExp]: f32(best.sums, [count]),
      });
      return splitTops(best, candidates, wanted, files.index);
    },
    challenge: challenger.challenge,
    async release() {
      await challenger.release();
      await serve.release();
    },
  };
}

/** `serve`: the session of the serving graph, if it is there, which some shards answer challenges with too. */
export function createChallenger(
  files: ShardFiles,
  { shape, threads, binding }: CpuOptions,
  serve?: ort.InferenceSession,
): Challenger {
  /** Loaded for the first challenge: whoever only serves does without its memory. */
  let own: Promise<ort.InferenceSession> | undefined;
  const open = (): Promise<ort.InferenceSession> => {
    if (serve !== undefined && files.det === files.serve) return Promise.resolve(serve);
    own ??= loadSession(files.det, threads, 'lean');
    return own;
  };
  return {
    async challenge(input, rows) {
      const pool = createKvPool({ ...shape, from: files.from, to: files.to, capacity: rows }, createArrayMemory());
      pool.add(0);
      const data = new Float32Array(rows * files.columns);
      const output = files.last ? PORT.probe : PORT.hiddenOut;
      const feeds = feedsOf(files, shape, { pool, slot: 0, totals: [rows], rows }, input);
      await runBlocks(await open(), binding, feeds, { [output]: f32(data, [1, rows, files.columns]) });
      assertFinite(data, files.index);
      return data;
    },
    async release() {
      const session = await own?.catch(() => undefined);
      await session?.release();
    },
  };
}

/** What goes into a run: `caches` by the ports that they come out of, too. */
interface Feeds {
  readonly inputs: Tensors;
  readonly caches: Tensors;
}

function feedsOf(files: ShardFiles, shape: LlamaShape, batch: Batch<Float32Array>, input: Rows): Feeds {
  const count = batch.totals.length;
  const dims = [count, shape.kvHeads, batch.pool.capacity, shape.headDim];
  const inputs: Tensors = { ...inputFeed(input, count, batch.rows, shape.width), ...lengthFeeds(batch.totals) };
  const caches: Tensors = {};
  for (let block = files.from; block < files.to; block++) {
    const { keys, values } = batch.pool.view(block, batch.slot, count);
    const ports = kvPorts(block);
    inputs[ports.pastKey] = caches[ports.presentKey] = f32(keys, dims);
    inputs[ports.pastValue] = caches[ports.presentValue] = f32(values, dims);
  }
  return { inputs, caches };
}

function runBlocks(
  session: ort.InferenceSession,
  binding: Binding,
  { inputs, caches }: Feeds,
  outputs: Tensors,
): Promise<void> {
  return runInPlace(session, binding, inputs, { ...outputs, ...caches });
}

/** Candidates of all sequences of a batch, to be written. */
export interface Tops {
  readonly ids: Int32Array<ArrayBuffer>;
  readonly values: Float32Array<ArrayBuffer>;
  readonly sums: Float32Array<ArrayBuffer>;
}

export function emptyTops(count: number, candidates: number): Tops {
  return {
    ids: new Int32Array(count * candidates),
    values: new Float32Array(count * candidates),
    sums: new Float32Array(count),
  };
}

/** Of those that are wanted. Throws E_NONFINITE. */
export function splitTops(
  { ids, values, sums }: Tops,
  candidates: number,
  wanted: readonly number[],
  shard: number,
): readonly TopLogits[] {
  return wanted.map((i) => {
    const [from, to] = [i * candidates, (i + 1) * candidates];
    const own = values.slice(from, to);
    assertFinite(own, shard);
    return { ids: ids.slice(from, to), values: own, logSumExp: sums[i] ?? Number.NaN };
  });
}

function inputFeed(input: Rows, count: number, rows: number, width: number): Tensors {
  if (input.kind === 'hidden') return { [PORT.hiddenIn]: f32(input.data, [count, rows, width]) };
  return { [PORT.ids]: new ort.Tensor('int64', BigInt64Array.from(input.ids, BigInt), [count, rows]) };
}

/** Throws E_NONFINITE: what is not a number must not become a token or travel on. */
export function assertFinite(values: Float32Array, shard: number): void {
  if (values.every(Number.isFinite)) return;
  throw new EngineError({ code: 'E_NONFINITE', shard }, `shard ${shard} gave a number that is not finite`);
}
