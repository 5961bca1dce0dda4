// What the config files of a Hugging Face folder say about an encoder of the BERT family, and what sentence-transformers writes beside them: modules,
// pooling, lengths, prompts. Trusts nothing: what is not understood is refused by its key.

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Activation, Encoder, HeadStep, Pooling } from '../graph/encoder-weights.ts';
import { readJson, unsupported } from './hf-config.ts';

/** Families by the names of their tensors. */
export type EncoderFamily = 'bert' | 'distilbert' | 'mpnet';

export interface HfEncoder extends Encoder {
  readonly family: EncoderFamily;
  /** Where config, weights and tokenizer lie: the folder itself, or one in it. */
  readonly folder: string;
  /** Rows of their position table that stand before the first position. */
  readonly positionOffset: number;
  /** All rows of it. */
  readonly positionRows: number;
  /** Folders of the dense steps of the head, in order. */
  readonly denseFolders: readonly string[];
  readonly text: { readonly lowercase: boolean; readonly prefix: string };
}

const positive = z.number().int().positive();
const ACTIVATION_NAMES: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  quick_gelu: 'quick_gelu',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
};

const named = z.looseObject({ model_type: z.string().optional() });

const bertConfig = z.looseObject({
  vocab_size: positive,
  hidden_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  intermediate_size: positive,
  hidden_act: z.string().default('gelu'),
  max_position_embeddings: positive,
  type_vocab_size: z.number().int().min(0).default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  pad_token_id: z.number().int().min(0).nullish(),
});

const distilConfig = z.looseObject({
  vocab_size: positive,
  dim: positive,
  n_layers: positive,
  n_heads: positive,
  hidden_dim: positive,
  activation: z.string().default('gelu'),
  max_position_embeddings: positive,
});

/** The only number in use. */
export const RELATIVE_BUCKETS = 32;

/** Config keys and the values that this version can run; absent is fine. */
const SUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  position_embedding_type: ['absolute'],
  is_decoder: [false],
  add_cross_attention: [false],
  embedding_size: [],
  relative_attention_num_buckets: [RELATIVE_BUCKETS],
};

interface Family {
  readonly family: EncoderFamily;
  /** Positions begin behind the padding token's own. */
  readonly offset: boolean;
}
const FAMILIES: Readonly<Record<string, Family>> = {
  bert: { family: 'bert', offset: false },
  roberta: { family: 'bert', offset: true },
  'xlm-roberta': { family: 'bert', offset: true },
  camembert: { family: 'bert', offset: true },
  distilbert: { family: 'distilbert', offset: false },
  mpnet: { family: 'mpnet', offset: true },
};
const DISTIL_EPS = 1e-12;
const DEFAULT_PAD = 1;

/** Whether the folder holds an encoder, and not a model that writes text. */
export async function isEncoderFolder(folder: string): Promise<boolean> {
  if (await exists(join(folder, 'modules.json'))) return true;
  const { model_type } = await readJson(folder, 'config.json', named);
  return model_type !== undefined && Object.hasOwn(FAMILIES, model_type);
}

/** Throws ModelError MODEL_UNSUPPORTED or MODEL_FILE. */
export async function readHfEncoder(root: string): Promise<HfEncoder> {
  const { folder, pooling, head, denseFolders } = await readModules(root);
  const { model_type = '' } = await readJson(folder, 'config.json', named);
  const known = Object.hasOwn(FAMILIES, model_type) ? FAMILIES[model_type] : undefined;
  if (known === undefined) throw unsupported(`model_type: ${model_type}`);
  const { shape, activation, types, positionOffset, positionRows } = await readShape(folder, known);
  const maxContext = Math.min(positionRows - positionOffset, await readLength(folder, root));
  return {
    family: known.family,
    folder,
    positionOffset,
    positionRows,
    denseFolders,
    shape: { ...shape, maxContext },
    encoder: { activation, types, relative: known.family === 'mpnet', pooling, head },
    text: await readTexts(folder, root),
  };
}

