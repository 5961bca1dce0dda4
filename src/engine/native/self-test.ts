// Whether a device computes: two steps of one attention with its cache in place, beside the same on the CPU. What disagrees serves nobody.

import { createGraphBuilder } from '../../graph/builder.ts';
import { attribute, encodeModel } from '../../graph/onnx.ts';
import { TO_FLOAT, TO_HALF } from '../../graph/stored.ts';
import { EngineError } from '../types.ts';
import { type DeviceMemory, openDeviceMemory } from './memory.ts';
import type { NativeProvider, NativeRuntime, NativeTensor } from './runtime.ts';

const TEST = { heads: 2, kvHeads: 1, headDim: 64, capacity: 8, rows: 3 } as const;
const PACKED = (TEST.heads + 2 * TEST.kvHeads) * TEST.headDim;
const OUTPUT = TEST.heads * TEST.headDim;
const CACHE = [1, TEST.kvHeads, TEST.capacity, TEST.headDim];
/** Of values around one: half precision has eleven bits. */
const TOLERANCE = 1e-2;

/** @throws EngineError E_RUN */
export function selfTest(runtime: NativeRuntime, provider: NativeProvider, memory: DeviceMemory): void {
  const expected = attend(runtime, 'host', openDeviceMemory('host'));
  const found = attend(runtime, provider, memory);
  const worst = Math.max(...found.map((value, i) => Math.abs(value - (expected[i] ?? Number.NaN))));
  if (worst <= TOLERANCE) return;
  const reason = `it computes something else than the CPU: ${worst} apart in a test of attention`;
  throw new EngineError({ code: 'E_RUN', reason }, reason);
}

/** The last step's output. */
function attend(runtime: NativeRuntime, provider: NativeProvider, memory: DeviceMemory): Float32Array {
  const session = runtime.open(encodeModel(attentionGraph()), { folder: '.', threads: 1, provider });
  const bytes = CACHE.reduce((product, dim) => product * dim, Float16Array.BYTES_PER_ELEMENT);
  const addresses = [memory.allocate(bytes), memory.allocate(bytes)] as const;
  const [keys, values] = addresses.map(
    (address): NativeTensor => ({
      type: 'f16',
      dims: CACHE,
      place: { address, bytes },
    }),
  ) as [NativeTensor, NativeTensor];
  try {
    const out = new Float32Array(TEST.rows * OUTPUT);
    for (const step of [1, 2]) {
      const qkv = Float32Array.from({ length: TEST.rows * PACKED }, (_, i) => Math.sin(i * step));
      const total = step * TEST.rows;
      session.run(
        {
          qkv: { type: 'f32', dims: [1, TEST.rows, PACKED], place: qkv },
          past_key: keys,
          past_value: values,
          before: { type: 'i32', dims: [1], place: Int32Array.of(total - 1) },
          total: { type: 'i32', dims: [1], place: Int32Array.of(total) },
        },
        {
          out: { type: 'f32', dims: [1, TEST.rows, OUTPUT], place: out },
          present_key: keys,
          present_value: values,
        },
      );
    }
    return out;
  } finally {
    session.release();
    for (const address of addresses) memory.release(address);
  }
}

function attentionGraph() {
  const graph = createGraphBuilder('device-test');
  const cast = (value: string, to: typeof TO_HALF, outputs?: readonly string[]) =>
    graph.node('Cast', [value], { attributes: { to }, ...(outputs && { outputs }) });
  const cache = ['B', ...CACHE.slice(1, 2), 'P', TEST.headDim];
  const inputs = [
    cast(graph.input('qkv', 'f32', ['B', 'S', PACKED]), TO_HALF),
    '',
    '',
    graph.input('past_key', 'f16', cache),
    graph.input('past_value', 'f16', cache),
    graph.input('before', 'i32', ['B']),
    graph.input('total', 'i32', [1]),
  ];
  const attended = graph.node('GroupQueryAttention', inputs, {
    domain: 'com.microsoft',
    outputs: ['attended', 'present_key', 'present_value'],
    attributes: { num_heads: attribute.int(TEST.heads), kv_num_heads: attribute.int(TEST.kvHeads) },
  });
  cast(attended, TO_FLOAT, ['out']);
  graph.output('out', 'f32', ['B', 'S', OUTPUT]);
  graph.output('present_key', 'f16', cache);
  graph.output('present_value', 'f16', cache);
  return graph.finish({ '': 23, 'com.microsoft': 1 });
}
