// Reads a Hugging Face folder of a LlamaForCausalLM: config.json, model.safetensors, tokenizer.json, chat template (engine.md 2.3).
// What this version cannot run is refused by the name of the config key; nothing is executed, no pickle is read.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { blockParts, EMBED, FINAL_NORM, HEAD, type LlamaShape } from '../graph/weights.ts';
import { ModelError } from './errors.ts';
import { openSafetensors, type Safetensors } from './safetensors.ts';
import type { LlamaSource } from './source.ts';

const positive = z.number().int().positive();
const config = z.looseObject({
  architectures: z.array(z.string()),
  vocab_size: positive,
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.optional(),
  head_dim: positive.optional(),
  max_position_embeddings: positive,
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().default(10_000),
  tie_word_embeddings: z.boolean().default(false),
  bos_token_id: z.number().int().min(0),
  eos_token_id: z.union([z.number().int().min(0), z.array(z.number().int().min(0)).min(1)]),
});
type Config = z.infer<typeof config>;

/** Config keys and the values that this version can run; absent is fine. */
const SUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  rope_scaling: [null],
  attention_bias: [false],
  mlp_bias: [false],
  hidden_act: ['silu'],
  sliding_window: [null],
};

export interface ImportedModel extends LlamaSource {
  close(): Promise<void>;
}

/** Opens a folder for reading. Throws ModelError MODEL_UNSUPPORTED or MODEL_FILE. */
export async function importHf(folder: string): Promise<ImportedModel> {
  const settings = await readConfig(folder);
  const json = await readFile(join(folder, 'tokenizer.json'));
  const file = await openSafetensors(join(folder, 'model.safetensors'));
  const shape = shapeOf(settings);
  return {
    shape,
    theta: settings.rope_theta,
    tie: settings.tie_word_embeddings,
    tokenizer: { json, bos: settings.bos_token_id, eos: [settings.eos_token_id].flat(), specials: countSpecials(json) },
    chatTemplate: await readChatTemplate(folder),
    tensor: (name) => readStored(file, shape, name),
    close: () => file.close(),
  };
}

async function readConfig(folder: string): Promise<Config> {
  const parsed = config.safeParse(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')));
  if (!parsed.success) throw unsupported(z.prettifyError(parsed.error));
  if (!parsed.data.architectures.includes('LlamaForCausalLM'))
    throw unsupported(`architectures ${parsed.data.architectures}`);
  for (const [key, values] of Object.entries(SUPPORTED))
    if (parsed.data[key] !== undefined && !values.includes(parsed.data[key])) throw unsupported(key);
  return parsed.data;
}

function shapeOf(settings: Config): LlamaShape {
  const heads = settings.num_attention_heads;
  return {
    blocks: settings.num_hidden_layers,
    width: settings.hidden_size,
    ffn: settings.intermediate_size,
    heads,
    kvHeads: settings.num_key_value_heads ?? heads,
    headDim: settings.head_dim ?? settings.hidden_size / heads,
    vocab: settings.vocab_size,
    maxContext: settings.max_position_embeddings,
    eps: settings.rms_norm_eps,
  };
}

/** The special tokens must be the first ids, which is how challenges leave them out (protocol.md 5). */
function countSpecials(json: Uint8Array): number {
  const shape = z.looseObject({ added_tokens: z.array(z.looseObject({ id: z.number().int(), special: z.boolean() })) });
  const ids = shape
    .parse(JSON.parse(Buffer.from(json).toString('utf8')))
    .added_tokens.flatMap((token) => (token.special ? [token.id] : []));
  if (ids.toSorted((a, b) => a - b).some((id, i) => id !== i))
    throw unsupported('special tokens that are not the first ids');
  return ids.length;
}

/** A file of its own in newer folders, else a key of tokenizer_config.json. */
async function readChatTemplate(folder: string): Promise<string> {
  const own = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined);
  if (own !== undefined) return own;
  const parsed = z
    .looseObject({ chat_template: z.string() })
    .safeParse(JSON.parse(await readFile(join(folder, 'tokenizer_config.json'), 'utf8')));
  if (!parsed.success) throw unsupported('chat_template');
  return parsed.data.chat_template;
}

/** Our tensor from theirs: linear layers are stored (out, in) there and (in, out) here. */
async function readStored(file: Safetensors, shape: LlamaShape, name: string): Promise<Float32Array> {
  const { width, vocab } = shape;
  if (name === EMBED) return file.read('model.embed_tokens.weight', [vocab, width]);
  if (name === FINAL_NORM) return file.read('model.norm.weight', [width]);
  if (name === HEAD) return transpose(await file.read('lm_head.weight', [vocab, width]), vocab, width);
  const [, block, part] = name.split('.');
  return readBlock(file, shape, `model.layers.${block}.`, part as keyof ReturnType<typeof blockParts>);
}

async function readBlock(
  file: Safetensors,
  shape: LlamaShape,
  prefix: string,
  part: keyof ReturnType<typeof blockParts>,
): Promise<Float32Array> {
  const linear = async (name: string, [inputs, outputs]: readonly [number, number]) =>
    transpose(await file.read(`${prefix}${name}.weight`, [outputs, inputs]), outputs, inputs);
  const parts = blockParts(shape);
  switch (part) {
    case 'attn_norm':
      return file.read(`${prefix}input_layernorm.weight`, parts.attn_norm);
    case 'ffn_norm':
      return file.read(`${prefix}post_attention_layernorm.weight`, parts.ffn_norm);
    case 'out':
      return linear('self_attn.o_proj', parts.out);
    case 'gate':
    case 'up':
    case 'down':
      return linear(`mlp.${part}_proj`, parts[part]);
    case 'qkv':
      return transpose(await stackedQkv(file, shape, prefix), parts.qkv[1], parts.qkv[0]);
  }
}

/** Queries, keys and values under each other: (heads + 2 kvHeads) * headDim rows of width. */
async function stackedQkv(file: Safetensors, shape: LlamaShape, prefix: string): Promise<Float32Array> {
  const rows = [shape.heads, shape.kvHeads, shape.kvHeads].map((heads) => heads * shape.headDim);
  const out = new Float32Array(rows.reduce((sum, count) => sum + count, 0) * shape.width);
  let at = 0;
  for (const [i, name] of ['q', 'k', 'v'].entries()) {
    const tensor = await file.read(`${prefix}self_attn.${name}_proj.weight`, [rows[i] ?? 0, shape.width]);
    out.set(tensor, at);
    at += tensor.length;
  }
  return out;
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) out[column * rows + row] = values[row * columns + column] ?? 0;
  return out;
}

function unsupported(key: string): ModelError {
  return new ModelError({ code: 'MODEL_UNSUPPORTED', key }, `this model cannot be imported: ${key} is not supported`);
}
