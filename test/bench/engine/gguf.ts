// Writes the same model for the peer: GGUF version 3, architecture llama, linear layers as Q4_0 or Q8_0. For benchmarks only.

import { type FileHandle, open } from 'node:fs/promises';
import type { LlamaShape } from '../../../src/graph/weights.ts';
import type { LlamaSource } from '../../../src/model/source.ts';
import { transpose } from '../../../src/model/transpose.ts';
import { THETA } from './random-llama.ts';

export type GgufType = 'Q4_0' | 'Q8_0';

/** Numbers of tensor types and bytes per block of 32 weights. */
const TYPES = {
  F32: { number: 0, bytes: 128 },
  Q4_0: { number: 2, bytes: 18 },
  Q8_0: { number: 8, bytes: 34 },
} as const;
const FILE_TYPE = { Q4_0: 2, Q8_0: 7 } as const;
const ALIGNMENT = 32;
const BLOCK = 32;

interface GgufTensor {
  readonly name: string;
  /** Columns first. */
  readonly dims: readonly number[];
  readonly type: keyof typeof TYPES;
  /** (out, in) row-major. */
  values(): Promise<Float32Array>;
}

export async function writeGguf(path: string, source: LlamaSource, type: GgufType): Promise<void> {
  const tensors = listTensors(source, type);
  const entries = metadata(source.shape, type);
  let offset = 0;
  const infos = tensors.map(({ name, dims, type: own }) => {
    const info = Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(TYPES[own].number), u64(offset)]);
    const place = offset;
    offset = align(offset + (dims.reduce((product, dim) => product * dim, 1) / BLOCK) * TYPES[own].bytes);
    return { info, place };
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries,
    ...infos.map(({ info }) => info),
  ]);
  await using file = await open(path, 'w');
  await writeAll(file, head, 0);
  for (const [i, tensor] of tensors.entries())
    await writeAll(file, encode(await tensor.values(), tensor.type), align(head.length) + (infos[i]?.place ?? 0));
  await file.truncate(align(head.length) + offset);
}

function listTensors({ shape, tensor }: LlamaSource, type: GgufType): GgufTensor[] {
  const { width, ffn, heads, kvHeads, headDim, vocab } = shape;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  const linear = async (name: string, inputs: number, outputs: number) =>
    transpose(await tensor(name, [inputs, outputs]), inputs, outputs);
  const vector = (name: string, ours: string): GgufTensor => ({
    name,
    dims: [width],
    type: 'F32',
    values: () => tensor(ours, [width]),
  });
  const matrix = (name: string, inputs: number, outputs: number, values: () => Promise<Float32Array>): GgufTensor => ({
    name,
    dims: [inputs, outputs],
    type,
    values,
  });
  const block = (i: number): GgufTensor[] => {
    const [theirs, ours] = [`blk.${i}.`, `block.${i}.`];
    const packed = async (from: number, count: number) =>
      (await linear(`${ours}qkv`, width, queries + 2 * keys)).slice(from * width, (from + count) * width);
    return [
      vector(`${theirs}attn_norm.weight`, `${ours}attn_norm`),
      vector(`${theirs}ffn_norm.weight`, `${ours}ffn_norm`),
      matrix(`${theirs}attn_q.weight`, width, queries, async () =>
        interleave(await packed(0, queries), heads, headDim, width),
      ),
      matrix(`${theirs}attn_k.weight`, width, keys, async () =>
        interleave(await packed(queries, keys), kvHeads, headDim, width),
      ),
      matrix(`${theirs}attn_v.weight`, width, keys, () => packed(queries + keys, keys)),
      matrix(`${theirs}attn_output.weight`, queries, width, () => linear(`${ours}out`, queries, width)),
      matrix(`${theirs}ffn_gate.weight`, width, ffn, () => linear(`${ours}gate`, width, ffn)),
      matrix(`${theirs}ffn_up.weight`, width, ffn, () => linear(`${ours}up`, width, ffn)),
      matrix(`${theirs}ffn_down.weight`, ffn, width, () => linear(`${ours}down`, ffn, width)),
    ];
  };
  return [
    matrix('token_embd.weight', width, vocab, () => tensor('embed', [vocab, width])),
    vector('output_norm.weight', 'norm'),
    matrix('output.weight', width, vocab, () => linear('head', width, vocab)),
    ...Array.from({ length: shape.blocks }, (_, i) => block(i)).flat(),
  ];
}

