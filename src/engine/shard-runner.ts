// One shard in the lane: its ONNX Runtime sessions and how rows go through them. Inputs have been checked on the main side.

import ort from 'onnxruntime-node';
import { kvPorts, PORT, TOP_K } from '../graph/llama.ts';
import type { LlamaShape } from '../graph/weights.ts';
import { f32, lengthFeeds, loadSession, runInPlace, type Tensors } from './binding.ts';
import { createKvPool, type KvPool } from './kv-pool.ts';
import type { Binding, ShardFiles } from './lane-protocol.ts';
import { EngineError, type Rows, type TopLogits } from './types.ts';

/** Where a batch lies: `totals` are the lengths after this run, one per slot from `slot` on. */
export interface Batch {
  readonly pool: KvPool;
  readonly slot: number;
  readonly totals: readonly number[];
  /** Rows per sequence; more than one only for a batch of one (engine.md 1.3). */
  readonly rows: number;
}

export interface ShardRunner {
  readonly files: ShardFiles;
  /** batch * rows ids or hidden rows in; (batch, rows, width) out, whatever the numbers are. */
  hidden(batch: Batch, input: Rows): Promise<Float32Array>;
  /** The last shard: candidates of the last row of each sequence that is `wanted`. */
  top(batch: Batch, input: Rows, wanted: readonly number[]): Promise<readonly TopLogits[]>;
  /** The deterministic graph on fresh caches: (rows, columns). */
  challenge(input: Rows, rows: number): Promise<Float32Array>;
  release(): Promise<void>;
}

export async function createShardRunner(
  files: ShardFiles,
  shape: LlamaShape,
  threads: number,
  binding: Binding,
): Promise<ShardRunner> {
  const serve = await loadSession(files.serve, threads, 'fast', files.keep);
  /** Loaded for the first challenge: whoever only serves does without its memory. */
  let det: Promise<ort.InferenceSession> | undefined;
  const openDet = (): Promise<ort.InferenceSession> => {
    det ??= files.det === files.serve ? Promise.resolve(serve) : loadSession(files.det, threads, 'lean');
    return det;
  };
  const candidates = Math.min(TOP_K, shape.vocab);

  const run = async (session: ort.InferenceSession, batch: Batch, input: Rows, outputs: Tensors): Promise<void> => {
    const count = batch.totals.length;
    const cacheDims = [count, shape.kvHeads, batch.pool.capacity, shape.headDim];
    const feeds: Tensors = { ...inputFeed(input, count, batch.rows, shape.width), ...lengthFeeds(batch.totals) };
    const fetches: Tensors = { ...outputs };
    for (let block = files.from; block < files.to; block++) {
      const { keys, values } = batch.pool.view(block, batch.slot, count);
      const ports = kvPorts(block);
      feeds[ports.pastKey] = fetches[ports.presentKey] = f32(keys, cacheDims);
      feeds[ports.pastValue] = fetches[ports.presentValue] = f32(values, cacheDims);
    }
    await runInPlace(session, binding, feeds, fetches);
  };

  return {
    files,
    async hidden(batch, input) {
      const dims = [batch.totals.length, batch.rows, shape.width];
      const data = new Float32Array(batch.totals.length * batch.rows * shape.width);
      await run(serve, batch, input, { [PORT.hiddenOut]: f32(data, dims) });
      return data;
    },
    async top(batch, input, wanted) {
      const count = batch.totals.length;
      const ids = new Int32Array(count * candidates);
      const values = new Float32Array(count * candidates);
      const sums = new Float32Array(count);
      await run(serve, batch, input, {
        [PORT.topIds]: new ort.Tensor('int32', ids, [count, candidates]),
        [PORT.topValues]: f32(values, [count, candidates]),
        [PORT.logSumExp]: f32(sums, [count]),
      });
      return wanted.map((i) => {
        const part = <T extends Int32Array | Float32Array>(of: T) =>
          of.slice(i * candidates, (i + 1) * candidates) as T;
        assertFinite(part(values), files.index);
        return { ids: part(ids), values: part(values), logSumExp: sums[i] ?? Number.NaN };
      });
    },
    async challenge(input, rows) {
      const pool = createKvPool({ ...shape, from: files.from, to: files.to, capacity: rows });
      pool.add(0);
      const data = new Float32Array(rows * files.columns);
      const output = files.last ? PORT.probe : PORT.hiddenOut;
      await run(await openDet(), { pool, slot: 0, totals: [rows], rows }, input, {
        [output]: f32(data, [1, rows, files.columns]),
      });
      assertFinite(data, files.index);
      return data;
    },
    async release() {
      const second = await det?.catch(() => undefined);
      if (second !== undefined && second !== serve) await second.release();
      await serve.release();
    },
  };
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
