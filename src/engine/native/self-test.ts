// Whether a device computes: two steps of one attention with its cache in place, beside the same on the CPU. What disagrees serves nobody.

import { createGraphBuilder } from '../../graph/builder.ts';
import { createConstants, type DeviceProfile } from '../../graph/linear.ts';
import { CACHE_TYPE, kvPorts, PORT } from '../../graph/llama.ts';
import { attribute, encodeModel, type OnnxModel, TYPE_BYTES } from '../../graph/onnx.ts';
import { createSight, plainAttention } from '../../graph/plain-attention.ts';
import { TO_FLOAT, TO_HALF } from '../../graph/stored.ts';
import { EngineError } from '../types.ts';
import { type DeviceMemory, openDeviceMemory } from './memory.ts';
import { placesOf } from './places.ts';
import type { NativeProvider, NativeRuntime, NativeTensor } from './runtime.ts';

/** A decoder of one block. */
const SHAPE = { blocks: 1, width: 128, ffn: 1, heads: 2, kvHeads: 1, headDim: 64, vocab: 1, maxContext: 8, eps: 1e-5 };
const ROWS = 3;
const PACKED = (SHAPE.heads + 2 * SHAPE.kvHeads) * SHAPE.headDim;
const OUTPUT = SHAPE.heads * SHAPE.headDim;
const CACHE = [1, SHAPE.kvHeads, SHAPE.maxContext, SHAPE.headDim];
const PORTS = kvPorts(0);
/** Of values around one. Half precision has eleven bits. */
const TOLERANCE = { single: 1e-4, half: 1e-2 } as const;

/** Where and how to compute. */
export interface TestedDevice {
  readonly provider: NativeProvider;
  readonly profile: DeviceProfile;
  readonly memory: DeviceMemory;
}

/** @throws EngineError E_RUN */
export function selfTest(runtime: NativeRuntime, device: TestedDevice): void {
  const { profile } = device;
  const expected = attend(runtime, { profile, provider: 'host', memory: openDeviceMemory('host') });
  const found = attend(runtime, device);
  const worst = Math.max(...found.map((value, i) => Math.abs(value - (expected[i] ?? Number.NaN))));
  if (worst <= TOLERANCE[profile]) return;
  const reason = `it computes something else than the CPU: ${worst} apart in a test of attention in ${profile} precision`;
  throw new EngineError({ code: 'E_RUN', reason }, reason);
}

/** The last step's output. */
function attend(runtime: NativeRuntime, { provider, profile, memory }: TestedDevice): Float32Array {
  const session = runtime.open(encodeModel(attentionGraph(profile)), { folder: '.', threads: 1, provider });
  const bytes = CACHE.reduce((product, dim) => product * dim, TYPE_BYTES[CACHE_TYPE[profile]]);
  const addresses = [memory.allocate(bytes), memory.allocate(bytes)] as const;
  const [keys, values] = addresses.map(
    (address): NativeTensor => ({
      type: CACHE_TYPE[profile],
      dims: CACHE,
      place: { address, bytes },
    }),
  ) as [NativeTensor, NativeTensor];
  try {
    const out = new Float32Array(ROWS * OUTPUT);
    for (const step of [1, 2]) {
      const qkv = Float32Array.from({ length: ROWS * PACKED }, (_, i) => Math.sin(i * step));
      const places = { totals: [step * ROWS], rows: ROWS, capacity: SHAPE.maxContext, kvHeads: SHAPE.kvHeads };
      session.run(
        {
          qkv: { type: 'f32', dims: [1, ROWS, PACKED], place: qkv },
          [PORTS.pastKey]: keys,
          [PORTS.pastValue]: values,
          ...placesOf(profile, places),
        },
        {
          out: { type: 'f32', dims: [1, ROWS, OUTPUT], place: out },
          [PORTS.presentKey]: keys,
          [PORTS.presentValue]: values,
        },
      );
    }
    return out;
  } finally {
    session.release();
    for (const address of addresses) memory.release(address);
  }
}

function attentionGraph(profile: DeviceProfile): OnnxModel {
  const graph = createGraphBuilder('device-test');
  const qkv = graph.input('qkv', 'f32', ['B', 'S', PACKED]);
  const constants = createConstants(graph);
  const table = (name: string, value: (angle: number) => number) => {
    const angles = Float32Array.from({ length: (SHAPE.maxContext * SHAPE.headDim) / 2 }, (_, i) => value(i));
    return graph.constant(name, 'f32', [SHAPE.maxContext, SHAPE.headDim / 2], new Uint8Array(angles.buffer));
  };
  const tables = { cos: table('cos', Math.cos), sin: table('sin', Math.sin) };
  const halved = (value: string) => graph.node('Cast', [value], { attributes: { to: TO_HALF } });
  let attended: string;
  if (profile === 'single') {
    const traits = { tie: false, qkvBias: false, qkNorm: false, window: null };
    const context = { graph, shape: SHAPE, traits, constants };
    const sight = createSight(context, tables);
    const sizes = constants.integers([OUTPUT, SHAPE.headDim, SHAPE.headDim]);
    const parts = ['queries', 'keys', 'values'] as const;
    graph.node('Split', [qkv, sizes], { outputs: parts, attributes: { axis: attribute.int(-1) } });
    attended = plainAttention(context, sight, PORTS, parts);
  } else {
    const cache = ['B', SHAPE.kvHeads, 'P', SHAPE.headDim];
    const past = [PORTS.pastKey, PORTS.pastValue].map((name) => graph.input(name, 'f16', cache));
    const places = [graph.input(PORT.seqlens, 'i32', ['B']), graph.input(PORT.total, 'i32', [1])];
    const inputs = [halved(qkv), '', '', ...past, ...places, halved(tables.cos), halved(tables.sin)];
    const fused = graph.node('GroupQueryAttention', inputs, {
      domain: 'com.microsoft',
      outputs: ['attended', PORTS.presentKey, PORTS.presentValue],
      attributes: {
        num_heads: attribute.int(SHAPE.heads),
        kv_num_heads: attribute.int(SHAPE.kvHeads),
        do_rotary: attribute.int(1),
      },
    });
    for (const name of [PORTS.presentKey, PORTS.presentValue]) graph.output(name, 'f16', cache);
    attended = graph.node('Cast', [fused], { attributes: { to: TO_FLOAT } });
  }
  graph.node('Identity', [attended], { outputs: ['out'] });
  graph.output('out', 'f32', ['B', 'S', OUTPUT]);
  return graph.finish({ '': 23, 'com.microsoft': 1 });
}
