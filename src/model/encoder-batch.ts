// Encoded texts as the padded batches that an encoder takes, and the vectors that come out, in the order of the texts.

import { ENCODER_PORT } from '../graph/encoder.ts';
import type { EncoderManifest } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import type { EncodedText } from './encoder-tokenizer.ts';

/** Rows of a batch, padding included: a run of a small model on one core then takes about a second at most. */
const BATCH_ROWS = 2048;
/** Of the hidden state of a batch: it travels in one frame of 16 MiB (protocol.md 14). */
const BATCH_BYTES = 12 * 2 ** 20;
const FLOAT_BYTES = 4;

export interface EncoderBatch {
  /** Which texts the batch has, by their places. */
  readonly places: readonly number[];
  readonly tensors: readonly NamedTensor[];
}

/** Texts of like length go together; each batch has at most BATCH_ROWS rows and BATCH_BYTES, or one text. */
export function batchTexts({ encoder, shape }: EncoderManifest, texts: readonly EncodedText[]): EncoderBatch[] {
  const order = [...texts.keys()].sort((a, b) => lengthAt(texts, a) - lengthAt(texts, b));
  const most = Math.min(BATCH_ROWS, Math.floor(BATCH_BYTES / (FLOAT_BYTES * shape.width)));
  const groups: number[][] = [];
  for (const place of order) {
    const group = groups.at(-1);
    if (group !== undefined && (group.length + 1) * lengthAt(texts, place) <= most) group.push(place);
    else groups.push([place]);
  }
  return groups.map((places) => ({
    places,
    tensors: padded(
      places.flatMap((place) => texts[place] ?? []),
      encoder.types > 0,
    ),
  }));
}

/** Rows of the output of a batch. */
export function vectorsOf(outputs: readonly NamedTensor[], count: number): Float32Array[] {
  const found = outputs.find(({ name }) => name === ENCODER_PORT.embedding);
  if (!(found?.data instanceof Float32Array) || found.data.length % count !== 0)
    throw new RangeError('the shards do not end the encoder');
  const size = found.data.length / count;
  const { data } = found;
  return Array.from({ length: count }, (_, i) => data.slice(i * size, (i + 1) * size));
}

function lengthAt(texts: readonly EncodedText[], place: number): number {
  return texts[place]?.ids.length ?? 0;
}

/** Ids, mask and segments (B, S), padded on the right. */
function padded(texts: readonly EncodedText[], hasSegments: boolean): NamedTensor[] {
  const length = Math.max(...texts.map(({ ids }) => ids.length));
  const dims = [texts.length, length];
  const fill = (name: string, of: (text: EncodedText, at: number) => number): NamedTensor => {
    const data = new Int32Array(texts.length * length);
    for (const [row, text] of texts.entries())
      for (let at = 0; at < text.ids.length; at++) data[row * length + at] = of(text, at);
    return { name, dims, data };
  };
  return [
    fill(ENCODER_PORT.ids, ({ ids }, at) => ids[at] ?? 0),
    fill(ENCODER_PORT.mask, () => 1),
    ...(hasSegments ? [fill(ENCODER_PORT.segments, ({ segments }, at) => segments[at] ?? 0)] : []),
  ];
}
