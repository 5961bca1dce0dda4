// Folders with small random encoders, as sentence-transformers saves them: weights are a function of their name that scripts/model/encoders_parity.py
// knows too.

import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FloatType, type HfTensor, safetensors } from './hf-folder.ts';

/** A step behind the pooling as the vectors have it: normalise, or a dense layer. */
export type HeadStep = 'Normalize' | readonly ['Dense', number, number, boolean, 'Tanh' | 'Identity'];

export interface EncoderFolder {
  readonly config: Readonly<Record<string, unknown>> & { readonly model_type: string };
  readonly pooling: Readonly<Record<string, unknown>>;
  readonly head: readonly HeadStep[];
  readonly tokenizer: object;
  readonly maxTokens?: number;
  readonly dtype?: FloatType;
  /** Before the names of all tensors: models that were trained with a head of their own. */
  readonly prefix?: string;
  /** The older names of the parts of a norm. */
  readonly gamma?: boolean;
  /** Whether sentence-transformers saved it; transformers alone writes no modules. */
  readonly modules?: boolean;
}

export async function writeEncoderFolder(folder: string, options: EncoderFolder): Promise<void> {
  const { config, pooling, head, tokenizer, dtype = 'F32', prefix = '', gamma = false, modules = true } = options;
  await mkdir(folder, { recursive: true });
  const put = (name: string, value: unknown) => writeFile(join(folder, name), JSON.stringify(value));
  await put('config.json', config);
  await put('tokenizer.json', tokenizer);
  const tensors = tensorShapes(config).map(([name, shape]): HfTensor => {
    const renamed = gamma
      ? name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')
      : name;
    return { name: `${prefix}${renamed}`, shape, data: encoderValues(name, shape) };
  });
  await writeFile(join(folder, 'model.safetensors'), safetensors(tensors, dtype));
  if (options.maxTokens !== undefined)
    await put('sentence_bert_config.json', { max_seq_length: options.maxTokens, do_lower_case: false });
  if (!modules) return;
  const steps = [['', 'Transformer'], ['1_Pooling', 'Pooling'], ...head.map((step, i) => stepFolder(step, i))];
  await put(
    'modules.json',
    steps.map(([path, kind], idx) => ({ idx, name: String(idx), path, type: `sentence_transformers.models.${kind}` })),
  );
  await mkdir(join(folder, '1_Pooling'), { recursive: true });
  await put('1_Pooling/config.json', { word_embedding_dimension: 64, ...pooling });
  for (const [i, step] of head.entries()) if (step !== 'Normalize') await writeDense(folder, step, i, dtype);
}

function stepFolder(step: HeadStep, i: number): [string, string] {
  const kind = step === 'Normalize' ? step : 'Dense';
  return [`${i + 2}_${kind}`, kind];
}

async function writeDense(folder: string, step: Exclude<HeadStep, 'Normalize'>, i: number, dtype: FloatType) {
  const [, inputs, outputs, bias, activation] = step;
  const at = join(folder, `${i + 2}_Dense`);
  await mkdir(at, { recursive: true });
  const activation_function = `torch.nn.modules.${activation === 'Tanh' ? 'activation' : 'linear'}.${activation}`;
  const config = { in_features: inputs, out_features: outputs, bias, activation_function };
  await writeFile(join(at, 'config.json'), JSON.stringify(config));
  const shapes: [string, number[]][] = [['linear.weight', [outputs, inputs]]];
  if (bias) shapes.push(['linear.bias', [outputs]]);
  const tensors = shapes.map(([name, shape]) => ({ name, shape, data: encoderValues(`${i}/${name}`, shape) }));
  await writeFile(join(at, 'model.safetensors'), safetensors(tensors, dtype));
}

type Shapes = (readonly [string, readonly number[]])[];

function tensorShapes(config: EncoderFolder['config']): Shapes {
  const number = (...keys: string[]) =>
    Number(keys.map((key) => config[key]).find((value) => value !== undefined) ?? 0);
  const width = number('hidden_size', 'dim');
  const ffn = number('intermediate_size', 'hidden_dim');
  const linear = (name: string, outputs: number, inputs: number): Shapes => [
    [`${name}.weight`, [outputs, inputs]],
    [`${name}.bias`, [outputs]],
  ];
  const norm = (name: string): Shapes => [
    [`${name}.weight`, [width]],
    [`${name}.bias`, [width]],
  ];
  const [layers, parts] = PARTS[config.model_type] ?? BERT;
  const block = (i: number): Shapes => {
    const at = (part: keyof typeof parts) => `${layers}.${i}.${parts[part]}`;
    return [
      ...(['q', 'k', 'v', 'out'] as const).flatMap((part) => linear(at(part), width, width)),
      ...norm(at('attn_norm')),
      ...linear(at('up'), ffn, width),
      ...linear(at('down'), width, ffn),
      ...norm(at('ffn_norm')),
    ];
  };
  const types = number('type_vocab_size');
  return [
    ['embeddings.word_embeddings.weight', [number('vocab_size'), width]],
    ['embeddings.position_embeddings.weight', [number('max_position_embeddings'), width]],
    ...(types > 0 ? [['embeddings.token_type_embeddings.weight', [types, width]] as const] : []),
    ...norm('embeddings.LayerNorm'),
    ...Array.from({ length: number('num_hidden_layers', 'n_layers') }, (_, i) => block(i)).flat(),
    ...(config.model_type === 'mpnet'
      ? [['encoder.relative_attention_bias.weight', [32, number('num_attention_heads')]] as const]
      : []),
  ];
}

const BERT_PARTS = {
  q: 'attention.self.query',
  k: 'attention.self.key',
  v: 'attention.self.value',
  out: 'attention.output.dense',
  attn_norm: 'attention.output.LayerNorm',
  up: 'intermediate.dense',
  down: 'output.dense',
  ffn_norm: 'output.LayerNorm',
};
const BERT = ['encoder.layer', BERT_PARTS] as const;
const PARTS: Readonly<Record<string, readonly [string, typeof BERT_PARTS]>> = {
  distilbert: [
    'transformer.layer',
    {
      q: 'attention.q_lin',
      k: 'attention.k_lin',
      v: 'attention.v_lin',
      out: 'attention.out_lin',
      attn_norm: 'sa_layer_norm',
      up: 'ffn.lin1',
      down: 'ffn.lin2',
      ffn_norm: 'output_layer_norm',
    },
  ],
  mpnet: [
    'encoder.layer',
    {
      ...BERT_PARTS,
      q: 'attention.attn.q',
      k: 'attention.attn.k',
      v: 'attention.attn.v',
      out: 'attention.attn.o',
      attn_norm: 'attention.LayerNorm',
    },
  ],
};

/** See encoders_parity.py: norms 0.5 to 1.5, biases and matrices -0.25 to 0.25, tables -1 to 1. */
function encoderValues(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const bytes = createHash('shake256', { outputLength: count }).update(name).digest();
  if (/norm/i.test(name) && name.endsWith('weight'))
    return Float32Array.from(bytes, (byte) => (Math.floor(byte / 2) + 64) / 128);
  const scale = name.includes('embeddings') && shape.length === 2 ? 128 : 512;
  return Float32Array.from(bytes, (byte) => (byte - 128) / scale);
}
