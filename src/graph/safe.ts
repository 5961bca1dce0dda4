// What a graph must obey before the runtime sees it (engine.md 2.4). The files it names have been checked by hash; the graph itself is not trusted.

import { type OnnxModel, type OnnxTensor, TYPE_BYTES } from './onnx.ts';

/** Operators that our builder emits, by domain. */
const ALLOWED: Readonly<Record<string, ReadonlySet<string>>> = {
  '': new Set([
    'Abs',
    'Add',
    'Cast',
    'Concat',
    'Div',
    'Expand',
    'Gather',
    'Gelu',
    'Identity',
    'LayerNormalization',
    'MatMul',
    'Max',
    'Mul',
    'QuantizeLinear',
    'RMSNormalization',
    'ReduceL2',
    'ReduceLogSumExp',
    'ReduceMax',
    'ReduceSum',
    'Relu',
    'Reshape',
    'SequenceEmpty',
    'Shape',
    'Sigmoid',
    'Slice',
    'Split',
    'Sqrt',
    'Sub',
    'Tanh',
    'TopK',
    'Transpose',
    'Unsqueeze',
  ]),
  'com.microsoft': new Set([
    'FastGelu',
    'GroupQueryAttention',
    'MatMulIntegerToFloat',
    'MatMulNBits',
    'MultiHeadAttention',
  ]),
};
/** More nodes than any model of this language needs; the runtime's memory grows with them. */
const MAX_NODES = 200_000;
/** No tensor of ours is larger, and products of dims stay exact. */
const MAX_ELEMENTS = 2 ** 40;
const OPSET_WINDOW: Readonly<Record<string, readonly [number, number]>> = { '': [23, 23], 'com.microsoft': [1, 1] };
const IR_WINDOW = [8, 10] as const;

/** The first broken rule, in words, or undefined. `weights` are the bytes of the files that the shard may name. */
export function brokenRule(model: OnnxModel, weights: ReadonlyMap<string, number>): string | undefined {
  return brokenVersion(model) ?? brokenNode(model) ?? brokenTensor(model, weights) ?? brokenNames(model);
}

function brokenVersion(model: OnnxModel): string | undefined {
  if (model.irVersion < IR_WINDOW[0] || model.irVersion > IR_WINDOW[1]) return `IR version ${model.irVersion}`;
  for (const [domain, version] of Object.entries(model.opsets)) {
    const window = Object.hasOwn(OPSET_WINDOW, domain) ? OPSET_WINDOW[domain] : undefined;
    if (window === undefined) return `operators of the domain ${domain}`;
    if (version < window[0] || version > window[1]) return `opset ${version} of the domain '${domain}'`;
  }
  return undefined;
}

function brokenNode(model: OnnxModel): string | undefined {
  if (model.nodes.length > MAX_NODES) return `more than ${MAX_NODES} nodes`;
  for (const { op, domain } of model.nodes) {
    const allowed = Object.hasOwn(ALLOWED, domain) && ALLOWED[domain]?.has(op);
    if (allowed !== true) return `operator ${domain === '' ? '' : `${domain}.`}${op} is not on the list`;
  }
  return undefined;
}

function brokenTensor(model: OnnxModel, weights: ReadonlyMap<string, number>): string | undefined {
  for (const tensor of model.initializers) {
    const elements = tensor.dims.reduce((product, dim) => product * dim, 1);
    if (tensor.dims.some((dim) => dim < 0) || !(elements < MAX_ELEMENTS)) return `dims of ${tensor.name}`;
    const broken = brokenBytes(tensor, elements * TYPE_BYTES[tensor.type], weights);
    if (broken !== undefined) return broken;
  }
  return undefined;
}

function brokenBytes(tensor: OnnxTensor, need: number, weights: ReadonlyMap<string, number>): string | undefined {
  if (tensor.data instanceof Uint8Array)
    return tensor.data.length === need ? undefined : `${tensor.name} has ${tensor.data.length} bytes, not ${need}`;
  const { location, offset, length } = tensor.data;
  const bytes = weights.get(location);
  if (bytes === undefined) return `${tensor.name} lies in ${location}, which is no weight file of the shard`;
  if (length !== need) return `${tensor.name} has ${length} bytes, not ${need}`;
  return offset + length <= bytes ? undefined : `${tensor.name} ends behind ${location}`;
}

/** Every value is made once: a second maker could hide the first from a reader. */
function brokenNames(model: OnnxModel): string | undefined {
  const made = [
    ...model.inputs.map((value) => value.name),
    ...model.initializers.map((tensor) => tensor.name),
    ...model.nodes.flatMap((node) => node.outputs.filter((name) => name !== '')),
  ];
  const seen = new Set<string>();
  for (const name of made) {
    if (seen.has(name)) return `${name} is made twice`;
    seen.add(name);
  }
  return undefined;
}
