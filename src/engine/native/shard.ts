// One shard on a device: rows go in and results come out through this process's memory, caches stay where they are.

import type { DeviceProfile } from '../../graph/linear.ts';
import { CACHE_TYPE, kvPorts, PORT, TOP_K } from '../../graph/llama.ts';
import type { LlamaShape } from '../../graph/weights.ts';
import type { ShardFiles } from '../lane-protocol.ts';
import { type Batch, type Challenger, emptyTops, type ShardRunner, splitTops } from '../shard-runner.ts';
import { EngineError, type Rows } from '../types.ts';
import { placesOf } from './places.ts';
import type { DevicePlace, NativeProvider, NativeRuntime, NativeTensor, NativeTensors } from './runtime.ts';

export interface NativeShardOptions {
  readonly shape: LlamaShape;
  readonly threads: number;
  readonly provider: NativeProvider;
  readonly profile: DeviceProfile;
}

/** @throws EngineError E_RUN when the device cannot run the graph */
export function createNativeShard(
  files: ShardFiles,
  { shape, threads, provider, profile }: NativeShardOptions,
  runtime: NativeRuntime,
  challenger: Challenger,
): ShardRunner<DevicePlace> {
  if (files.onDevice === undefined)
    throw new EngineError({ code: 'E_RUN', reason: 'no graph for a device' }, `shard ${files.index} has no such graph`);
  const session = runtime.open(files.onDevice.graph, { folder: files.onDevice.folder, threads, provider });
  const candidates = Math.min(TOP_K, shape.vocab);
  const type = CACHE_TYPE[profile];

  const run = (batch: Batch<DevicePlace>, input: Rows, results: NativeTensors): void => {
    const count = batch.totals.length;
    const dims = [count, shape.kvHeads, batch.pool.capacity, shape.headDim];
    const { totals, rows, pool } = batch;
    const where = placesOf(profile, { totals, rows, capacity: pool.capacity, kvHeads: shape.kvHeads });
    const inputs: Record<string, NativeTensor> = { ...inputOf(input, batch, shape.width), ...where };
    const outputs: Record<string, NativeTensor> = { ...results };
    for (let block = files.from; block < files.to; block++) {
      const { keys, values } = batch.pool.view(block, batch.slot, count);
      const ports = kvPorts(block);
      inputs[ports.pastKey] = outputs[ports.presentKey] = { type, dims, place: keys };
      inputs[ports.pastValue] = outputs[ports.presentValue] = { type, dims, place: values };
    }
    session.run(inputs, outputs);
  };

  return {
    files,
    async hidden(batch, input) {
      const dims = [batch.totals.length, batch.rows, shape.width];
      const data = new Float32Array(batch.totals.length * batch.rows * shape.width);
      run(batch, input, { [PORT.hiddenOut]: { type: 'f32', dims, place: data } });
      return data;
    },
    async top(batch, input, wanted) {
      const count = batch.totals.length;
      const best = emptyTops(count, candidates);
      run(batch, input, {
        [PORT.topIds]: { type: 'i32', dims: [count, candidates], place: best.ids },
        [PORT.topValues]: { type: 'f32', dims: [count, candidates], place: best.values },
        [PORT.logSumExp]: { type: 'f32', dims: [count], place: best.sums },
      });
      return splitTops(best, candidates, wanted, files.index);
    },
    challenge: challenger.challenge,
    async release() {
      session.release();
      await challenger.release();
    },
  };
}

function inputOf(input: Rows, { totals, rows }: Batch<DevicePlace>, width: number): NativeTensors {
  const lead = [totals.length, rows];
  if (input.kind === 'tokens')
    return { [PORT.ids]: { type: 'i64', dims: lead, place: BigInt64Array.from(input.ids, BigInt) } };
  return { [PORT.hiddenIn]: { type: 'f32', dims: [...lead, width], place: input.data } };
}
