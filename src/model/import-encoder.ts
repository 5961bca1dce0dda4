// Reads a Hugging Face folder of the BERT family, as transformers or sentence-transformers saved it: config files, safetensors, tokenizer.json
// (engine.md 2.3). Nothing is executed, no pickle is read.

import {
  biasOf,
  denseTensor,
  EMBED_NORM,
  type EncoderLinear,
  type EncoderNorm,
  encoderLinearDims,
  POSITION,
  RELATIVE,
  SEGMENT,
  WORD,
} from '../graph/encoder-weights.ts';
import type { LlamaShape } from '../graph/weights.ts';
import { unsupported } from './hf-config.ts';
import { type EncoderFamily, type HfEncoder, RELATIVE_BUCKETS, readHfEncoder } from './hf-encoder.ts';
import { openWeights, type Safetensors } from './safetensors.ts';
import type { EncoderSource } from './source.ts';
import { countSpecials, readTokenizer } from './tokenizer-file.ts';
import { transpose } from './transpose.ts';

export interface ImportedEncoder extends EncoderSource {
  close(): Promise<void>;
}

export interface ImportEncoderOptions {
  /** Tokens of a text that the written model can hold; as many as the folder says unless given. */
  readonly maxContext?: number | undefined;
}

/** Their names of the parts of a block. */
type PartNames = Readonly<Record<'q' | 'k' | 'v' | Exclude<EncoderLinear, 'qkv'> | EncoderNorm, string>>;

interface Names {
  readonly layers: string;
  readonly parts: PartNames;
}

const BERT_PARTS: PartNames = {
  q: 'attention.self.query',
  k: 'attention.self.key',
  v: 'attention.self.value',
  out: 'attention.output.dense',
  attn_norm: 'attention.output.LayerNorm',
  up: 'intermediate.dense',
  down: 'output.dense',
  ffn_norm: 'output.LayerNorm',
};
const NAMES: Readonly<Record<EncoderFamily, Names>> = {
  bert: { layers: 'encoder.layer', parts: BERT_PARTS },
  distilbert: {
    layers: 'transformer.layer',
    parts: {
      q: 'attention.q_lin',
      k: 'attention.k_lin',
      v: 'attention.v_lin',
      out: 'attention.out_lin',
      attn_norm: 'sa_layer_norm',
      up: 'ffn.lin1',
      down: 'ffn.lin2',
      ffn_norm: 'output_layer_norm',
    },
  },
  mpnet: {
    layers: 'encoder.layer',
    parts: {
      ...BERT_PARTS,
      q: 'attention.attn.q',
      k: 'attention.attn.k',
      v: 'attention.attn.v',
      out: 'attention.attn.o',
      attn_norm: 'attention.LayerNorm',
    },
  },
};

