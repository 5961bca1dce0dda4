// ONNX graphs of other people: read as far as a cut and the rules need it, nodes kept byte for byte (onnx.proto). The reader trusts nothing: sub-graphs,
// functions, sparse tensors and whatever else could hide work are refused.

import { GraphError } from './errors.ts';
import {
  createProtoWriter,
  decodeText,
  type ProtoField,
  type ProtoWriter,
  readProtoFields,
  safeInteger,
} from './protobuf.ts';

export interface ForeignNode {
  readonly op: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** As it was read. */
  readonly raw: Uint8Array;
}

export interface ForeignTensor {
  readonly name: string;
  /** Of onnx.proto. */
  readonly type: number;
  readonly dims: readonly number[];
  /** Little-endian bytes, or the place of them. */
  readonly data: Uint8Array | { readonly location: string; readonly offset: number; readonly length: number };
}

/** Numbers, or names of dims that a call decides; null: nobody knows. */
export type ForeignDim = number | string | null;

export interface ForeignValue {
  readonly name: string;
  readonly type: number;
  readonly dims: readonly ForeignDim[];
}

export interface ForeignGraph {
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly nodes: readonly ForeignNode[];
  readonly tensors: readonly ForeignTensor[];
  /** Without those that have a value of their own. */
  readonly inputs: readonly ForeignValue[];
  readonly outputs: readonly ForeignValue[];
}

/** Bytes per element by the numbers of onnx.proto; strings and complex numbers are not read. */
const ELEMENT_BYTES: Readonly<Record<number, number>> = {
  1: 4,
  2: 1,
  3: 1,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  9: 1,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  16: 2,
};
/** Fields of an attribute that hold a graph, graphs, sparse tensors or types. */
const HIDING_FIELDS = new Set([6, 11, 22, 23, 14, 15]);
const EXTERNAL = 1;
const MAX_NODES = 200_000;
const MAX_ELEMENTS = 2 ** 40;
const IR_WINDOW = [3, 11] as const;
const OPSET_WINDOW: Readonly<Record<string, readonly [number, number]>> = { '': [7, 23], 'com.microsoft': [1, 1] };

/** Operators without state, control flow or randomness. */
const ALLOWED: Readonly<Record<string, ReadonlySet<string>>> = {
  '': new Set(
    `Abs Acos Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv
     ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU
     Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Identity
     InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul MatMulInteger
     Max MaxPool Mean Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN Range Reciprocal
     ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND
     Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose
     Trilu Unsqueeze Where Xor`.split(/\s+/),
  ),
  'com.microsoft': new Set(
    `Attention BiasGelu DynamicQuantizeMatMul EmbedLayerNormalization FastGelu FusedGemm FusedMatMul Gelu MatMulIntegerToFloat MatMulNBits MultiHeadAttention
     QuickGelu SkipLayerNormalization SkipSimplifiedLayerNormalization`.split(/\s+/),
  ),
};

/** Throws GraphError for what is no model, or one that hides work. */
export function readForeign(bytes: Uint8Array): ForeignGraph {
  const model = fieldsOf(bytes);
  if (model.all(25).length > 0) throw new GraphError('functions are not read');
  if (model.all(20).length > 0) throw new GraphError('training is not read');
  const [graphBytes, ...others] = model.all(7);
  if (graphBytes === undefined || others.length > 0) throw new GraphError('a model has one graph');
  const graph = fieldsOf(graphBytes);
  if (graph.all(15).length > 0) throw new GraphError('sparse tensors are not read');
  const tensors = graph.all(5).map(readTensor);
  const own = new Set(tensors.map(({ name }) => name));
  return {
    irVersion: model.int(1),
    opsets: Object.fromEntries(model.all(8).map((one) => [fieldsOf(one).text(1), fieldsOf(one).int(2)])),
    nodes: graph.all(1).map(readNode),
    tensors,
    inputs: graph
      .all(11)
      .map(readValue)
      .filter(({ name }) => !own.has(name)),
    outputs: graph.all(12).map(readValue),
  };
}