async function readShape(folder: string, { family, offset }: Family) {
  if (family === 'distilbert') {
    const config = await readJson(folder, 'config.json', distilConfig);
    refuseUnknown(config);
    return {
      activation: activationOf(config.activation),
      types: 0,
      positionOffset: 0,
      positionRows: config.max_position_embeddings,
      shape: {
        ...heads(config.dim, config.n_heads),
        blocks: config.n_layers,
        ffn: config.hidden_dim,
        vocab: config.vocab_size,
        eps: DISTIL_EPS,
      },
    };
  }
  const config = await readJson(folder, 'config.json', bertConfig);
  refuseUnknown(config);
  return {
    activation: activationOf(config.hidden_act),
    types: family === 'mpnet' ? 0 : config.type_vocab_size,
    positionOffset: offset ? (config.pad_token_id ?? DEFAULT_PAD) + 1 : 0,
    positionRows: config.max_position_embeddings,
    shape: {
      ...heads(config.hidden_size, config.num_attention_heads),
      blocks: config.num_hidden_layers,
      ffn: config.intermediate_size,
      vocab: config.vocab_size,
      eps: config.layer_norm_eps,
    },
  };
}

function heads(width: number, count: number) {
  return { width, heads: count, kvHeads: count, headDim: width / count };
}

function activationOf(name: string): Activation {
  const known = Object.hasOwn(ACTIVATION_NAMES, name) ? ACTIVATION_NAMES[name] : undefined;
  if (known === undefined) throw unsupported(`hidden_act: ${name}`);
  return known;
}

function refuseUnknown(config: Readonly<Record<string, unknown>>): void {
  for (const [key, values] of Object.entries(SUPPORTED))
    if (config[key] !== undefined && config[key] !== null && !values.includes(config[key]))
      throw unsupported(`${key}: ${config[key]}`);
}

interface Modules {
  readonly folder: string;
  readonly pooling: readonly Pooling[];
  readonly head: readonly HeadStep[];
  readonly denseFolders: readonly string[];
}

/** A folder beside modules.json: one bare name, or none for the folder itself. */
const subfolder = z.string().regex(/^([A-Za-z0-9][A-Za-z0-9._-]*)?$/);
const modulesJson = z.array(z.looseObject({ type: z.string(), path: subfolder.default('') })).min(1);

/** Modules by the last word of their type, which is all that stays the same between versions. */
async function readModules(root: string): Promise<Modules> {
  const found = await readJson(root, 'modules.json', modulesJson, []);
  const [first, ...rest] = found.map(({ type, path }) => ({
    kind: type.split('.').at(-1) ?? type,
    at: join(root, path),
  }));
  if (first === undefined)
    return { folder: root, pooling: await readPooling(join(root, '1_Pooling')), head: [], denseFolders: [] };
  if (first.kind !== 'Transformer') throw unsupported(`modules.json: ${first.kind} at the beginning`);
  let pooling: readonly Pooling[] = ['mean'];
  const head: HeadStep[] = [];
  const denseFolders: string[] = [];
  for (const [i, { kind, at }] of rest.entries()) {
    if (kind === 'Pooling' && i === 0) pooling = await readPooling(at);
    else if (kind === 'Normalize' && i > 0) head.push({ kind: 'normalize' });
    else if (kind === 'Dense' && i > 0) {
      head.push(await readDense(at));
      denseFolders.push(at);
    } else throw unsupported(`modules.json: ${kind} at place ${i + 1}`);
  }
  if (rest.length === 0) throw unsupported('modules.json: no pooling');
  return { folder: first.at, pooling, head, denseFolders };
}

