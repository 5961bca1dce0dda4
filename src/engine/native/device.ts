// A GPU as a lane's device, or this process's memory and the CPU's kernels in its place.

import type { Binding, LaneData } from '../lane-protocol.ts';
import { type Chosen, createLaneWork, type Device } from '../lane-work.ts';
import { createChallenger } from '../shard-runner.ts';
import { loadCudaLibraries } from './cuda-libraries.ts';
import { createDeviceKvMemory } from './kv-memory.ts';
import { openDeviceMemory } from './memory.ts';
import { type DevicePlace, type NativeProvider, openNativeRuntime } from './runtime.ts';
import { selfTest } from './self-test.ts';
import { createNativeShard } from './shard.ts';

/** @throws EngineError E_RUN with what is missing, or what it computes otherwise than the CPU */
export function chooseNative(data: LaneData, binding: Binding, provider: NativeProvider): Chosen {
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
