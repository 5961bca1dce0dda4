// Shards of an encoder of the BERT family as ONNX graphs: embeddings, post-norm blocks [from, to), pooling. Stateless: a whole batch of sequences in
// one run, padded on the right, with a mask. A cut lies behind a norm, so that no fusion of the runtime crosses it (engine.md 1.3).

import { createGraphBuilder, type GraphBuilder } from './builder.ts';
import {
  biasOf,
  denseTensor,
  EMBED_NORM,
  type Encoder,
  type EncoderLinear,
  embeddingSize,
  encoderLinearDims,
  encoderTensor,
  encoderWeights,
  type HeadStep,
  POSITION,
  type Pooling,
  RELATIVE,
  SEGMENT,
  WORD,
} from './encoder-weights.ts';
import type { LayerFormats, WeightFormat } from './formats.ts';
import { createConstants, createLinear, type Linear, type PublishedProfile } from './linear.ts';
import { attribute, type ExternalData, type OnnxModel } from './onnx.ts';
import { createStoredTensors, type StoredTensors, TO_FLOAT } from './stored.ts';

export interface EncoderShardOptions extends Encoder {
  readonly format: WeightFormat;
  /** Linear layers that are stored otherwise. */
  readonly layers?: LayerFormats | undefined;
  /** Blocks [from, to). */
  readonly from: number;
  readonly to: number;
  /** `serve`: the last shard gives a vector per sequence; `det`: its probe columns of all rows (protocol.md 5). */
  readonly profile: PublishedProfile;
  readonly probe: readonly number[];
  readonly places: ReadonlyMap<string, ExternalData>;
}

/** Names of the ports. Ids, mask and segments are i32 (B, S); the mask is 1 for a token and 0 for padding. */
export const ENCODER_PORT = {
  ids: 'input_ids',
  mask: 'attention_mask',
  segments: 'token_type_ids',
  embedding: 'embedding',
  probe: 'probe',
} as const;

/** The tensor between two shards: what comes out of the blocks below `block`, f32 (B, S, width). */
function encoderBorder(block: number): string {
  return `hidden.${block}`;
}

const MICROSOFT = 'com.microsoft';
const OPSETS = { '': 23, [MICROSOFT]: 1 };
const LAST_AXIS = attribute.int(-1);
/** What sentence-transformers divides by and masks with: a row of padding alone stays finite. */
const SMALLEST_COUNT = 1e-9;
const MASKED_OUT = -1e9;
const SMALLEST_NORM = 1e-12;

interface Building extends EncoderShardOptions, StoredTensors {
  readonly graph: GraphBuilder;
  readonly linear: Linear;
  readonly constants: ReturnType<typeof createConstants>;
}

/** Builds one shard; the same options give the same graph. Takes ids when `from` is 0 and ends the model when `to` is its last block. */
export function encoderShard(options: EncoderShardOptions): OnnxModel {
  const { shape, from, to, profile } = options;
  const graph = createGraphBuilder(`encoder-${from}-${to}-${profile}`);
  const tensors = createStoredTensors(graph, encoderWeights(options, options.format, options.layers), options.places);
  const linear = createLinear({ ...options, graph, ...tensors });
  const building: Building = { ...options, graph, linear, constants: createConstants(graph), ...tensors };
  const border = ['B', 'S', shape.width];
  let hidden = from === 0 ? embeddings(building) : graph.input(encoderBorder(from), 'f32', border); // (B, S, width)
  const mask = graph.input(ENCODER_PORT.mask, 'i32', ['B', 'S']);
  const bias = options.encoder.relative ? relativeBias(building, mask) : '';
  for (let block = from; block < to; block++) hidden = encoderBlock(building, block, hidden, { mask, bias });
  if (to < shape.blocks) {
    graph.node('Identity', [hidden], { outputs: [encoderBorder(to)] });
    graph.output(encoderBorder(to), 'f32', border);
  } else if (profile === 'det') probeColumns(building, hidden);
  else pooled(building, hidden, mask);
  return graph.finish(OPSETS);
}