/** Opens a folder for reading. Throws ModelError MODEL_UNSUPPORTED or MODEL_FILE. */
export async function importEncoder(root: string, { maxContext }: ImportEncoderOptions = {}): Promise<ImportedEncoder> {
  const found = await readHfEncoder(root);
  const shape = {
    ...found.shape,
    maxContext: Math.min(found.shape.maxContext, maxContext ?? Number.POSITIVE_INFINITY),
  };
  if (!Number.isInteger(shape.headDim)) throw unsupported(`hidden_size: ${shape.width} in ${shape.heads} heads`);
  const json = await readTokenizer(found.folder);
  const specials = countSpecials(json);
  const opened: Safetensors[] = [];
  const close = async () => {
    for (const file of opened) await file.close();
  };
  try {
    const body = await openWeights(found.folder);
    opened.push(body);
    const dense: Safetensors[] = [];
    for (const folder of found.denseFolders) dense.push(await openWeights(folder));
    opened.push(...dense);
    const reader = createReader(found, shape, renamed(body), dense);
    return {
      arch: 'bert',
      shape,
      encoder: found.encoder,
      tokenizer: { json, specials },
      text: found.text,
      tensor: reader,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Models with a head for their training keep what we want behind a prefix; the oldest say gamma and beta for the two parts of a norm. */
function renamed(weights: Safetensors): Safetensors {
  const prefix =
    ['', 'bert.', 'roberta.', 'distilbert.', 'mpnet.', 'model.'].find((one) =>
      weights.has(`${one}embeddings.word_embeddings.weight`),
    ) ?? '';
  return {
    ...weights,
    read(name, dims) {
      const full = `${prefix}${name}`;
      const older = full.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta');
      return weights.read(weights.has(full) ? full : weights.has(older) ? older : full, dims);
    },
  };
}

/** Our tensor from theirs: linear layers are stored (out, in) there and (in, out) here. */
function createReader(
  { family, encoder, positionOffset, positionRows }: HfEncoder,
  shape: LlamaShape,
  weights: Safetensors,
  dense: readonly Safetensors[],
): EncoderSource['tensor'] {
  const { width, vocab, maxContext } = shape;
  const embeddings: Readonly<Record<string, () => Promise<Float32Array>>> = {
    [WORD]: () => weights.read('embeddings.word_embeddings.weight', [vocab, width]),
    [SEGMENT]: () => weights.read('embeddings.token_type_embeddings.weight', [encoder.types, width]),
    [EMBED_NORM]: () => weights.read('embeddings.LayerNorm.weight', [width]),
    [biasOf(EMBED_NORM)]: () => weights.read('embeddings.LayerNorm.bias', [width]),
    [RELATIVE]: () => readRelative(weights, shape),
    async [POSITION]() {
      const rows = await weights.read('embeddings.position_embeddings.weight', [positionRows, width]);
      return rows.slice(positionOffset * width, (positionOffset + maxContext) * width);
    },
  };
  return async (name) => {
    const start = Object.hasOwn(embeddings, name) ? embeddings[name] : undefined;
    if (start !== undefined) return start();
    const [kind, place = '', part = ''] = name.split('.');
    if (kind === 'dense') return readDense(encoder.head, dense, name);
    return readPart(weights, shape, NAMES[family], place, part);
  };
}

/** Tensors of the dense step of the head that `dense.2` or `dense.2_bias` names. */
async function readDense(
  head: HfEncoder['encoder']['head'],
  dense: readonly Safetensors[],
  name: string,
): Promise<Float32Array> {
  const place = Number.parseInt(name.split('.')[1] ?? '', 10);
  const step = head[place];
  const file = dense[head.slice(0, place).filter(({ kind }) => kind === 'dense').length];
  if (step?.kind !== 'dense' || file === undefined) throw new RangeError(`no such tensor: ${name}`);
  if (name !== denseTensor(place)) return file.read('linear.bias', [step.outputs]);
  return transpose(await file.read('linear.weight', [step.outputs, step.inputs]), step.outputs, step.inputs);
}

async function readPart(
  weights: Safetensors,
  shape: LlamaShape,
  { layers, parts }: Names,
  block: string,
  part: string,
): Promise<Float32Array> {
  const isBias = part.endsWith('_bias');
  const own = isBias ? part.slice(0, -'_bias'.length) : part;
  const at = (name: string) => `${layers}.${block}.${name}`;
  if (own === 'attn_norm' || own === 'ffn_norm')
    return weights.read(`${at(parts[own])}.${isBias ? 'bias' : 'weight'}`, [shape.width]);
  const [inputs, outputs] = encoderLinearDims(shape, `block.${block}.${own}`);
  const sources = own === 'qkv' ? [parts.q, parts.k, parts.v] : [parts[own as Exclude<EncoderLinear, 'qkv'>]];
  const each = outputs / sources.length;
  const values = new Float32Array(outputs * (isBias ? 1 : inputs));
  for (const [i, source] of sources.entries()) {
    const theirs = isBias
      ? await weights.read(`${at(source)}.bias`, [each])
      : await weights.read(`${at(source)}.weight`, [each, inputs]);
    values.set(theirs, i * theirs.length);
  }
  return isBias ? values : transpose(values, outputs, inputs);
}

/** Distances from here on share the last bucket of their side. */
const MAX_DISTANCE = 128;

/** Their table has a row per bucket of distances, ours one per distance. */
async function readRelative(weights: Safetensors, { maxContext, heads }: LlamaShape): Promise<Float32Array> {
  const table = await weights.read('encoder.relative_attention_bias.weight', [RELATIVE_BUCKETS, heads]);
  const out = new Float32Array((2 * maxContext - 1) * heads);
  for (let row = 0; row < 2 * maxContext - 1; row++) {
    const bucket = bucketOf(row - (maxContext - 1));
    out.set(table.subarray(bucket * heads, (bucket + 1) * heads), row * heads);
  }
  return out;
}

/** Half of the buckets for keys behind the query; of each half, one per small distance and then wider and wider ones. In f32, as there. */
function bucketOf(ahead: number): number {
  const half = RELATIVE_BUCKETS / 2;
  const exact = half / 2;
  const far = Math.abs(ahead);
  const side = ahead > 0 ? half : 0;
  if (far < exact) return side + far;
  const log = Math.fround(Math.log(Math.fround(far / exact)));
  const share = Math.fround(log / Math.fround(Math.log(MAX_DISTANCE / exact)));
  return side + Math.min(half - 1, exact + Math.floor(Math.fround(share * (half - exact))));
}