/** The first broken rule, in words, or undefined. `sizeOf` gives the bytes of a file that tensors may lie in. */
export function brokenForeignRule(
  graph: ForeignGraph,
  sizeOf: (location: string) => number | undefined,
): string | undefined {
  if (graph.irVersion < IR_WINDOW[0] || graph.irVersion > IR_WINDOW[1]) return `IR version ${graph.irVersion}`;
  for (const [domain, version] of Object.entries(graph.opsets)) {
    const known = domain === 'ai.onnx' ? '' : domain;
    const window = Object.hasOwn(OPSET_WINDOW, known) ? OPSET_WINDOW[known] : undefined;
    // A domain that is only named does no harm.
    if (window !== undefined && (version < window[0] || version > window[1]))
      return `opset ${version} of the domain '${domain}'`;
  }
  if (graph.nodes.length > MAX_NODES) return `more than ${MAX_NODES} nodes`;
  for (const { op, domain } of graph.nodes) {
    const known = domain === 'ai.onnx' ? '' : domain;
    if (!(Object.hasOwn(ALLOWED, known) && ALLOWED[known]?.has(op) === true))
      return `operator ${domain === '' ? '' : `${domain}.`}${op} is not on the list`;
  }
  for (const tensor of graph.tensors) {
    const broken = brokenTensor(tensor, sizeOf);
    if (broken !== undefined) return broken;
  }
  const made = [...graph.inputs, ...graph.tensors].map(({ name }) => name);
  const all = [...made, ...graph.nodes.flatMap(({ outputs }) => outputs.filter((name) => name !== ''))];
  return new Set(all).size === all.length ? undefined : 'a value is made twice';
}

function brokenTensor({ name, type, dims, data }: ForeignTensor, sizeOf: (location: string) => number | undefined) {
  const elements = dims.reduce((product, dim) => product * dim, 1);
  if (dims.some((dim) => dim < 0) || !(elements < MAX_ELEMENTS)) return `dims of ${name}`;
  const need = elements * (ELEMENT_BYTES[type] ?? Number.NaN);
  if (Number.isNaN(need)) return `element type ${type} of ${name}`;
  if (data instanceof Uint8Array)
    return data.length === need ? undefined : `${name} has ${data.length} bytes, not ${need}`;
  const bytes = sizeOf(data.location);
  if (bytes === undefined) return `${name} lies in ${data.location}, which is no file beside the graph`;
  if (data.length !== need) return `${name} has ${data.length} bytes, not ${need}`;
  return data.offset + data.length <= bytes ? undefined : `${name} ends behind ${data.location}`;
}

/** A model over these parts; the same parts give the same bytes. */
export function encodeForeign(
  { irVersion, opsets, nodes, tensors, inputs, outputs }: ForeignGraph,
  name: string,
): Uint8Array {
  const graph = createProtoWriter();
  for (const { raw } of nodes) graph.bytes(1, raw);
  graph.text(2, name);
  for (const tensor of tensors) graph.message(5, writeTensor(tensor));
  for (const value of inputs) graph.message(11, writeValue(value));
  for (const value of outputs) graph.message(12, writeValue(value));
  const model = createProtoWriter().int(1, irVersion).text(2, 'tessera').message(7, graph);
  for (const [domain, version] of Object.entries(opsets))
    model.message(8, createProtoWriter().text(1, domain).int(2, version));
  return model.finish();
}

function writeTensor({ name, type, dims, data }: ForeignTensor): ProtoWriter {
  const writer = createProtoWriter();
  for (const dim of dims) writer.int(1, dim);
  writer.int(2, type).text(8, name);
  if (data instanceof Uint8Array) return writer.bytes(9, data);
  for (const key of ['location', 'offset', 'length'] as const)
    writer.message(13, createProtoWriter().text(1, key).text(2, String(data[key])));
  return writer.int(14, EXTERNAL);
}

/** A value whose type nobody knows (0) has its name alone: the runtime finds it out. */
function writeValue({ name, type, dims }: ForeignValue): ProtoWriter {
  const writer = createProtoWriter().text(1, name);
  if (type === 0) return writer;
  const shape = createProtoWriter();
  for (const dim of dims)
    shape.message(
      1,
      typeof dim === 'number'
        ? createProtoWriter().int(1, dim)
        : dim === null
          ? createProtoWriter()
          : createProtoWriter().text(2, dim),
    );
  const tensor = createProtoWriter().int(1, type).message(2, shape);
  return writer.message(2, createProtoWriter().message(1, tensor));
}

function readNode(bytes: Uint8Array): ForeignNode {
  const node = fieldsOf(bytes);
  for (const raw of node.all(5)) {
    const attribute = fieldsOf(raw);
    if (attribute.some((field) => HIDING_FIELDS.has(field)))
      throw new GraphError('an attribute holds a graph or a sparse tensor');
    for (const tensor of [...attribute.all(5), ...attribute.all(10)])
      if (fieldsOf(tensor).some((field) => field === 13 || field === 14))
        throw new GraphError('an attribute names a file');
  }
  return { op: node.text(4), domain: node.text(7), inputs: node.texts(1), outputs: node.texts(2), raw: bytes };
}

