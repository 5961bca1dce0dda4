// Shards of a Llama-style decoder as ONNX graphs: blocks [from, to) with their KV caches as ports (engine.md 1.2, 1.3, 2.2).
// Weights are f16 in files beside the graph and cast to f32 here; the runtime folds the casts at load. All arithmetic is f32 and the norms are
// Add + RMSNormalization, so that neither batch nor cut nor threads change a bit.

import { createGraphBuilder, type GraphBuilder } from './builder.ts';
import type { ExternalData, OnnxAttribute, OnnxModel } from './onnx.ts';
import {
  type blockParts,
  blockTensor,
  EMBED,
  FINAL_NORM,
  HEAD,
  type LlamaShape,
  llamaWeights,
  ROPE_COS,
  ROPE_SIN,
} from './weights.ts';

export interface ShardOptions {
  readonly shape: LlamaShape;
  /** The head is the transposed embedding. */
  readonly tie: boolean;
  /** Blocks [from, to). */
  readonly from: number;
  readonly to: number;
  /** `serve`: the last shard gives the best candidates of the last row; `det`: its probe columns of all rows (protocol.md 5). */
  readonly profile: 'serve' | 'det';
  readonly probe: readonly number[];
  readonly places: ReadonlyMap<string, ExternalData>;
}

/** Candidates that the last shard answers with; sampling never looks at more (engine.md 2.2). */
export const TOP_K = 64;

/** Names of the ports, which the engine feeds and fetches. */
export const PORT = {
  ids: 'input_ids',
  hiddenIn: 'hidden_in',
  hiddenOut: 'hidden_out',
  /** Per sequence: total length - 1, i32 (B). */
  seqlens: 'seqlens_k',
  /** The longest total length of the batch, i32 (1). */
  total: 'total_sequence_length',
  topIds: 'topk_ids',
  topValues: 'topk_values',
  logSumExp: 'logsumexp',
  probe: 'probe',
  /** Makes the binding leave pre-allocated outputs alone (engine.md 1.2). */
  quiet: 'quiet',
} as const;

const MICROSOFT = 'com.microsoft';
/** RMSNormalization came with opset 23. */
const OPSETS = { '': 23, [MICROSOFT]: 1 };
/** onnx.proto's number of FLOAT and INT32, for Cast. */
const TO_FLOAT = 1;
const TO_INT32 = 6;

/** Names of the KV ports of one block, each f32 (B, kvHeads, capacity, headDim); past and present may be the same memory. */
export function kvPorts(block: number) {
  return {
    pastKey: `past_key.${block}`,
    pastValue: `past_value.${block}`,
    presentKey: `present_key.${block}`,
    presentValue: `present_value.${block}`,
  };
}

/** Builds one shard; the same options give the same graph. Takes ids when `from` is 0 and ends the model when `to` is its last block. */
export function llamaShard(options: ShardOptions): OnnxModel {
  const { shape, from, to } = options;
  const graph = createGraphBuilder(`blocks-${from}-${to}-${options.profile}`);
  const weight = createWeights(graph, options);
  graph.node('SequenceEmpty', [], { outputs: [PORT.quiet], attributes: { dtype: int(TO_FLOAT) } });
  graph.output(PORT.quiet, 'sequence', []);
  const start = from === 0 ? embedding(graph, weight) : graph.input(PORT.hiddenIn, 'f32', ['B', 'S', shape.width]);
  graph.input(PORT.seqlens, 'i32', ['B']);
  graph.input(PORT.total, 'i32', [1]);
  let hidden = start; // (B, S, width)
  for (let block = from; block < to; block++) hidden = decoderBlock(graph, weight, shape, block, hidden);
  if (to < shape.blocks) emit(graph, hidden, shape.width);
  else if (options.profile === 'serve') candidates(graph, weight, options, hidden);
  else probeColumns(graph, weight, options, hidden);
  return graph.finish(OPSETS);
}

type Weights = (name: string) => string;

/** Answers the f32 value of a stored tensor, cast once per graph. */
function createWeights(graph: GraphBuilder, { shape, tie, places }: ShardOptions): Weights {
  const specs = new Map(llamaWeights(shape, tie).map((spec) => [spec.name, spec]));
  const values = new Map<string, string>();
  return (name) => {
    const known = values.get(name);
    if (known !== undefined) return known;
    const spec = specs.get(name);
    const place = places.get(name);
    if (spec === undefined || place === undefined) throw new RangeError(`no such tensor: ${name}`);
    const stored = graph.constant(name, spec.type, spec.dims, place);
    const value = spec.type === 'f16' ? graph.node('Cast', [stored], { attributes: { to: int(TO_FLOAT) } }) : stored;
    values.set(name, value);
    return value;
  };
}

function embedding(graph: GraphBuilder, weight: Weights): string {
  const ids = graph.input(PORT.ids, 'i64', ['B', 'S']);
  return graph.node('Gather', [weight(EMBED), ids], { attributes: { axis: int(0) } });
}

