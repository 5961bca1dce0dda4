// What writing a model takes of each architecture: its tensors, its graphs, its part of the manifest (engine.md 2.1).

import { encoderShard } from '../graph/encoder.ts';
import { encoderLinearDims, encoderWeights } from '../graph/encoder-weights.ts';
import { isInt4, type LayerFormats, layerKind, layerOfPart, type WeightFormat } from '../graph/formats.ts';
import type { PublishedProfile } from '../graph/linear.ts';
import { llamaShard, PORT } from '../graph/llama.ts';
import type { ExternalData, OnnxModel } from '../graph/onnx.ts';
import { ropeTables } from '../graph/rope.ts';
import { EMBED, HEAD, linearDims, llamaWeights, ROPE_COS, ROPE_SIN, type WeightSpec } from '../graph/weights.ts';
import type { EncoderManifest, LlamaManifest } from '../types/model.ts';
import { utf8 } from '../util/bytes.ts';
import { ModelError } from './errors.ts';
import type { EncoderSource, LlamaSource, ModelSource } from './source.ts';
import { transpose } from './transpose.ts';

/** Blocks [from, to) in one profile; `probe` names columns of the last shard's output. */
export interface ShardPlan {
  readonly from: number;
  readonly to: number;
  readonly profile: PublishedProfile;
  readonly probe: readonly number[];
  readonly places: ReadonlyMap<string, ExternalData>;
}

export interface ModelPlan {
  readonly specs: readonly WeightSpec[];
  /** (in, out) of a linear layer. */
  linearDims(name: string): readonly [number, number];
  /** A tensor that is stored in a float format, in the dims of its spec. */
  tensor(name: string, dims: readonly number[]): Promise<Float32Array>;
  shard(plan: ShardPlan): OnnxModel;
  /** Columns of the last shard's output that a challenge may probe. */
  readonly probeColumns: number;
  /** Values of cache per position and block. */
  readonly cacheValues: number;
  /** Outputs of a graph that are none of the shard's. */
  readonly hiddenOutputs: readonly string[];
  /** Files beside weights and graphs. */
  readonly texts: Readonly<Record<string, Uint8Array>>;
  /** What the manifest says of this architecture alone. */
  readonly facts: ArchitectureFacts;
}

/** Without what all manifests have. */
type ArchitectureFacts =
  | Pick<LlamaManifest, 'arch' | 'shape' | 'rope' | 'tie' | 'attention' | 'tokenizer' | 'chatTemplate'>
  | Pick<EncoderManifest, 'arch' | 'shape' | 'encoder' | 'tokenizer'>;

const TOKENIZER_FILE = 'tokenizer.json';
const TEMPLATE_FILE = 'chat_template.jinja';

/** Linear layers that are stored otherwise unless something else is asked for: 4 bits of a decoder's head cost more than those of all its blocks (docs/models.md). */
export function usualLayers({ arch }: ModelSource, format: WeightFormat): LayerFormats {
  return arch === 'llama' && isInt4(format) ? { [HEAD]: 'w8a8' } : {};
}

/**
 * `layers`: linear layers that are stored otherwise.
 *
 * @throws ModelError MODEL_UNSUPPORTED when the model has no such layer
 */
export function planModel(source: ModelSource, format: WeightFormat, layers: LayerFormats = {}): ModelPlan {
  const known = new Set(linearNames(source).flatMap((name) => [name, layerKind(name)]));
  const strange = Object.keys(layers).find((name) => !known.has(name));
  if (strange !== undefined)
    throw new ModelError(
      { code: 'MODEL_UNSUPPORTED', key: strange },
      `this model has no linear layer ${strange}; say one of ${[...known].filter((name) => !name.includes('.')).join(', ')}, or one layer as block.0.down`,
    );
  return source.arch === 'llama' ? planLlama(source, format, layers) : planEncoder(source, format, layers);
}

/** Exactly what a format of integers takes apart. */
function linearNames(source: ModelSource): string[] {
  const specs = source.arch === 'llama' ? llamaWeights(source, 'w8a8') : encoderWeights(source, 'w8a8');
  return specs.flatMap(({ name }) => (name.endsWith('.values') ? [layerOfPart(name) ?? name] : []));
}

function planLlama(source: LlamaSource, format: WeightFormat, layers: LayerFormats): ModelPlan {
  const { shape, traits, rope, tokenizer, chatTemplate } = source;
  const tables = ropeTables(shape, rope);
  const { tie, ...attention } = traits;
  const plain = !attention.qkvBias && !attention.qkNorm && attention.window === null;
  return {
    specs: llamaWeights(source, format, layers),
    linearDims: (name) => linearDims(shape, name),
    async tensor(name, dims) {
      if (name === ROPE_COS) return tables.cos;
      if (name === ROPE_SIN) return tables.sin;
      if (name !== HEAD || !tie) return source.tensor(name, dims);
      return transpose(await source.tensor(EMBED, [shape.vocab, shape.width]), shape.vocab, shape.width);
    },
    shard: (plan) => llamaShard({ shape, traits, format, layers, ...plan }),
    probeColumns: shape.vocab,
    cacheValues: 2 * shape.kvHeads * shape.headDim,
    hiddenOutputs: [PORT.quiet],
    texts: { [TOKENIZER_FILE]: tokenizer.json, [TEMPLATE_FILE]: utf8(chatTemplate) },
    facts: {
      arch: 'llama',
      shape,
      rope,
      tie,
      ...(plain ? {} : { attention }),
      tokenizer: { file: TOKENIZER_FILE, bos: tokenizer.bos, eos: tokenizer.eos, specials: tokenizer.specials },
      chatTemplate: TEMPLATE_FILE,
    },
  };
}

function planEncoder(source: EncoderSource, format: WeightFormat, layers: LayerFormats): ModelPlan {
  const { shape, encoder, text, tokenizer } = source;
  return {
    specs: encoderWeights(source, format, layers),
    linearDims: (name) => encoderLinearDims(shape, name),
    tensor: (name, dims) => source.tensor(name, dims),
    shard: (plan) => encoderShard({ shape, encoder, format, layers, ...plan }),
    probeColumns: shape.width,
    cacheValues: 0,
    hiddenOutputs: [],
    texts: { [TOKENIZER_FILE]: tokenizer.json },
    facts: {
      arch: 'bert',
      shape,
      encoder: { ...encoder, ...text },
      tokenizer: { file: TOKENIZER_FILE, specials: tokenizer.specials },
    },
  };
}