/** Older files have a key per mode, newer ones a list; several are put behind each other. */
const MODES: Readonly<Record<string, Pooling>> = {
  pooling_mode_cls_token: 'cls',
  pooling_mode_max_tokens: 'max',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean_sqrt_len',
};
const MODE_NAMES: Readonly<Record<string, Pooling>> = {
  cls: 'cls',
  max: 'max',
  mean: 'mean',
  mean_sqrt_len_tokens: 'mean_sqrt_len',
};
const poolingJson = z.looseObject({
  pooling_mode: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  pooling_mode_weightedmean_tokens: z.boolean().optional(),
  pooling_mode_lasttoken: z.boolean().optional(),
});

/** A folder without the file pools by the mean, as sentence-transformers does. */
async function readPooling(folder: string): Promise<readonly Pooling[]> {
  const config = await readJson(folder, 'config.json', poolingJson, {});
  if (config.pooling_mode !== undefined)
    return [config.pooling_mode].flat().map((name) => {
      const mode = Object.hasOwn(MODE_NAMES, name) ? MODE_NAMES[name] : undefined;
      if (mode === undefined) throw unsupported(`pooling_mode: ${name}`);
      return mode;
    });
  for (const key of ['pooling_mode_weightedmean_tokens', 'pooling_mode_lasttoken'] as const)
    if (config[key] === true) throw unsupported(key);
  const modes = Object.entries(MODES).flatMap(([key, mode]) => (config[key] === true ? [mode] : []));
  return modes.length > 0 ? modes : ['mean'];
}

const denseJson = z.looseObject({
  in_features: positive,
  out_features: positive,
  bias: z.boolean().default(true),
  activation_function: z.string().default('torch.nn.modules.activation.Tanh'),
  use_residual: z.literal(false).optional(),
});

async function readDense(folder: string): Promise<HeadStep> {
  const { in_features, out_features, bias, activation_function } = await readJson(folder, 'config.json', denseJson);
  const name = activation_function.split('.').at(-1);
  if (name !== 'Identity' && name !== 'Tanh') throw unsupported(`activation_function: ${activation_function}`);
  const activation = name === 'Tanh' ? 'tanh' : 'identity';
  return { kind: 'dense', inputs: in_features, outputs: out_features, bias, activation };
}

/** The file is named after the kind of the first model that was written so. */
const SENTENCE_FILES = ['bert', 'roberta', 'distilbert', 'camembert', 'albert', 'xlm-roberta', 'xlnet'].map(
  (name) => `sentence_${name}_config.json`,
);
const sentenceJson = z.looseObject({ max_seq_length: positive.nullish(), do_lower_case: z.boolean().default(false) });
const lengthJson = z.looseObject({ model_max_length: z.number().positive().nullish() });

async function readSentence(folder: string, root: string): Promise<z.infer<typeof sentenceJson>> {
  for (const at of new Set([folder, root]))
    for (const file of SENTENCE_FILES) if (await exists(join(at, file))) return readJson(at, file, sentenceJson);
  return { do_lower_case: false };
}

/** Tokens of a text with its marks: what sentence-transformers was told, else what the tokenizer says. */
async function readLength(folder: string, root: string): Promise<number> {
  const { max_seq_length } = await readSentence(folder, root);
  const { model_max_length } = await readJson(folder, 'tokenizer_config.json', lengthJson, {});
  return max_seq_length ?? model_max_length ?? Number.POSITIVE_INFINITY;
}

const promptsJson = z.looseObject({
  prompts: z.record(z.string(), z.string()).nullish(),
  default_prompt_name: z.string().nullish(),
});

/** Prompts that a caller must ask for by name are not added; the default one is. */
async function readTexts(folder: string, root: string): Promise<HfEncoder['text']> {
  const { do_lower_case } = await readSentence(folder, root);
  const { prompts, default_prompt_name } = await readJson(root, 'config_sentence_transformers.json', promptsJson, {});
  return { lowercase: do_lower_case, prefix: prompts?.[default_prompt_name ?? ''] ?? '' };
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
