// Shards of a decoder of the Llama family as ONNX graphs: blocks [from, to) with their KV caches as ports (engine.md 1.2, 1.3, 2.2).
// Between linear layers all arithmetic is f32 and the norms are Add + RMSNormalization, so that neither cut nor threads change a bit. Where half precision
// will do, a GPU has f16 between the norms; the sums of the residual stream stay f32, since half precision overflows there.

import { createGraphBuilder, type GraphBuilder } from './builder.ts';
import { isFloat, type LayerFormats, layerFormat, type WeightFormat } from './formats.ts';
import { createConstants, createLinear, type DeviceProfile, type Linear, type Profile } from './linear.ts';
import { attribute, type ExternalData, type OnnxModel } from './onnx.ts';
import { createSight, plainAttention, type Sight } from './plain-attention.ts';
import { createStoredTensors, type StoredTensors, TO_FLOAT, TO_HALF } from './stored.ts';
import {
  blockTensor,
  EMBED,
  FINAL_NORM,
  HEAD,
  hasHead,
  type LinearPart,
  type Llama,
  linearDims,
  llamaWeights,
  ROPE_COS,
  ROPE_SIN,
  type VectorPart,
} from './weights.ts';

export interface ShardOptions extends Llama {
  readonly format: WeightFormat;
  /** Linear layers that are stored otherwise. */
  readonly layers?: LayerFormats | undefined;
  /** Blocks [from, to). */
  readonly from: number;
  readonly to: number;
  /** `det`: the last shard gives its probe columns of all rows (protocol.md 5); others: the best candidates of the last row. */
  readonly profile: Profile;
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
/** onnx.proto's number of INT32, for Cast. */
const TO_INT32 = attribute.int(6);

/** What caches hold. */
export const CACHE_TYPE = { serve: 'f32', det: 'f32', single: 'f32', half: 'f16' } as const;

/** Names of the KV ports of one block, each (B, kvHeads, capacity, headDim), of the profile's type; past and present may be the same memory. */
export function kvPorts(block: number) {
  return {
    pastKey: `past_key.${block}`,
    pastValue: `past_value.${block}`,
    presentKey: `present_key.${block}`,
    presentValue: `present_value.${block}`,
  };
}

/** What building a shard needs at every place. */
interface Building extends ShardOptions, StoredTensors {
  readonly graph: GraphBuilder;
  readonly linear: Linear;
  readonly constants: ReturnType<typeof createConstants>;
  /** In `single`. */
  readonly sight?: Sight;
}

function isForDevice(profile: Profile): profile is DeviceProfile {
  return profile === 'single' || profile === 'half';
}

/** Builds one shard; the same options give the same graph. Takes ids when `from` is 0 and ends the model when `to` is its last block. */
export function llamaShard(options: ShardOptions): OnnxModel {
  const { shape, from, to } = options;
  const graph = createGraphBuilder(`blocks-${from}-${to}-${options.profile}`);
  const plain = startBuilding(graph, options);
  if (!isForDevice(options.profile)) {
    graph.node('SequenceEmpty', [], { outputs: [PORT.quiet], attributes: { dtype: TO_FLOAT } });
    graph.output(PORT.quiet, 'sequence', []);
  }
  const start = from === 0 ? embedding(plain) : graph.input(PORT.hiddenIn, 'f32', ['B', 'S', shape.width]);
  const building = placed(plain);
  let hidden = start; // (B, S, width)
  for (let block = from; block < to; block++) hidden = decoderBlock(building, block, hidden);
  if (to < shape.blocks) emit(graph, hidden, shape.width);
  else if (options.profile === 'det') probeColumns(building, hidden);
  else candidates(building, hidden);
  return graph.finish(OPSETS);
}

function startBuilding(graph: GraphBuilder, options: ShardOptions): Building {
  const tensors = createStoredTensors(graph, llamaWeights(options, options.format, options.layers), options.places);
  const linear = createLinear({ ...options, graph, ...tensors });
  return { ...options, graph, linear, constants: createConstants(graph), ...tensors };
}

/** Adds the ports that say where rows stand. */
function placed(building: Building): Building {
  const { graph, profile, float } = building;
  if (profile === 'single')
    return { ...building, sight: createSight(building, { cos: float(ROPE_COS), sin: float(ROPE_SIN) }) };
  graph.input(PORT.seqlens, 'i32', ['B']);
  graph.input(PORT.total, 'i32', [1]);
  return building;
}

/** Only the rows that are asked for are cast: the table stays small in memory. */
function embedding({ graph, stored, widen }: Building): string {
  const ids = graph.input(PORT.ids, 'i64', ['B', 'S']);
  return widen(EMBED, graph.node('Gather', [stored(EMBED), ids], { attributes: { axis: attribute.int(0) } }));
}

function decoderBlock(building: Building, block: number, hidden: string): string {
  const { graph, shape } = building;
  const project = (input: string, part: LinearPart) => {
    const name = blockTensor(block, part);
    return building.linear(input, name, linearDims(shape, name));
  };
  const normed = (input: string, part: VectorPart) =>
    narrowed(building, norm(building, input, building.float(blockTensor(block, part))));
  const added = (sum: string, part: string) => graph.node('Add', [sum, widened(building, part)]);
  const qkv = project(normed(hidden, 'attn_norm'), 'qkv');
  const middle = added(hidden, project(attention(building, block, qkv), 'out'));
  const rows = normed(middle, 'ffn_norm');
  const gate = project(rows, 'gate'); // (B, S, ffn)
  const up = project(rows, 'up');
  const silu = graph.node('Mul', [gate, graph.node('Sigmoid', [gate])]);
  return added(middle, project(graph.node('Mul', [silu, up]), 'down'));
}

/** f32 -> what linear layers and attention of the profile take. */
function narrowed({ graph, profile }: Building, value: string): string {
  return profile === 'half' ? graph.node('Cast', [value], { attributes: { to: TO_HALF } }) : value;
}

/** And back. */
function widened({ graph, profile }: Building, value: string): string {
  return profile === 'half' ? graph.node('Cast', [value], { attributes: { to: TO_FLOAT } }) : value;
}

/** A stored tensor as linear layers and attention of the profile take it. */
function computed({ profile, float, half }: Building, name: string): string {
  return profile === 'half' ? half(name) : float(name);
}

/** (B, S, (heads + 2 kvHeads) * headDim) -> (B, S, heads * headDim) */
function attention(building: Building, block: number, qkv: string): string {
  const { graph, traits, sight } = building;
  const biased = traits.qkvBias ? graph.node('Add', [qkv, computed(building, blockTensor(block, 'qkv_bias'))]) : qkv;
  const heads = () => splitHeads(building, block, biased);
  if (sight !== undefined) return plainAttention(building, sight, kvPorts(block), heads());
  // Packed queries, keys and values leave the second and third input empty.
  return fusedAttention(building, block, traits.qkNorm ? heads() : [biased, '', '']);
}

function fusedAttention(building: Building, block: number, heads: readonly [string, string, string]): string {
  const { graph, shape, traits, profile } = building;
  const ports = kvPorts(block);
  const cache = ['B', shape.kvHeads, 'P', shape.headDim];
  const type = CACHE_TYPE[profile];
  for (const name of [ports.pastKey, ports.pastValue]) graph.input(name, type, cache);
  for (const name of [ports.presentKey, ports.presentValue]) graph.output(name, type, cache);
  const positions = [PORT.seqlens, PORT.total, computed(building, ROPE_COS), computed(building, ROPE_SIN)];
  return graph.node('GroupQueryAttention', [...heads, ports.pastKey, ports.pastValue, ...positions], {
    domain: MICROSOFT,
    outputs: [`attention.${block}`, ports.presentKey, ports.presentValue],
    attributes: {
      num_heads: attribute.int(shape.heads),
      kv_num_heads: attribute.int(shape.kvHeads),
      do_rotary: attribute.int(1),
      rotary_interleaved: attribute.int(0),
      ...(traits.window === null ? {} : { local_window_size: attribute.int(traits.window) }),
    },
  });
}

/** Queries and keys, every head normalised where the model does that, and values as they are. */
function splitHeads(building: Building, block: number, qkv: string): readonly [string, string, string] {
  const { graph, shape, traits, constants, float } = building;
  const sizes = [shape.heads, shape.kvHeads, shape.kvHeads].map((heads) => heads * shape.headDim);
  const parts = [`query.${block}`, `key.${block}`, `value.${block}`] as const;
  graph.node('Split', [qkv, constants.integers(sizes)], { outputs: parts, attributes: { axis: attribute.int(-1) } });
  const perHead = (input: string, heads: number, part: VectorPart) => {
    const split = graph.node('Reshape', [input, constants.integers([0, 0, heads, shape.headDim])]);
    const normed = norm(building, widened(building, split), float(blockTensor(block, part)));
    return graph.node('Reshape', [narrowed(building, normed), constants.integers([0, 0, heads * shape.headDim])]);
  };
  if (!traits.qkNorm) return parts;
  return [perHead(parts[0], shape.heads, 'q_norm'), perHead(parts[1], shape.kvHeads, 'k_norm'), parts[2]];
}

function norm({ graph, shape }: Building, hidden: string, scale: string): string {
  const attributes = { axis: attribute.int(-1), epsilon: attribute.float(Math.fround(shape.eps)) };
  return graph.node('RMSNormalization', [hidden, scale], { attributes });
}

function emit(graph: GraphBuilder, hidden: string, width: number): void {
  graph.node('Identity', [hidden], { outputs: [PORT.hiddenOut] });
  graph.output(PORT.hiddenOut, 'f32', ['B', 'S', width]);
}

/** The head runs for the last row only: prompts pay for one row of logits. */
function candidates(building: Building, hidden: string): void {
  const { graph, shape, profile, constants, float } = building;
  const count = Math.min(TOP_K, shape.vocab);
  const last = graph.node('Gather', [hidden, constants.integers([-1], [])], { attributes: { axis: attribute.int(1) } }); // (B, width)
  const normed = narrowed(building, norm(building, last, float(FINAL_NORM)));
  const logits = widened(building, head(building, normed)); // (B, vocab)
  const best = graph.node('TopK', [logits, constants.integers([count])], {
    outputs: [PORT.topValues, 'topk_ids.i64'],
    attributes: { axis: attribute.int(-1), largest: attribute.int(1), sorted: attribute.int(1) },
  });
  graph.output(best, 'f32', ['B', count]);
  graph.node('Cast', ['topk_ids.i64'], { outputs: [PORT.topIds], attributes: { to: TO_INT32 } });
  graph.output(PORT.topIds, 'i32', ['B', count]);
  if (isForDevice(profile)) summed(building, logits, best);
  else
    graph.node('ReduceLogSumExp', [logits, constants.integers([-1])], {
      outputs: [PORT.logSumExp],
      attributes: { keepdims: attribute.int(0) },
    });
  graph.output(PORT.logSumExp, 'f32', ['B']);
}

/** Log-sum-exp by hand, of which all parts have kernels that come with the CUDA provider: ReduceLogSumExp takes 350 MB of cuDNN. */
function summed({ graph, constants }: Building, logits: string, best: string): void {
  const largest = graph.node('Gather', [best, constants.integers([0])], { attributes: { axis: attribute.int(-1) } }); // (B, 1)
  const powers = graph.node('Exp', [graph.node('Sub', [logits, largest])]);
  const sum = graph.node('ReduceSum', [powers, constants.integers([-1])]); // (B, 1)
  const whole = graph.node('Add', [graph.node('Log', [sum]), largest]);
  graph.node('Reshape', [whole, constants.integers([-1])], { outputs: [PORT.logSumExp] });
}

/** (..., width) -> (..., vocab) */
function head(building: Building, normed: string): string {
  const { graph, shape, traits, format, layers, linear } = building;
  if (hasHead(traits, format, layers)) return linear(normed, HEAD, linearDims(shape, HEAD));
  return graph.node('MatMul', [
    normed,
    graph.node('Transpose', [computed(building, EMBED)], { attributes: { perm: attribute.ints([1, 0]) } }),
  ]);
}

/** Of floats only the probed columns of the head are multiplied; a quantised head is multiplied whole. */
function probeColumns(building: Building, hidden: string): void {
  const { graph, traits, format, layers = {}, constants, float, stored, widen, probe } = building;
  const normed = norm(building, hidden, float(FINAL_NORM));
  const columns = constants.integers(probe, [probe.length], 'probe');
  const pick = (from: string, axis: number, outputs?: readonly string[]) =>
    graph.node('Gather', [from, columns], { attributes: { axis: attribute.int(axis) }, ...(outputs && { outputs }) });
  if (!isFloat(layerFormat(format, layers, HEAD))) pick(head(building, normed), -1, [PORT.probe]);
  else if (hasHead(traits, format, layers))
    graph.node('MatMul', [normed, widen(HEAD, pick(stored(HEAD), 1))], { outputs: [PORT.probe] });
  else {
    const table = widen(EMBED, pick(stored(EMBED), 0)); // (columns, width)
    const turned = graph.node('Transpose', [table], { attributes: { perm: attribute.ints([1, 0]) } });
    graph.node('MatMul', [normed, turned], { outputs: [PORT.probe] });
  }
  graph.output(PORT.probe, 'f32', ['B', 'S', probe.length]);
}
