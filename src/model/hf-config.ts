// What the config files of a Hugging Face folder say about a model of the Llama family. Trusts nothing: what is not understood is refused by its key.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Rope } from '../graph/rope.ts';
import type { Llama } from '../graph/weights.ts';
import type { RopeScaling } from '../types/model.ts';
import { errorMessage } from '../util/errors.ts';
import { ModelError } from './errors.ts';

export interface HfConfig extends Llama {
  readonly rope: Rope;
  /** Queries, keys and values are stored as one tensor, gate and up as another. */
  readonly packed: boolean;
  /** The beginning mark of plain prompts, null for models that have none; ids that end a text. */
  readonly tokens: { readonly bos: number | null; readonly eos: readonly number[] };
}

const id = z.number().int().min(0);
const ids = z.union([id, z.array(id).min(1)]);
const positive = z.number().int().positive();
const factor = z.number().positive();

/** Older folders say `rope_scaling`, newer ones `rope_parameters` with the theta inside. */
const ropeEntry = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: factor.optional(),
  factor: factor.optional(),
  low_freq_factor: factor.optional(),
  high_freq_factor: factor.optional(),
  beta_fast: factor.nullish(),
  beta_slow: factor.nullish(),
  attention_factor: factor.nullish(),
  original_max_position_embeddings: positive.nullish(),
});

const config = z.looseObject({
  architectures: z.array(z.string()).min(1),
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  max_position_embeddings: positive,
  rms_norm_eps: z.number().positive(),
  rope_theta: factor.default(10_000),
  rope_scaling: ropeEntry.nullish(),
  rope_parameters: ropeEntry.nullish(),
  tie_word_embeddings: z.boolean().default(false),
  sliding_window: positive.nullish(),
  use_sliding_window: z.boolean().nullish(),
  layer_types: z.array(z.string()).nullish(),
  bos_token_id: id.nullish(),
  eos_token_id: ids.nullish(),
});
type Config = z.infer<typeof config>;

interface Architecture {
  readonly qkvBias: boolean;
  readonly qkNorm: boolean;
  /** Whether `sliding_window` counts without `use_sliding_window`. */
  readonly window: boolean;
  readonly packed: boolean;
}
const LLAMA: Architecture = { qkvBias: false, qkNorm: false, window: false, packed: false };
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  LlamaForCausalLM: LLAMA,
  MistralForCausalLM: { ...LLAMA, window: true },
  Phi3ForCausalLM: { ...LLAMA, window: true, packed: true },
  Qwen2ForCausalLM: { ...LLAMA, qkvBias: true },
  Qwen3ForCausalLM: { ...LLAMA, qkNorm: true },
};

/** Config keys and the values that this version can run; absent is fine. */
const SUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  attention_bias: [false],
  mlp_bias: [false],
  hidden_act: ['silu'],
  partial_rotary_factor: [1],
  use_sliding_window: [false, null],
};

const generation = z.looseObject({ eos_token_id: ids.nullish() });
const tokenizerConfig = z.looseObject({ add_bos_token: z.boolean().nullish(), bos_token: z.unknown().optional() });

/** Throws ModelError MODEL_UNSUPPORTED or MODEL_FILE. */
export async function readHfConfig(folder: string): Promise<HfConfig> {
  const settings = await readJson(folder, 'config.json', config);
  const [name = ''] = settings.architectures;
  const known = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (known === undefined) throw unsupported(`architectures: ${name}`);
  for (const [key, values] of Object.entries(SUPPORTED))
    if (settings[key] !== undefined && !values.includes(settings[key])) throw unsupported(`${key}: ${settings[key]}`);
  if (settings.layer_types?.some((type) => type !== settings.layer_types?.[0]))
    throw unsupported('layer_types that differ');
  const heads = settings.num_attention_heads;
  return {
    shape: {
      blocks: settings.num_hidden_layers,
      width: settings.hidden_size,
      ffn: settings.intermediate_size,
      heads,
      kvHeads: settings.num_key_value_heads ?? heads,
      headDim: settings.head_dim ?? settings.hidden_size / heads,
      vocab: settings.vocab_size,
      maxContext: settings.max_position_embeddings,
      eps: settings.rms_norm_eps,
    },
    traits: {
      tie: settings.tie_word_embeddings,
      qkvBias: known.qkvBias,
      qkNorm: known.qkNorm,
      window: known.window ? (settings.sliding_window ?? null) : null,
    },
    rope: ropeOf(settings),
    packed: known.packed,
    tokens: await readTokens(folder, settings),
  };
}

