// ONNX models of the small language that this program writes and runs, as plain data, to and from bytes (onnx.proto of IR 10).
// The reader trusts nothing and knows only what the writer emits: functions, sub-graphs, metadata or sparse tensors are refused as unknown fields.

import { GraphError } from './errors.ts';
import {
  createProtoWriter,
  decodeText,
  type ProtoField,
  type ProtoWriter,
  readProtoFields,
  safeInteger,
} from './protobuf.ts';

/** Tensor element types by their numbers in onnx.proto. */
const TYPE_NUMBER = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7, f16: 10 } as const;
export type OnnxType = keyof typeof TYPE_NUMBER;
/** Bytes per element. */
export const TYPE_BYTES: Readonly<Record<OnnxType, number>> = { f32: 4, u8: 1, i8: 1, i32: 4, i64: 8, f16: 2 };

/** Where an initializer's bytes lie in a file beside the graph. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

export interface OnnxTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly dims: readonly number[];
  /** Little-endian bytes, or the place of them. */
  readonly data: Uint8Array | ExternalData;
}

export type OnnxAttribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] };

/** Attributes by their kind. */
export const attribute = {
  int: (value: number): OnnxAttribute => ({ kind: 'int', value }),
  float: (value: number): OnnxAttribute => ({ kind: 'float', value }),
  ints: (value: readonly number[]): OnnxAttribute => ({ kind: 'ints', value }),
} as const;

export interface OnnxNode {
  readonly op: string;
  /** '' is ONNX itself. */
  readonly domain: string;
  readonly name: string;
  /** An empty name leaves an optional input or output out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A graph input or output. A sequence is one of f32 tensors of any shape, and has no dims. */
export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType | 'sequence';
  readonly dims: readonly (number | string)[];
}

export interface OnnxModel {
  readonly irVersion: number;
  readonly producer: string;
  /** Domain -> version. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;
const LOCATION_EXTERNAL = 1;

/** The same model gives the same bytes. */
export function encodeModel(model: OnnxModel): Uint8Array {
  const graph = createProtoWriter();
  for (const node of model.nodes) graph.message(1, writeNode(node));
  graph.text(2, model.name);
  for (const tensor of model.initializers) graph.message(5, writeTensor(tensor));
  for (const value of model.inputs) graph.message(11, writeValue(value));
  for (const value of model.outputs) graph.message(12, writeValue(value));
  const writer = createProtoWriter().int(1, model.irVersion).text(2, model.producer).message(7, graph);
  for (const [domain, version] of Object.entries(model.opsets))
    writer.message(8, createProtoWriter().text(1, domain).int(2, version));
  return writer.finish();
}

function writeNode(node: OnnxNode): ProtoWriter {
  const writer = createProtoWriter();
  for (const input of node.inputs) writer.text(1, input);
  for (const output of node.outputs) writer.text(2, output);
  writer.text(3, node.name).text(4, node.op);
  for (const [name, attribute] of Object.entries(node.attributes)) writer.message(5, writeAttribute(name, attribute));
  return node.domain === '' ? writer : writer.text(7, node.domain);
}

function writeAttribute(name: string, attribute: OnnxAttribute): ProtoWriter {
  const writer = createProtoWriter().text(1, name);
  if (attribute.kind === 'int') return writer.int(3, attribute.value).int(20, ATTRIBUTE_INT);
  if (attribute.kind === 'float') return writer.float(2, attribute.value).int(20, ATTRIBUTE_FLOAT);
  for (const value of attribute.value) writer.int(8, value);
  return writer.int(20, ATTRIBUTE_INTS);
}

function writeTensor(tensor: OnnxTensor): ProtoWriter {
  const writer = createProtoWriter();
  for (const dim of tensor.dims) writer.int(1, dim);
  writer.int(2, TYPE_NUMBER[tensor.type]).text(8, tensor.name);
  if (tensor.data instanceof Uint8Array) return writer.bytes(9, tensor.data);
  for (const key of ['location', 'offset', 'length'] as const)
    writer.message(13, createProtoWriter().text(1, key).text(2, String(tensor.data[key])));
  return writer.int(14, LOCATION_EXTERNAL);
}

function writeValue(value: OnnxValue): ProtoWriter {
  return createProtoWriter()
    .text(1, value.name)
    .message(2, value.type === 'sequence' ? sequenceType() : tensorType(value.type, value.dims));
}

function tensorType(type: OnnxType, dims: readonly (number | string)[]): ProtoWriter {
  const shape = createProtoWriter();
  for (const dim of dims)
    shape.message(1, typeof dim === 'number' ? createProtoWriter().int(1, dim) : createProtoWriter().text(2, dim));
  return createProtoWriter().message(1, createProtoWriter().int(1, TYPE_NUMBER[type]).message(2, shape));
}

/** No dims: a sequence of tensors of any shape. */
function sequenceType(): ProtoWriter {
  const element = createProtoWriter().message(1, createProtoWriter().int(1, TYPE_NUMBER.f32));
  return createProtoWriter().message(4, createProtoWriter().message(1, element));
}

/** Throws GraphError unless the bytes are a model of this language. Weights named as external are not looked at. */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  const model = message(bytes, 'model', { int: [1], text: [2], messages: [7, 8] });
  const [graphBytes, ...others] = model.many(7);
  if (graphBytes === undefined || others.length > 0) throw new GraphError('a model has one graph');
  const graph = message(graphBytes, 'graph', { text: [2], messages: [1, 5, 11, 12] });
  return {
    irVersion: model.int(1),
    producer: model.text(2),
    opsets: Object.fromEntries(model.many(8).map(readOpset)),
    name: graph.text(2),
    nodes: graph.many(1).map(readNode),
    initializers: graph.many(5).map(readTensor),
    inputs: graph.many(11).map(readValue),
    outputs: graph.many(12).map(readValue),
  };
}