function readTensor(bytes: Uint8Array): ForeignTensor {
  const tensor = fieldsOf(bytes);
  const [name, type, dims] = [tensor.text(8), tensor.int(2), tensor.ints(1)];
  if (tensor.int(14) === EXTERNAL) {
    const entries = new Map(tensor.all(13).map((one) => [fieldsOf(one).text(1), fieldsOf(one).text(2)]));
    const elements = dims.reduce((product, dim) => product * dim, 1);
    const length = entries.get('length') ?? String(elements * (ELEMENT_BYTES[type] ?? 0));
    return {
      name,
      type,
      dims,
      data: {
        location: entries.get('location') ?? '',
        offset: decimal(entries.get('offset') ?? '0'),
        length: decimal(length),
      },
    };
  }
  return { name, type, dims, data: tensorBytes(tensor, type) };
}

/** Raw, or in the lists that small tensors are written in. */
function tensorBytes(tensor: Fields, type: number): Uint8Array {
  const [raw] = tensor.all(9);
  if (raw !== undefined) return raw;
  const [floats] = tensor.all(4);
  if (type === 1 && floats !== undefined) return floats;
  if (type === 11 && tensor.all(10)[0] !== undefined) return tensor.all(10)[0] as Uint8Array;
  if (type === 7) return bytesOf(BigInt64Array.from(tensor.packed(7)));
  const words = tensor.packed(5).map(Number);
  if (type === 6) return bytesOf(Int32Array.from(words));
  if (type === 2 || type === 9 || type === 3) return Uint8Array.from(words, (word) => word & 0xff);
  if (type === 10 || type === 16 || type === 4 || type === 5)
    return bytesOf(Uint16Array.from(words, (word) => word & 0xffff));
  return new Uint8Array();
}

function bytesOf({ buffer, byteOffset, byteLength }: BigInt64Array | Int32Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function decimal(text: string): number {
  if (!/^(0|[1-9][0-9]{0,15})$/.test(text)) throw new GraphError(`not a length: ${text.slice(0, 20)}`);
  return Number(text);
}

function readValue(bytes: Uint8Array): ForeignValue {
  const value = fieldsOf(bytes);
  const [typeBytes] = value.all(2);
  const tensorBytes = typeBytes === undefined ? undefined : fieldsOf(typeBytes).all(1)[0];
  if (tensorBytes === undefined) throw new GraphError(`${value.text(1)} is no tensor`);
  const tensor = fieldsOf(tensorBytes);
  const [shape] = tensor.all(2);
  const dims = shape === undefined ? [] : fieldsOf(shape).all(1).map(readDim);
  return { name: value.text(1), type: tensor.int(1), dims };
}

function readDim(bytes: Uint8Array): ForeignDim {
  const dim = fieldsOf(bytes);
  const name = dim.text(2);
  if (name !== '') return name;
  return dim.some((field) => field === 1) ? dim.int(1) : null;
}

interface Fields {
  int(field: number): number;
  ints(field: number): number[];
  text(field: number): string;
  texts(field: number): string[];
  all(field: number): Uint8Array[];
  /** Varints, one by one or packed. */
  packed(field: number): bigint[];
  some(test: (field: number) => boolean): boolean;
}

function fieldsOf(bytes: Uint8Array): Fields {
  const fields = readProtoFields(bytes);
  const of = <K extends ProtoField['kind']>(field: number, kind: K) =>
    fields.flatMap((item) =>
      item.field === field && item.kind === kind ? [item as Extract<ProtoField, { kind: K }>] : [],
    );
  const all = (field: number) => of(field, 'bytes').map(({ value }) => value);
  const packed = (field: number) => [...of(field, 'int').map(({ value }) => value), ...all(field).flatMap(varints)];
  const texts = (field: number) => all(field).map(decodeText);
  return {
    int: (field) => safeInteger(of(field, 'int')[0]?.value ?? 0n),
    ints: (field) => packed(field).map(safeInteger),
    text: (field) => texts(field)[0] ?? '',
    texts,
    all,
    packed: (field) => packed(field).map((value) => BigInt.asIntN(64, value)),
    some: (test) => fields.some(({ field }) => test(field)),
  };
}

function varints(bytes: Uint8Array): bigint[] {
  const values: bigint[] = [];
  let [value, shift] = [0n, 0n];
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (shift > 70n) throw new GraphError('a varint is longer than ten bytes');
    if (byte >= 0x80) continue;
    values.push(BigInt.asUintN(64, value));
    [value, shift] = [0n, 0n];
  }
  if (shift > 0n) throw new GraphError('a varint runs past the end');
  return values;
}
