import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { silentLog } from '../../src/util/log.ts';
import { testEngine } from './engine.ts';

testEngine('reference', async (options) => createReferenceEngine(options));
testEngine('onnx', (options) => createOnnxEngine({ ...options, threads: 1, device: 'cpu' }, { log: silentLog }));
testEngine('onnx, in a process of its own', (options) =>
  createOnnxEngine({ ...options, threads: 1, device: 'cpu', isolation: 'process' }, { log: silentLog }),
);