function readOpset(bytes: Uint8Array): [string, number] {
  const opset = message(bytes, 'opset', { int: [2], text: [1] });
  return [opset.text(1), opset.int(2)];
}

function readNode(bytes: Uint8Array): OnnxNode {
  const node = message(bytes, 'node', { text: [3, 4, 7], texts: [1, 2], messages: [5] });
  return {
    op: node.text(4),
    domain: node.text(7),
    name: node.text(3),
    inputs: node.texts(1),
    outputs: node.texts(2),
    attributes: Object.fromEntries(node.many(5).map(readAttribute)),
  };
}

function readAttribute(bytes: Uint8Array): [string, OnnxAttribute] {
  const attribute = message(bytes, 'attribute', { int: [3, 20], ints: [8], float: [2], text: [1] });
  const name = attribute.text(1);
  const type = attribute.int(20);
  if (type === ATTRIBUTE_INT) return [name, { kind: 'int', value: attribute.int(3) }];
  if (type === ATTRIBUTE_FLOAT) return [name, { kind: 'float', value: attribute.float(2) }];
  if (type === ATTRIBUTE_INTS) return [name, { kind: 'ints', value: attribute.ints(8) }];
  throw new GraphError(`attribute ${name} has type ${type}`);
}

function readTensor(bytes: Uint8Array): OnnxTensor {
  const tensor = message(bytes, 'tensor', { int: [2, 14], ints: [1], text: [8], bytes: [9], messages: [13] });
  const type = typeOf(tensor.int(2));
  const name = tensor.text(8);
  const dims = tensor.ints(1);
  if (tensor.int(14) !== LOCATION_EXTERNAL) return { name, type, dims, data: tensor.bytes(9) };
  const entries = new Map(tensor.many(13).map(readEntry));
  return {
    name,
    type,
    dims,
    data: {
      location: entries.get('location') ?? '',
      offset: decimal(entries.get('offset')),
      length: decimal(entries.get('length')),
    },
  };
}

function readEntry(bytes: Uint8Array): [string, string] {
  const entry = message(bytes, 'external data', { text: [1, 2] });
  return [entry.text(1), entry.text(2)];
}

