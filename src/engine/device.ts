// Where a lane computes: on the CPU through the runtime's Node binding, or on a GPU through its C interface (engine.md 1.4). One line says which, and why.

import { errorMessage } from '../util/errors.ts';
import { chooseBinding } from './binding.ts';
import { createArrayMemory } from './kv-memory.ts';
import type { Binding, LaneData, LanePlace } from './lane-protocol.ts';
import { createLaneWork, type Device, type LaneWork } from './lane-work.ts';
import { loadCudaLibraries } from './native/cuda-libraries.ts';
import { createDeviceKvMemory } from './native/kv-memory.ts';
import { openDeviceMemory } from './native/memory.ts';
import { type DevicePlace, type NativeProvider, openNativeRuntime } from './native/runtime.ts';
import { selfTest } from './native/self-test.ts';
import { createNativeShard } from './native/shard.ts';
import { createChallenger, createShardRunner } from './shard-runner.ts';
import { EngineError } from './types.ts';

/** What can be done there, and where that is. */
export interface Chosen {
  readonly work: LaneWork;
  readonly place: LanePlace;
}

/** @throws EngineError E_RUN when a device was asked for by name and cannot be used */
export async function chooseDevice(data: LaneData): Promise<Chosen> {
  const { device: wish } = data;
  const binding = await chooseBinding();
  if (wish === 'cpu') return onCpu(data, binding, 'cpu was asked for');
  try {
    return onDevice(data, binding, wish === 'host' ? 'host' : 'cuda');
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

function onDevice(data: LaneData, binding: Binding, provider: NativeProvider): Chosen {
  const { shape, threads, profile } = data;
  if (provider === 'cuda') loadCudaLibraries();
  const memory = openDeviceMemory(provider);
  const runtime = openNativeRuntime();
  selfTest(runtime, { provider, profile, memory });
  const device: Device<DevicePlace> = {
    openShard: async (files) =>
      createNativeShard(
        files,
        { shape, threads, provider, profile },
        runtime,
        createChallenger(files, { shape, threads, binding }),
      ),
    createMemory: () => createDeviceKvMemory(memory, profile),
  };
  const why = `${memory.name}, in ${profile} precision; challenges are answered on the CPU, whose arithmetic all nodes agree on`;
  return {
    work: createLaneWork(data, device),
    place: { provider: 'cuda', why, binding, memoryBytes: memory.free() },
  };
}
