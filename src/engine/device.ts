// Where a lane computes: on the CPU through the runtime's Node binding, or on a GPU through its C interface (engine.md 1.4). One line says which, and why.

import { errorMessage } from '../util/errors.ts';
import { chooseBinding } from './binding.ts';
import { createArrayMemory } from './kv-memory.ts';
import type { Binding, LaneData } from './lane-protocol.ts';
import { type Chosen, createLaneWork, type Device } from './lane-work.ts';
import { createShardRunner } from './shard-runner.ts';
import { EngineError } from './types.ts';

/** @throws EngineError E_RUN when a device was asked for by name and cannot be used */
export async function chooseDevice(data: LaneData): Promise<Chosen> {
  const { device: wish } = data;
  const binding = await chooseBinding();
  if (wish === 'cpu') return onCpu(data, binding, 'cpu was asked for');
  try {
    // Only now: where no GPU is wanted, nothing of it need load.
    const { chooseNative } = await import('./native/device.ts');
    return chooseNative(data, binding, wish === 'host' ? 'host' : 'cuda');
  } catch (error) {
    const reason = errorMessage(error);
    if (wish === 'auto') return onCpu(data, binding, `cuda: ${reason}`);
    throw new EngineError({ code: 'E_RUN', reason }, `${wish} cannot be used: ${reason}`);
  }
}

function onCpu(data: LaneData, binding: Binding, why: string): Chosen {
  const device: Device<Float32Array> = {
    openShard: (files) => createShardRunner(files, { ...data, binding }),
    createMemory: createArrayMemory,
  };
  return { work: createLaneWork(data, device), place: { provider: 'cpu', why, binding } };
}
