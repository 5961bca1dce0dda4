// Hugging Face folders with small random models: weights are a function of their name that scripts/model/parity.py knows too, exact in all float types.

import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { byteTokenizer } from './random-model.ts';

/** The keys of a config.json that say which tensors there are. */
export interface HfConfig {
  readonly architectures: readonly string[];
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly tie_word_embeddings: boolean;
}

export type FloatType = 'F32' | 'F16' | 'BF16';

interface FolderOptions {
  readonly dtype?: FloatType;
  /** Files that the tensors are dealt out to, with an index; one file without an index unless given. */
  readonly files?: number;
}

export async function writeHfFolder(
  folder: string,
  config: HfConfig,
  { dtype = 'BF16', files = 0 }: FolderOptions = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(join(folder, 'tokenizer.json'), byteTokenizer(config.vocab_size));
  const tensors = tensorShapes(config).map(([name, shape]): HfTensor => ({ name, shape, data: hfValues(name, shape) }));
  if (files === 0) {
    await writeFile(join(folder, 'model.safetensors'), safetensors(tensors, dtype));
    return;
  }
  const home = (i: number) => `model-${i % files}.safetensors`;
  const map = Object.fromEntries(tensors.map(({ name }, i) => [name, home(i)]));
  for (let f = 0; f < files; f++)
    await writeFile(
      join(folder, home(f)),
      safetensors(
        tensors.filter((_, i) => i % files === f),
        dtype,
      ),
    );
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
}

export interface HfTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The bytes of a .safetensors file. */
export function safetensors(tensors: readonly HfTensor[], dtype: FloatType): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const parts: Buffer[] = [];
  let at = 0;
  for (const { name, shape, data } of tensors) {
    const bytes = Buffer.from(encodeFloats(data, dtype));
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
    parts.push(bytes);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

function encodeFloats(data: Float32Array, dtype: FloatType): ArrayBuffer {
  if (dtype === 'F32') return data.slice().buffer;
  if (dtype === 'F16') return Float16Array.from(data).buffer;
  return Uint16Array.from(new Uint32Array(data.slice().buffer), (bits) => bits >>> 16).buffer;
}

function tensorShapes(config: HfConfig): (readonly [string, readonly number[]])[] {
  const { hidden_size: width, intermediate_size: ffn, head_dim: headDim, vocab_size: vocab } = config;
  const [queries, keys] = [config.num_attention_heads * headDim, config.num_key_value_heads * headDim];
  const [architecture = ''] = config.architectures;
  const block = (i: number): (readonly [string, readonly number[]])[] => {
    const [attention, mlp] = [`model.layers.${i}.self_attn`, `model.layers.${i}.mlp`];
    return [
      [`model.layers.${i}.input_layernorm.weight`, [width]],
      [`model.layers.${i}.post_attention_layernorm.weight`, [width]],
      ...(architecture === 'Phi3ForCausalLM'
        ? ([
            [`${attention}.qkv_proj.weight`, [queries + 2 * keys, width]],
            [`${mlp}.gate_up_proj.weight`, [2 * ffn, width]],
          ] as const)
        : ([
            [`${attention}.q_proj.weight`, [queries, width]],
            [`${attention}.k_proj.weight`, [keys, width]],
            [`${attention}.v_proj.weight`, [keys, width]],
            [`${mlp}.gate_proj.weight`, [ffn, width]],
            [`${mlp}.up_proj.weight`, [ffn, width]],
          ] as const)),
      [`${attention}.o_proj.weight`, [width, queries]],
      ...(architecture === 'Qwen2ForCausalLM'
        ? ([
            [`${attention}.q_proj.bias`, [queries]],
            [`${attention}.k_proj.bias`, [keys]],
            [`${attention}.v_proj.bias`, [keys]],
          ] as const)
        : []),
      ...(architecture === 'Qwen3ForCausalLM'
        ? ([
            [`${attention}.q_norm.weight`, [headDim]],
            [`${attention}.k_norm.weight`, [headDim]],
          ] as const)
        : []),
      [`${mlp}.down_proj.weight`, [width, ffn]],
    ];
  };
  return [
    ['model.embed_tokens.weight', [vocab, width]],
    ...Array.from({ length: config.num_hidden_layers }, (_, i) => block(i)).flat(),
    ['model.norm.weight', [width]],
    ...(config.tie_word_embeddings ? [] : ([['lm_head.weight', [vocab, width]]] as const)),
  ];
}

/** See parity.py: norms 0.5 to 1.5, biases and matrices -0.25 to 0.25, the embedding -1 to 1. */
function hfValues(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const bytes = createHash('shake256', { outputLength: count }).update(name).digest();
  if (name.endsWith('norm.weight')) return Float32Array.from(bytes, (byte) => (Math.floor(byte / 2) + 64) / 128);
  const scale = name.includes('embed') ? 128 : 512;
  return Float32Array.from(bytes, (byte) => (byte - 128) / scale);
}
