// Reads a Hugging Face folder of the Llama family: config.json, safetensors in one file or several, tokenizer.json, chat template (engine.md 2.3).
// What this version cannot run is refused by the name of the config key; nothing is executed, no pickle is read.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  EMBED,
  FINAL_NORM,
  HEAD,
  type LinearPart,
  type LlamaShape,
  linearDims,
  type VectorPart,
} from '../graph/weights.ts';
import { readHfConfig, readJson } from './hf-config.ts';
import { openWeights, type Safetensors } from './safetensors.ts';
import type { LlamaSource } from './source.ts';
import { countSpecials, readTokenizer } from './tokenizer-file.ts';
import { transpose } from './transpose.ts';

export interface ImportedModel extends LlamaSource {
  close(): Promise<void>;
}

export interface ImportOptions {
  /** Positions that the written model can hold; as many as the config says unless given. */
  readonly maxContext?: number | undefined;
}

/** Models without a template of their own: what was said, one message after the other. */
const PLAIN_TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}\n{% endfor %}";

/** Opens a folder for reading. Throws ModelError MODEL_UNSUPPORTED or MODEL_FILE. */
export async function importHf(folder: string, { maxContext }: ImportOptions = {}): Promise<ImportedModel> {
  const { shape: full, traits, rope, packed, tokens } = await readHfConfig(folder);
  const shape = { ...full, maxContext: Math.min(full.maxContext, maxContext ?? full.maxContext) };
  const json = await readTokenizer(folder);
  const chatTemplate = await readChatTemplate(folder);
  const specials = countSpecials(json);
  const opened = await openWeights(folder); // last: nothing below may fail and leave it open
  const weights = packed ? unpack(opened, shape) : opened;
  return {
    arch: 'llama',
    shape,
    traits,
    rope,
    tokenizer: { json, ...tokens, specials },
    chatTemplate,
    tensor: (name) => readStored(weights, shape, name),
    close: () => weights.close(),
  };
}

/** Reads parts of tensors that hold several of ours under each other. */
function unpack(weights: Safetensors, shape: LlamaShape): Safetensors {
  const [queries, keys] = [shape.heads * shape.headDim, shape.kvHeads * shape.headDim];
  const rows: Readonly<Record<string, readonly [string, number, number, number]>> = {
    // ours: theirs, its rows, where ours begin, how many they are
    q_proj: ['qkv_proj', queries + 2 * keys, 0, queries],
    k_proj: ['qkv_proj', queries + 2 * keys, queries, keys],
    v_proj: ['qkv_proj', queries + 2 * keys, queries + keys, keys],
    gate_proj: ['gate_up_proj', 2 * shape.ffn, 0, shape.ffn],
    up_proj: ['gate_up_proj', 2 * shape.ffn, shape.ffn, shape.ffn],
  };
  return {
    ...weights,
    async read(name, dims) {
      const [part = ''] = name.split('.').slice(-2);
      const place = Object.hasOwn(rows, part) ? rows[part] : undefined;
      if (place === undefined) return weights.read(name, dims);
      const [theirs, all, from, count] = place;
      const whole = await weights.read(name.replace(part, theirs), [all, ...dims.slice(1)]);
      return whole.slice(from * shape.width, (from + count) * shape.width);
    },
  };
}

/** A file of its own in newer folders, else a key of tokenizer_config.json. */
async function readChatTemplate(folder: string): Promise<string> {
  const own = await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined);
  if (own !== undefined) return own;
  const named = z.array(z.object({ name: z.string(), template: z.string() }));
  const schema = z.looseObject({ chat_template: z.union([z.string(), named]).nullish() });
  const { chat_template: found } = await readJson(folder, 'tokenizer_config.json', schema, {});
  if (typeof found === 'string') return found;
  return found?.find(({ name }) => name === 'default')?.template ?? PLAIN_TEMPLATE;
}

/** Our tensor from theirs: linear layers are stored (out, in) there and (in, out) here. */
async function readStored(weights: Safetensors, shape: LlamaShape, name: string): Promise<Float32Array> {
  const { width, vocab } = shape;
  if (name === EMBED) return weights.read('model.embed_tokens.weight', [vocab, width]);
  if (name === FINAL_NORM) return weights.read('model.norm.weight', [width]);
  if (name === HEAD) return transpose(await weights.read('lm_head.weight', [vocab, width]), vocab, width);
  const [, block, part] = name.split('.');
  return readBlock(weights, shape, `model.layers.${block}.`, name, part as LinearPart | VectorPart);
}

async function readBlock(
  weights: Safetensors,
  shape: LlamaShape,
  prefix: string,
  name: string,
  part: LinearPart | VectorPart,
): Promise<Float32Array> {
  const linear = async (theirs: string) => {
    const [inputs, outputs] = linearDims(shape, name);
    return transpose(await weights.read(`${prefix}${theirs}.weight`, [outputs, inputs]), outputs, inputs);
  };
  switch (part) {
    case 'attn_norm':
      return weights.read(`${prefix}input_layernorm.weight`, [shape.width]);
    case 'ffn_norm':
      return weights.read(`${prefix}post_attention_layernorm.weight`, [shape.width]);
    case 'q_norm':
    case 'k_norm':
      return weights.read(`${prefix}self_attn.${part}.weight`, [shape.headDim]);
    case 'out':
      return linear('self_attn.o_proj');
    case 'gate':
    case 'up':
    case 'down':
      return linear(`mlp.${part}_proj`);
    case 'qkv': {
      const [inputs, outputs] = linearDims(shape, name);
      return transpose(await stacked(weights, shape, prefix, 'weight', [inputs]), outputs, inputs);
    }
    case 'qkv_bias':
      return stacked(weights, shape, prefix, 'bias', []);
  }
}

/** Queries, keys and values under each other: (heads + 2 kvHeads) * headDim rows. */
async function stacked(
  weights: Safetensors,
  shape: LlamaShape,
  prefix: string,
  kind: 'weight' | 'bias',
  columns: readonly number[],
): Promise<Float32Array> {
  const rows = { q: shape.heads, k: shape.kvHeads, v: shape.kvHeads };
  const parts: Float32Array[] = [];
  for (const [part, heads] of Object.entries(rows))
    parts.push(await weights.read(`${prefix}self_attn.${part}_proj.${kind}`, [heads * shape.headDim, ...columns]));
  const out = new Float32Array(parts.reduce((sum, values) => sum + values.length, 0));
  let at = 0;
  for (const values of parts) {
    out.set(values, at);
    at += values.length;
  }
  return out;
}