function decoderBlock(graph: GraphBuilder, weight: Weights, shape: LlamaShape, block: number, hidden: string): string {
  const part = (name: keyof ReturnType<typeof blockParts>) => weight(blockTensor(block, name));
  const attended = attention(graph, weight, shape, block, norm(graph, shape, hidden, part('attn_norm')));
  const middle = graph.node('Add', [hidden, graph.node('MatMul', [attended, part('out')])]);
  const normed = norm(graph, shape, middle, part('ffn_norm'));
  const gate = graph.node('MatMul', [normed, part('gate')]); // (B, S, ffn)
  const up = graph.node('MatMul', [normed, part('up')]);
  const silu = graph.node('Mul', [gate, graph.node('Sigmoid', [gate])]);
  return graph.node('Add', [middle, graph.node('MatMul', [graph.node('Mul', [silu, up]), part('down')])]);
}

/** (B, S, width) -> (B, S, heads * headDim). Packed queries, keys and values leave the second and third input empty. */
function attention(graph: GraphBuilder, weight: Weights, shape: LlamaShape, block: number, normed: string): string {
  const ports = kvPorts(block);
  const cache = ['B', shape.kvHeads, 'P', shape.headDim];
  for (const name of [ports.pastKey, ports.pastValue]) graph.input(name, 'f32', cache);
  for (const name of [ports.presentKey, ports.presentValue]) graph.output(name, 'f32', cache);
  const qkv = graph.node('MatMul', [normed, weight(blockTensor(block, 'qkv'))]);
  const positions = [PORT.seqlens, PORT.total, weight(ROPE_COS), weight(ROPE_SIN)];
  return graph.node('GroupQueryAttention', [qkv, '', '', ports.pastKey, ports.pastValue, ...positions], {
    domain: MICROSOFT,
    outputs: [`attention.${block}`, ports.presentKey, ports.presentValue],
    attributes: {
      num_heads: int(shape.heads),
      kv_num_heads: int(shape.kvHeads),
      do_rotary: int(1),
      rotary_interleaved: int(0),
    },
  });
}

function norm(graph: GraphBuilder, shape: LlamaShape, hidden: string, scale: string): string {
  const attributes = { axis: int(-1), epsilon: { kind: 'float', value: Math.fround(shape.eps) } } as const;
  return graph.node('RMSNormalization', [hidden, scale], { attributes });
}

function emit(graph: GraphBuilder, hidden: string, width: number): void {
  graph.node('Identity', [hidden], { outputs: [PORT.hiddenOut] });
  graph.output(PORT.hiddenOut, 'f32', ['B', 'S', width]);
}

/** The head runs for the last row only: prompts pay for one row of logits. */
function candidates(graph: GraphBuilder, weight: Weights, { shape, tie }: ShardOptions, hidden: string): void {
  const count = Math.min(TOP_K, shape.vocab);
  const last = graph.node('Gather', [hidden, integers(graph, 'last', [-1], [])], { attributes: { axis: int(1) } }); // (B, width)
  const normed = norm(graph, shape, last, weight(FINAL_NORM));
  const head = tie ? graph.node('Transpose', [weight(EMBED)], { attributes: { perm: ints([1, 0]) } }) : weight(HEAD);
  const logits = graph.node('MatMul', [normed, head]); // (B, vocab)
  const best = graph.node('TopK', [logits, integers(graph, 'k', [count], [1])], {
    outputs: [PORT.topValues, 'topk_ids.i64'],
    attributes: { axis: int(-1), largest: int(1), sorted: int(1) },
  });
  graph.output(best, 'f32', ['B', count]);
  graph.node('Cast', ['topk_ids.i64'], { outputs: [PORT.topIds], attributes: { to: int(TO_INT32) } });
  graph.output(PORT.topIds, 'i32', ['B', count]);
  graph.node('ReduceLogSumExp', [logits, integers(graph, 'last_axis', [-1], [1])], {
    outputs: [PORT.logSumExp],
    attributes: { keepdims: int(0) },
  });
  graph.output(PORT.logSumExp, 'f32', ['B']);
}

function probeColumns(graph: GraphBuilder, weight: Weights, { shape, tie, probe }: ShardOptions, hidden: string): void {
  const columns = integers(graph, 'columns', probe, [probe.length]);
  const table = graph.node('Gather', [weight(tie ? EMBED : HEAD), columns], { attributes: { axis: int(tie ? 0 : 1) } });
  const head = tie ? graph.node('Transpose', [table], { attributes: { perm: ints([1, 0]) } }) : table; // (width, columns)
  graph.node('MatMul', [norm(graph, shape, hidden, weight(FINAL_NORM)), head], { outputs: [PORT.probe] });
  graph.output(PORT.probe, 'f32', ['B', 'S', probe.length]);
}

function integers(graph: GraphBuilder, name: string, values: readonly number[], dims: readonly number[]): string {
  const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return graph.constant(name, 'i64', dims, data);
}

function int(value: number): OnnxAttribute {
  return { kind: 'int', value };
}

function ints(value: readonly number[]): OnnxAttribute {
  return { kind: 'ints', value };
}
