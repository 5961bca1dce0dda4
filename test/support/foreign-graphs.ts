// ONNX graphs as other people's tools write them, small and of every kind that the rules let in: the same call gives the same bytes.

import { createGraphBuilder, type GraphBuilder } from '../../src/graph/builder.ts';
import { attribute, type ExternalData, encodeModel } from '../../src/graph/onnx.ts';

/** Of mlp(): values per row, what comes out, and layers. */
export const MLP = { width: 48, classes: 10, layers: 4 } as const;

/** By what they are made of. */
export const FOREIGN_GRAPHS: Readonly<Record<string, () => Uint8Array>> = {
  layers: () => mlp(),
  convolution,
  attention,
  recurrent,
  shapes,
};

export function waves(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.37 + seed) / 7);
}

/** Layers with a residual each, so that a cut fits between layers alone; the weights inside, or in a file of their own. */
export function mlp(weights?: { location: string; bytes: Uint8Array[] }): Uint8Array {
  const graph = createGraphBuilder('mlp');
  const { width, classes, layers } = MLP;
  let at = 0;
  const constant = (name: string, dims: readonly number[], seed: number) => {
    const data = bytesOf(waves(product(dims), seed));
    if (weights === undefined) return graph.constant(name, 'f32', dims, data);
    const place: ExternalData = { location: weights.location, offset: at, length: data.length };
    weights.bytes.push(data);
    at += data.length;
    return graph.constant(name, 'f32', dims, place);
  };
  let x = graph.input('image', 'f32', ['N', width]);
  for (let layer = 0; layer < layers; layer++) {
    const inner = graph.node('MatMul', [x, constant(`w${layer}`, [width, width], layer)]);
    const active = graph.node('Relu', [graph.node('Add', [inner, constant(`b${layer}`, [width], layer + 9)])]);
    x = graph.node('Add', [x, active]);
  }
  graph.node('MatMul', [x, constant('head', [width, classes], 77)], { outputs: ['logits'] });
  graph.output('logits', 'f32', ['N', classes]);
  return encodeModel(graph.finish({ '': 21 }));
}

function convolution(): Uint8Array {
  const graph = createGraphBuilder('convolution');
  const weights = (name: string, ...dims: number[]) => floats(graph, name, dims);
  const window = { kernel_shape: attribute.ints([3, 3]), pads: attribute.ints([1, 1, 1, 1]) };
  const image = graph.input('image', 'f32', ['N', 3, 12, 12]);
  const first = graph.node('Conv', [image, weights('w1', 8, 3, 3, 3), weights('b1', 8)], { attributes: window });
  const statistics = ['scale', 'bias', 'mean'].map((name) => weights(name, 8));
  const variance = graph.constant('variance', 'f32', [8], bytesOf(new Float32Array(8).fill(0.5)));
  const normal = graph.node('BatchNormalization', [first, ...statistics, variance], {
    attributes: { epsilon: attribute.float(1e-5) },
  });
  const smaller = graph.node('MaxPool', [graph.node('Relu', [normal])], {
    attributes: { kernel_shape: attribute.ints([2, 2]), strides: attribute.ints([2, 2]) },
  });
  const second = graph.node('Conv', [smaller, weights('w2', 16, 1, 3, 3)], {
    attributes: { ...window, group: attribute.int(8) },
  });
  const pooled = graph.node('GlobalAveragePool', [graph.node('HardSwish', [second])]);
  const flat = graph.node('Flatten', [pooled]);
  const logits = graph.node('Gemm', [flat, weights('w3', 10, 16), weights('b3', 10)], {
    attributes: { transB: attribute.int(1), alpha: attribute.float(0.5) },
  });
  graph.node('Softmax', [logits], { outputs: ['classes'], attributes: { axis: attribute.int(-1) } });
  graph.output('classes', 'f32', ['N', 10]);
  return encodeModel(graph.finish({ '': 21 }));
}

function attention(): Uint8Array {
  const graph = createGraphBuilder('attention');
  const [width, heads] = [32, 4];
  const ids = graph.input('ids', 'i64', ['N', 'S']);
  const rows = graph.node('Gather', [floats(graph, 'table', [50, width]), ids]); // (N, S, width)
  const normal = graph.node('LayerNormalization', [
    rows,
    floats(graph, 'scale', [width]),
    floats(graph, 'shift', [width]),
  ]);
  const parts = ['query', 'key', 'value'] as const;
  graph.node('Split', [graph.node('MatMul', [normal, floats(graph, 'qkv', [width, 3 * width])])], {
    outputs: parts,
    attributes: { axis: attribute.int(-1), num_outputs: attribute.int(3) },
  });
  const perHead = (part: string, perm: readonly number[]) =>
    graph.node('Transpose', [graph.node('Reshape', [part, integers(graph, [0, 0, heads, width / heads])])], {
      attributes: { perm: attribute.ints(perm) },
    });
  const scores = graph.node('MatMul', [perHead('query', [0, 2, 1, 3]), perHead('key', [0, 2, 3, 1])]); // (N, heads, S, S)
  const scaled = graph.node('Div', [scores, floats(graph, 'root', [1])]);
  const seen = graph.node('Softmax', [scaled], { attributes: { axis: attribute.int(-1) } });
  const mixed = graph.node('MatMul', [seen, perHead('value', [0, 2, 1, 3])]);
  const joined = graph.node('Reshape', [
    graph.node('Transpose', [mixed], { attributes: { perm: attribute.ints([0, 2, 1, 3]) } }),
    integers(graph, [0, 0, width]),
  ]);
  const inner = graph.node('MatMul', [graph.node('Add', [joined, rows]), floats(graph, 'up', [width, 64])]);
  const outer = graph.node('MatMul', [graph.node('Erf', [inner]), floats(graph, 'down', [64, width])]);
  graph.node('ReduceMean', [outer, integers(graph, [1])], {
    outputs: ['vector'],
    attributes: { keepdims: attribute.int(0) },
  });
  graph.output('vector', 'f32', ['N', width]);
  return encodeModel(graph.finish({ '': 21 }));
}