/** Half-split rotary rows (Hugging Face) to interleaved pairs, which this architecture of GGUF wants. */
function interleave(values: Float32Array, heads: number, headDim: number, width: number): Float32Array {
  const out = new Float32Array(values.length);
  const half = headDim / 2;
  for (let row = 0; row < heads * headDim; row++) {
    const [head, place] = [Math.floor(row / headDim), row % headDim];
    const target = head * headDim + 2 * (place % half) + Math.floor(place / half);
    out.set(values.subarray(row * width, (row + 1) * width), target * width);
  }
  return out;
}

function encode(values: Float32Array, type: keyof typeof TYPES): Uint8Array {
  if (type === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const { bytes } = TYPES[type];
  const out = new Uint8Array((values.length / BLOCK) * bytes);
  const view = new DataView(out.buffer);
  for (let at = 0, place = 0; at < values.length; at += BLOCK, place += bytes) {
    const own = values.subarray(at, at + BLOCK);
    let largest = 0;
    for (const value of own) if (Math.abs(value) > Math.abs(largest)) largest = value;
    const scale = type === 'Q8_0' ? Math.abs(largest) / 127 : largest / -8;
    const inverse = scale === 0 ? 0 : 1 / scale;
    view.setFloat16(place, scale, true);
    const level = (i: number) => Math.min(15, Math.floor((own[i] as number) * inverse + 8.5));
    if (type === 'Q8_0')
      for (let i = 0; i < BLOCK; i++) out[place + 2 + i] = Math.round((own[i] as number) * inverse) & 255;
    else for (let i = 0; i < BLOCK / 2; i++) out[place + 2 + i] = level(i) | (level(i + BLOCK / 2) << 4);
  }
  return out;
}

function metadata(shape: LlamaShape, type: GgufType): Buffer[] {
  const string = (key: string, value: string) => Buffer.concat([text(key), u32(8), text(value)]);
  const integer = (key: string, value: number) => Buffer.concat([text(key), u32(4), u32(value)]);
  const float = (key: string, value: number) => Buffer.concat([text(key), u32(6), f32(value)]);
  const array = (key: string, kind: number, items: readonly Buffer[]) =>
    Buffer.concat([text(key), u32(9), u32(kind), u64(items.length), ...items]);
  const tokens = tokenList(shape.vocab);
  return [
    string('general.architecture', 'llama'),
    string('general.name', 'random'),
    integer('general.file_type', FILE_TYPE[type]),
    integer('general.alignment', ALIGNMENT),
    integer('llama.vocab_size', shape.vocab),
    integer('llama.context_length', shape.maxContext),
    integer('llama.embedding_length', shape.width),
    integer('llama.block_count', shape.blocks),
    integer('llama.feed_forward_length', shape.ffn),
    integer('llama.attention.head_count', shape.heads),
    integer('llama.attention.head_count_kv', shape.kvHeads),
    integer('llama.rope.dimension_count', shape.headDim),
    float('llama.rope.freq_base', THETA),
    float('llama.attention.layer_norm_rms_epsilon', shape.eps),
    string('tokenizer.ggml.model', 'llama'),
    array(
      'tokenizer.ggml.tokens',
      8,
      tokens.map(([piece]) => text(piece)),
    ),
    array(
      'tokenizer.ggml.scores',
      6,
      tokens.map((_, id) => f32(-id)),
    ),
    array(
      'tokenizer.ggml.token_type',
      5,
      tokens.map(([, kind]) => u32(kind)),
    ),
    integer('tokenizer.ggml.bos_token_id', 1),
    integer('tokenizer.ggml.eos_token_id', 2),
    integer('tokenizer.ggml.unknown_token_id', 0),
  ];
}

/** Texts and kinds (2 unknown, 3 control, 6 byte, 1 ordinary); the library wants all 256 bytes. */
function tokenList(vocab: number): (readonly [string, number])[] {
  const special = [
    ['<unk>', 2],
    ['<s>', 3],
    ['</s>', 3],
  ] as const;
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 6] as const,
  );
  const first = [...special, ...bytes];
  return [...first, ...Array.from({ length: vocab - first.length }, (_, i) => [`t${i}`, 1] as const)];
}

async function writeAll(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
}

function align(at: number): number {
  return Math.ceil(at / ALIGNMENT) * ALIGNMENT;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

function u64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

function f32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return out;
}
