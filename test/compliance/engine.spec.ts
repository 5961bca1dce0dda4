import { halfMemory } from '../../src/engine/half-graph.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { silentLog } from '../../src/util/log.ts';
import { testEngine } from './engine.ts';

testEngine('reference', async (options) => createReferenceEngine(options));
testEngine('onnx', (options) => createOnnxEngine({ ...options, threads: 1, device: 'cpu' }, { log: silentLog }));
testEngine('onnx, in a process of its own', (options) =>
  createOnnxEngine({ ...options, threads: 1, device: 'cpu', isolation: 'process' }, { log: silentLog }),
);
// What runs on a GPU, its caches in memory of their own, with the CPU's kernels: all of it but the device.
testEngine(
  'onnx in half precision, as on a device',
  (options) => createOnnxEngine({ ...options, threads: 1, device: 'host' }, { log: silentLog }),
  { tolerance: 2e-3, memoryOf: halfMemory },
);