function recurrent(): Uint8Array {
  const graph = createGraphBuilder('recurrent');
  const [size, hidden] = [8, 12];
  const steps = graph.input('steps', 'f32', [6, 'N', size]);
  const layer = (op: 'LSTM' | 'GRU', gates: number, input: string, inputs: number): string => {
    const weights = [
      floats(graph, `${op}.w`, [1, gates * hidden, inputs]),
      floats(graph, `${op}.r`, [1, gates * hidden, hidden]),
      floats(graph, `${op}.b`, [1, 2 * gates * hidden]),
    ];
    const said = graph.node(op, [input, ...weights], { attributes: { hidden_size: attribute.int(hidden) } });
    return graph.node('Squeeze', [said, integers(graph, [1])]); // (6, N, hidden)
  };
  const second = layer('GRU', 3, layer('LSTM', 4, steps, size), hidden);
  graph.node('Tanh', [second], { outputs: ['said'] });
  graph.output('said', 'f32', [6, 'N', hidden]);
  return encodeModel(graph.finish({ '': 21 }));
}

/** What moves, picks and makes values: sizes are computed, which is where damage asks for most memory. */
function shapes(): Uint8Array {
  const graph = createGraphBuilder('shapes');
  const x = graph.input('x', 'f32', ['N', 24]);
  const axis = (value: number) => ({ attributes: { axis: attribute.int(value) } });
  const zero = graph.constant('zero', 'f32', [], bytesOf(Float32Array.of(0)));
  const mirrored = graph.node('Where', [graph.node('Greater', [x, zero]), x, graph.node('Neg', [x])]);
  const padded = graph.node('Pad', [mirrored, integers(graph, [0, 2, 0, 2])]); // (N, 28)
  const sums = graph.node('CumSum', [padded, integers(graph, [1], [])]);
  const tiled = graph.node('Tile', [sums, integers(graph, [1, 2])]); // (N, 56)
  const best = graph.node('TopK', [tiled, integers(graph, [8])], { outputs: ['best', 'places'] }); // (N, 8)
  const around = graph.node('Mod', ['places', integers(graph, [24])]);
  const picked = graph.node('GatherElements', [x, around], axis(1));
  const wide = graph.node('Expand', [
    graph.node('Unsqueeze', [picked, integers(graph, [2])]),
    integers(graph, [1, 1, 3]),
  ]);
  const low = graph.node('Trilu', [wide], { attributes: { upper: attribute.int(0) } }); // (N, 8, 3)
  const resized = graph.node('Resize', [
    low,
    '',
    '',
    graph.node(
      'Concat',
      [
        graph.node('Shape', [low], { attributes: { start: attribute.int(0), end: attribute.int(1) } }),
        integers(graph, [16, 6]),
      ],
      axis(0),
    ),
  ]); // (N, 16, 6)
  const range = graph.node('Range', [integers(graph, [0], []), integers(graph, [6], []), integers(graph, [1], [])]);
  const ramp = graph.node('Cast', [range], { attributes: { to: attribute.int(1) } });
  const cut = graph.node('Slice', [
    graph.node('Add', [resized, ramp]),
    integers(graph, [1]),
    integers(graph, [15]),
    integers(graph, [1]),
    integers(graph, [2]),
  ]); // (N, 7, 6)
  const blank = graph.node('ConstantOfShape', [graph.node('Shape', [cut])]);
  const sharp = graph.node('Max', [graph.node('Clip', [cut, zero]), blank]);
  const flat = graph.node('Reshape', [sharp, integers(graph, [0, -1])]); // (N, 42)
  graph.node('Concat', [flat, best], { outputs: ['y'], ...axis(1) });
  graph.output('y', 'f32', ['N', 50]);
  return encodeModel(graph.finish({ '': 21 }));
}

function floats(graph: GraphBuilder, name: string, dims: readonly number[]): string {
  return graph.constant(name, 'f32', dims, bytesOf(waves(product(dims), name.length + dims.length)));
}

function integers(graph: GraphBuilder, values: readonly number[], dims: readonly number[] = [values.length]): string {
  const name = `i64.${values.join('_')}.${dims.length}`;
  return graph.constant(name, 'i64', dims, new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function product(dims: readonly number[]): number {
  return dims.reduce((a, b) => a * b, 1);
}