/** Word, position and segment, normalised. */
function embeddings(building: Building): string {
  const { graph, constants, encoder, stored, widen, float } = building;
  const ids = graph.input(ENCODER_PORT.ids, 'i32', ['B', 'S']);
  const row = (table: string, indices: string) =>
    widen(table, graph.node('Gather', [stored(table), indices], { attributes: { axis: attribute.int(0) } }));
  const words = row(WORD, ids);
  const typed =
    encoder.types > 0
      ? graph.node('Add', [words, row(SEGMENT, graph.input(ENCODER_PORT.segments, 'i32', ['B', 'S']))])
      : words;
  const length = graph.node('Shape', [ids], { attributes: { start: attribute.int(1), end: attribute.int(2) } });
  const zero = constants.integers([0]);
  const positions = graph.node('Slice', [float(POSITION), zero, length, zero]); // (S, width)
  return norm(building, graph.node('Add', [typed, positions]), EMBED_NORM);
}

/** What attention is told beside its rows: the mask (B, S), and '' or what is added to its scores (1, heads, S, S). */
interface Seen {
  readonly mask: string;
  readonly bias: string;
}

function encoderBlock(building: Building, block: number, hidden: string, seen: Seen): string {
  const { graph, encoder } = building;
  const mixed = attention(building, block, biased(building, block, hidden, 'qkv'), seen);
  const middle = graph.node('Add', [biased(building, block, mixed, 'out'), hidden]);
  const normed = norm(building, middle, encoderTensor(block, 'attn_norm'));
  const inner = activated(building, biased(building, block, normed, 'up'), encoder.activation); // (B, S, ffn)
  const outer = graph.node('Add', [biased(building, block, inner, 'down'), normed]);
  return norm(building, outer, encoderTensor(block, 'ffn_norm'));
}

function biased(building: Building, block: number, input: string, part: EncoderLinear): string {
  const name = encoderTensor(block, part);
  const product = building.linear(input, name, encoderLinearDims(building.shape, name));
  return building.graph.node('Add', [product, building.float(biasOf(name))]);
}

/** (B, S) -> (1, heads, S, S) */
function relativeBias({ graph, constants, shape, float }: Building, mask: string): string {
  const all = Array.from({ length: shape.maxContext }, (_, i) => i);
  const length = graph.node('Shape', [mask], { attributes: { start: attribute.int(1), end: attribute.int(2) } });
  const zero = constants.integers([0]);
  const places = graph.node('Slice', [constants.integers(all, [all.length], 'places'), zero, length, zero]); // (S)
  const keys = graph.node('Unsqueeze', [places, zero]); // (1, S)
  const queries = graph.node('Unsqueeze', [places, constants.integers([1])]); // (S, 1)
  const apart = graph.node('Sub', [keys, queries]);
  const rows = graph.node('Add', [apart, constants.integers([shape.maxContext - 1], [])]); // (S, S)
  const bias = graph.node('Gather', [float(RELATIVE), rows], { attributes: { axis: attribute.int(0) } }); // (S, S, heads)
  const turned = graph.node('Transpose', [bias], { attributes: { perm: attribute.ints([2, 0, 1]) } });
  return graph.node('Unsqueeze', [turned, zero]);
}

/** (B, S, 3 width) -> (B, S, width) */
function attention({ graph, shape }: Building, block: number, qkv: string, { mask, bias }: Seen): string {
  const parts = [`query.${block}`, `key.${block}`, `value.${block}`];
  graph.node('Split', [qkv], { outputs: parts, attributes: { axis: LAST_AXIS, num_outputs: attribute.int(3) } });
  return graph.node('MultiHeadAttention', [...parts, '', mask, ...(bias === '' ? [] : [bias])], {
    domain: MICROSOFT,
    attributes: { num_heads: attribute.int(shape.heads) },
  });
}

