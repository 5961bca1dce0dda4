// Writes models with random weights and a byte-level tokenizer: real in every part but meaning. The same options give the same bytes.

import { createHash } from 'node:crypto';
import { measureBoundaries } from '../../src/engine/calibrate.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { LayerFormats, WeightFormat } from '../../src/graph/formats.ts';
import type { LlamaShape, LlamaTraits } from '../../src/graph/weights.ts';
import { openModel } from '../../src/model/open.ts';
import type { LlamaSource } from '../../src/model/source.ts';
import { DEFAULT_CUT, setBoundaryRms, writeModel } from '../../src/model/write.ts';

export interface RandomModelOptions {
  readonly blocks?: number;
  readonly width?: number;
  readonly ffn?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  /** At least 4 special tokens and 256 bytes. */
  readonly vocab?: number;
  readonly maxContext?: number;
  readonly tie?: boolean;
  readonly traits?: Partial<LlamaTraits>;
  readonly format?: WeightFormat;
  /** Linear layers that are stored otherwise. */
  readonly layers?: LayerFormats;
  /** Blocks are shared out evenly over so many shards of the cut `default`. */
  readonly shards?: number;
  readonly seed?: string;
}

/** Any few ids that every vocabulary has. */
const CALIBRATION_IDS = [0, 17, 101, 64, 200, 33, 90, 150];
const SPECIALS = ['<|bos|>', '<|end|>', '<|user|>', '<|assistant|>'];
const CHAT_TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}<|user|>{{ m['content'] | trim }}<|end|>{% elif m['role'] == 'assistant' %}" +
  "<|assistant|>{{ m['content'] | trim }}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** Unless given: 4 blocks of width 32 in 2 shards, 288 tokens, context 512, tied head. */
export async function writeRandomModel(dir: string, options: RandomModelOptions = {}): Promise<void> {
  const shape = shapeOf(options);
  const shards = options.shards ?? 2;
  const shardBlocks = Array.from(
    { length: shards },
    (_, i) => Math.floor(((i + 1) * shape.blocks) / shards) - Math.floor((i * shape.blocks) / shards),
  );
  await writeModel(dir, randomSource(shape, options), {
    name: 'random',
    license: 'MIT',
    shardBlocks,
    ...(options.format && { format: options.format }),
    ...(options.layers && { layers: options.layers }),
  });
  const model = await openModel(dir);
  const engine = createReferenceEngine({ model, cut: DEFAULT_CUT });
  await setBoundaryRms(dir, await measureBoundaries(engine, model.manifest, DEFAULT_CUT, CALIBRATION_IDS));
  await engine.close();
}

function shapeOf(options: RandomModelOptions): LlamaShape {
  const {
    blocks = 4,
    width = 32,
    ffn = 2 * width,
    headDim = 16,
    heads = width / headDim,
    kvHeads = Math.max(1, heads / 2),
  } = options;
  const { vocab = 288, maxContext = 512 } = options;
  return { blocks, width, ffn, heads, kvHeads, headDim, vocab, maxContext, eps: 1e-5 };
}

function randomSource(shape: LlamaShape, { seed = 'tessera', tie = true, traits }: RandomModelOptions): LlamaSource {
  return {
    arch: 'llama',
    shape,
    rope: { theta: 10_000 },
    traits: { tie, qkvBias: false, qkNorm: false, window: null, ...traits },
    tokenizer: { json: byteTokenizer(shape.vocab), bos: 0, eos: [1], specials: SPECIALS.length },
    chatTemplate: CHAT_TEMPLATE,
    async tensor(name, dims) {
      const count = dims.reduce((product, dim) => product * dim, 1);
      const values = normals(`${seed}/${name}`, count);
      if (dims.length === 1) return values.map((value) => 1 + 0.1 * value);
      const scale = name === 'embed' ? 0.25 : 1 / Math.sqrt(dims[0] ?? 1);
      return values.map((value) => value * scale);
    },
  };
}

/** Roughly normal numbers: sums of four bytes-pairs of SHAKE256 of the name. */
function normals(name: string, count: number): Float32Array {
  const bytes = createHash('shake256', { outputLength: count * 8 })
    .update(name)
    .digest();
  const halves = new Uint16Array(new Uint8Array(bytes).buffer);
  return Float32Array.from({ length: count }, (_, i) => {
    const sum = (halves[4 * i] ?? 0) + (halves[4 * i + 1] ?? 0) + (halves[4 * i + 2] ?? 0) + (halves[4 * i + 3] ?? 0);
    return (sum - 131_070) / 37_837.23;
  });
}

/** A tokenizer.json of the Hugging Face kind: special tokens, then one token per byte, then unused ones. */
export function byteTokenizer(vocab: number): Uint8Array {
  const bytes = byteCharacters();
  const texts = [
    ...SPECIALS,
    ...bytes,
    ...Array.from({ length: vocab - SPECIALS.length - bytes.length }, (_, i) => `<|unused-${i}|>`),
  ];
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIALS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(texts.map((text, id) => [text, id])),
      merges: [],
    },
  };
  return Buffer.from(JSON.stringify(json), 'utf8');
}

/** The printable character that byte-level tokenizers write for each byte: itself where it is visible, else one from U+0100 on. */
function byteCharacters(): string[] {
  const visible = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(visible(byte) ? byte : next++));
}
