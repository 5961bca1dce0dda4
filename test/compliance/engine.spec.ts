import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { deviceMemory } from '../../src/engine/device-graph.ts';
import { runtimeFolder } from '../../src/engine/native/runtime.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { Engine } from '../../src/engine/types.ts';
import type { DeviceProfile } from '../../src/graph/linear.ts';
import type { Model } from '../../src/model/open.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Arithmetic, SINGLE, type TestedOptions, testEngine } from './engine.ts';

const DEVICE: Arithmetic = { ...SINGLE, exactInCompany: false };
const HALF: Arithmetic = { ...DEVICE, tolerance: 2e-3, memoryOf: (shard) => deviceMemory(shard, 'half') };

testEngine('reference', async (options) => createReferenceEngine(options));
testEngine('onnx', (options) => createOnnxEngine({ ...options, threads: 1, device: 'cpu' }, { log: silentLog }));
testEngine('onnx, in a process of its own', (options) =>
  createOnnxEngine({ ...options, threads: 1, device: 'cpu', isolation: 'process' }, { log: silentLog }),
);
/** An engine whose lanes compute on `device` in `profile`, whatever the model is. */
const onDevice =
  (device: 'cuda' | 'host', profile: DeviceProfile) =>
  (options: TestedOptions): Promise<Engine> => {
    const { model } = options;
    const shards = model.manifest.shards.map((shard) => ({ ...shard, auditable: profile === 'single' }));
    const marked = { ...model, manifest: { ...model.manifest, shards } } as Model;
    return createOnnxEngine({ ...options, model: marked, threads: 1, device }, { log: silentLog });
  };

// What runs on a GPU, its caches in memory of their own, with the CPU's kernels: all of it but the device.
testEngine('onnx in single precision, as on a device', onDevice('host', 'single'), DEVICE);
testEngine('onnx in half precision, as on a device', onDevice('host', 'half'), HALF);

describe('engine: onnx on a GPU', () => {
  if (existsSync(join(runtimeFolder(), 'libonnxruntime_providers_cuda.so'))) {
    testEngine('onnx in single precision on a GPU', onDevice('cuda', 'single'), DEVICE);
    testEngine('onnx in half precision on a GPU', onDevice('cuda', 'half'), HALF);
  } else
    it('not run: no CUDA provider is installed (npm run gpu:install)', function () {
      this.skip();
    });
});