function activated({ graph, constants }: Building, input: string, kind: Encoder['encoder']['activation']): string {
  switch (kind) {
    case 'gelu':
      return graph.node('Gelu', [input]);
    case 'gelu_tanh':
      return graph.node('FastGelu', [input], { domain: MICROSOFT });
    case 'relu':
      return graph.node('Relu', [input]);
    case 'silu':
      return graph.node('Mul', [input, graph.node('Sigmoid', [input])]);
    case 'quick_gelu': {
      const steep = graph.node('Mul', [input, constants.float(1.702)]);
      return graph.node('Mul', [input, graph.node('Sigmoid', [steep])]);
    }
  }
}

function norm({ graph, shape, float }: Building, input: string, name: string): string {
  const attributes = { axis: LAST_AXIS, epsilon: attribute.float(Math.fround(shape.eps)) };
  return graph.node('LayerNormalization', [input, float(name), float(biasOf(name))], { attributes });
}

function probeColumns({ graph, constants, probe }: Building, hidden: string): void {
  const columns = constants.integers(probe, [probe.length], 'probe');
  graph.node('Gather', [hidden, columns], { outputs: [ENCODER_PORT.probe], attributes: { axis: LAST_AXIS } });
  graph.output(ENCODER_PORT.probe, 'f32', ['B', 'S', probe.length]);
}

/** (B, S, width) -> (B, size) */
function pooled(building: Building, hidden: string, mask: string): void {
  const { graph, constants, encoder } = building;
  const kept = graph.node('Unsqueeze', [
    graph.node('Cast', [mask], { attributes: { to: TO_FLOAT } }),
    constants.integers([2]),
  ]); // (B, S, 1)
  const parts = encoder.pooling.map((kind) => poolOne(building, kind, hidden, kept));
  const [first = ''] = parts;
  let vector = parts.length === 1 ? first : graph.node('Concat', parts, { attributes: { axis: LAST_AXIS } });
  encoder.head.forEach((step, i) => {
    vector = headStep(building, vector, step, i);
  });
  graph.node('Identity', [vector], { outputs: [ENCODER_PORT.embedding] });
  graph.output(ENCODER_PORT.embedding, 'f32', ['B', embeddingSize(building)]);
}

function poolOne({ graph, constants }: Building, kind: Pooling, hidden: string, kept: string): string {
  const overRows = { attributes: { keepdims: attribute.int(0) } };
  const rows = constants.integers([1]);
  if (kind === 'cls')
    return graph.node('Gather', [hidden, constants.integers([0], [])], { attributes: { axis: attribute.int(1) } });
  const masked = graph.node('Mul', [hidden, kept]);
  if (kind === 'max') {
    const away = graph.node('Mul', [graph.node('Sub', [constants.float(1), kept]), constants.float(MASKED_OUT)]);
    return graph.node('ReduceMax', [graph.node('Add', [masked, away]), rows], overRows);
  }
  const sum = graph.node('ReduceSum', [masked, rows], overRows); // (B, width)
  const count = graph.node('Max', [graph.node('ReduceSum', [kept, rows], overRows), constants.float(SMALLEST_COUNT)]); // (B, 1)
  return graph.node('Div', [sum, kind === 'mean' ? count : graph.node('Sqrt', [count])]);
}

function headStep({ graph, constants, float }: Building, vector: string, step: HeadStep, place: number): string {
  if (step.kind === 'normalize') {
    const length = graph.node('ReduceL2', [vector, constants.integers([-1])], {
      attributes: { keepdims: attribute.int(1) },
    });
    return graph.node('Div', [vector, graph.node('Max', [length, constants.float(SMALLEST_NORM)])]);
  }
  const name = denseTensor(place);
  const product = graph.node('MatMul', [vector, float(name)]);
  const sum = step.bias ? graph.node('Add', [product, float(biasOf(name))]) : product;
  return step.activation === 'tanh' ? graph.node('Tanh', [sum]) : sum;
}
