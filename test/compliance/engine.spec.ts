import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { halfMemory } from '../../src/engine/half-graph.ts';
import { runtimeFolder } from '../../src/engine/native/runtime.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { silentLog } from '../../src/util/log.ts';
import { type Arithmetic, testEngine } from './engine.ts';

const HALF: Arithmetic = { tolerance: 2e-3, memoryOf: halfMemory };

testEngine('reference', async (options) => createReferenceEngine(options));
testEngine('onnx', (options) => createOnnxEngine({ ...options, threads: 1, device: 'cpu' }, { log: silentLog }));
testEngine('onnx, in a process of its own', (options) =>
  createOnnxEngine({ ...options, threads: 1, device: 'cpu', isolation: 'process' }, { log: silentLog }),
);
// What runs on a GPU, its caches in memory of their own, with the CPU's kernels: all of it but the device.
testEngine(
  'onnx in half precision, as on a device',
  (options) => createOnnxEngine({ ...options, threads: 1, device: 'host' }, { log: silentLog }),
  HALF,
);

describe('engine: onnx on a GPU', () => {
  if (existsSync(join(runtimeFolder(), 'libonnxruntime_providers_cuda.so')))
    testEngine(
      'onnx on a GPU',
      (options) => createOnnxEngine({ ...options, threads: 1, device: 'cuda' }, { log: silentLog }),
      HALF,
    );
  else
    it('not run: no CUDA provider is installed (npm run gpu:install)', function () {
      this.skip();
    });
});