function decimal(text: string | undefined): number {
  if (text === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(text)) throw new GraphError(`not a length: ${text}`);
  return Number(text);
}

function readValue(bytes: Uint8Array): OnnxValue {
  const value = message(bytes, 'value', { text: [1], messages: [2] });
  const type = message(one(value.many(2), 'type'), 'type', { messages: [1, 4] });
  const name = value.text(1);
  if (type.many(4).length > 0) return { name, type: 'sequence', dims: [] };
  const tensor = message(one(type.many(1), 'tensor type'), 'tensor type', { int: [1], messages: [2] });
  const shape = message(one(tensor.many(2), 'shape'), 'shape', { messages: [1] });
  return { name, type: typeOf(tensor.int(1)), dims: shape.many(1).map(readDim) };
}

function readDim(bytes: Uint8Array): number | string {
  const dim = message(bytes, 'dimension', { int: [1], text: [2] });
  return dim.text(2) === '' ? dim.int(1) : dim.text(2);
}

function one(list: readonly Uint8Array[], what: string): Uint8Array {
  const [only] = list;
  if (only === undefined || list.length > 1) throw new GraphError(`one ${what} expected`);
  return only;
}

function typeOf(number: number): OnnxType {
  for (const [type, known] of Object.entries(TYPE_NUMBER)) if (known === number) return type as OnnxType;
  throw new GraphError(`element type ${number}`);
}

/** Which fields a message may have and how each is read; anything else is refused. */
interface Fields {
  readonly int?: readonly number[];
  readonly ints?: readonly number[];
  readonly float?: readonly number[];
  readonly text?: readonly number[];
  readonly texts?: readonly number[];
  readonly bytes?: readonly number[];
  readonly messages?: readonly number[];
}

interface Message {
  int(field: number): number;
  ints(field: number): number[];
  float(field: number): number;
  text(field: number): string;
  texts(field: number): string[];
  bytes(field: number): Uint8Array;
  many(field: number): Uint8Array[];
}

function message(bytes: Uint8Array, what: string, allowed: Fields): Message {
  const fields = readProtoFields(bytes);
  const kinds = kindsOf(allowed);
  const single = new Set([
    ...(allowed.int ?? []),
    ...(allowed.float ?? []),
    ...(allowed.text ?? []),
    ...(allowed.bytes ?? []),
  ]);
  const seen = new Set<number>();
  for (const { field, kind } of fields) {
    if (kinds.get(field) !== kind) throw new GraphError(`${what}: field ${field} is not in the language`);
    if (single.has(field) && seen.has(field)) throw new GraphError(`${what}: field ${field} stands twice`);
    seen.add(field);
  }
  const pick = <K extends ProtoField['kind']>(field: number, kind: K) =>
    fields.flatMap((item) =>
      item.field === field && item.kind === kind ? [item as Extract<ProtoField, { kind: K }>] : [],
    );
  const texts = (field: number) => pick(field, 'bytes').map((item) => decodeText(item.value));
  const ints = (field: number) => pick(field, 'int').map((item) => safeInteger(item.value));
  return {
    int: (field) => ints(field)[0] ?? 0,
    ints,
    float: (field) => pick(field, 'float')[0]?.value ?? 0,
    text: (field) => texts(field)[0] ?? '',
    texts,
    bytes: (field) => pick(field, 'bytes')[0]?.value ?? new Uint8Array(),
    many: (field) => pick(field, 'bytes').map((item) => item.value),
  };
}

function kindsOf(allowed: Fields): Map<number, ProtoField['kind']> {
  const kinds = new Map<number, ProtoField['kind']>();
  for (const field of [...(allowed.int ?? []), ...(allowed.ints ?? [])]) kinds.set(field, 'int');
  for (const field of allowed.float ?? []) kinds.set(field, 'float');
  for (const list of [allowed.text, allowed.texts, allowed.bytes, allowed.messages])
    for (const field of list ?? []) kinds.set(field, 'bytes');
  return kinds;
}