async function readTokens(folder: string, settings: Config): Promise<HfConfig['tokens']> {
  const { eos_token_id } = await readJson(folder, 'generation_config.json', generation, {});
  const eos = eos_token_id ?? settings.eos_token_id;
  if (eos === null || eos === undefined) throw unsupported('eos_token_id: missing');
  const { add_bos_token, bos_token } = await readJson(folder, 'tokenizer_config.json', tokenizerConfig, {});
  const unmarked = add_bos_token === false || bos_token === null;
  return { bos: unmarked ? null : (settings.bos_token_id ?? null), eos: [eos].flat() };
}

function ropeOf(settings: Config): Rope {
  const entry = settings.rope_parameters ?? settings.rope_scaling ?? {};
  const theta = entry.rope_theta ?? settings.rope_theta;
  const scaling = scalingOf(entry, settings);
  return scaling === undefined ? { theta } : { theta, scaling };
}

function scalingOf(entry: z.infer<typeof ropeEntry>, settings: Config): RopeScaling | undefined {
  const kind = entry.rope_type ?? entry.type ?? 'default';
  if (kind === 'default') return undefined;
  const need = (key: 'factor' | 'low_freq_factor' | 'high_freq_factor'): number => {
    const value = entry[key];
    if (value === undefined) throw unsupported(`rope_scaling.${key}: missing`);
    return value;
  };
  const originalContext = entry.original_max_position_embeddings ?? settings.max_position_embeddings;
  if (kind === 'linear') return { kind, factor: need('factor') };
  if (kind === 'llama3')
    return {
      kind,
      factor: need('factor'),
      lowFactor: need('low_freq_factor'),
      highFactor: need('high_freq_factor'),
      originalContext,
    };
  if (kind !== 'yarn') throw unsupported(`rope_scaling.rope_type: ${kind}`);
  const other = ['mscale', 'mscale_all_dim', 'truncate'].find((key) => entry[key] !== undefined && entry[key] !== null);
  if (other !== undefined) throw unsupported(`rope_scaling.${other}`);
  const amplitude = entry.attention_factor ?? 0.1 * Math.log(need('factor')) + 1;
  const [betaFast, betaSlow] = [entry.beta_fast ?? 32, entry.beta_slow ?? 1];
  return { kind, factor: need('factor'), betaFast, betaSlow, originalContext, amplitude };
}

/** Missing files are `fallback`, where there is one. */
export async function readJson<T>(folder: string, file: string, schema: z.ZodType<T>, fallback?: T): Promise<T> {
  const text = await readFile(join(folder, file), 'utf8').catch((error: unknown) => {
    if (fallback !== undefined) return undefined;
    throw new ModelError(
      { code: 'MODEL_FILE', file, why: 'it is missing' },
      `${file} cannot be read: ${errorMessage(error)}`,
      {
        cause: error,
      },
    );
  });
  if (text === undefined) return fallback as T;
  const parsed = schema.safeParse(parseJson(file, text));
  if (!parsed.success) throw unsupported(`${file}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ModelError({ code: 'MODEL_FILE', file, why: 'not JSON' }, `${file} is not JSON`, { cause: error });
  }
}

export function unsupported(key: string): ModelError {
  return new ModelError({ code: 'MODEL_UNSUPPORTED', key }, `this model cannot be imported: ${key} is not supported`);
}
