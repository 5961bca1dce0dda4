// /v1/embeddings: texts or token ids in, one vector each out, in OpenAI's form. Who asks is known by then.

import type { FastifyRequest } from 'fastify';
import type { EncodedText } from '../model/encoder-tokenizer.ts';
import { badRequest, tooLong } from './api-error.ts';
import type { EmbeddingBackend } from './backend.ts';
import type { Meters } from './metrics.ts';
import type { Quotas } from './quotas.ts';
import { type EmbeddingRequest, MAX_INPUT_TOKENS } from './request.ts';
import type { Slots } from './slots.ts';

export interface EmbeddingDeps {
  readonly backend: EmbeddingBackend;
  readonly slots: Slots;
  readonly quotas: Quotas;
  readonly meters: Pick<Meters, 'time' | 'tokens'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Throws ApiError for what cannot be embedded, and what the backend throws. */
export async function answerEmbeddings(
  asked: EmbeddingRequest,
  request: FastifyRequest,
  { backend, slots, quotas, meters, now }: EmbeddingDeps,
  signal: AbortSignal,
): Promise<object> {
  const begun = now();
  const size = sizeOf(asked, backend);
  const texts = textsOf(asked.input, backend);
  const tokens = texts.reduce((sum, { ids }) => sum + ids.length, 0);
  if (tokens > MAX_INPUT_TOKENS) throw tooLong(tokens, MAX_INPUT_TOKENS, 'over all inputs');
  const admission = request.asker === undefined ? undefined : quotas.admit(request.asker, tokens);
  let used = 0;
  try {
    const leave = await slots.take(request.asker?.id ?? '', signal);
    meters.time('tessera_request_queue_time_seconds', now() - begun);
    try {
      const vectors = await backend.embedder.embed(texts, signal);
      used = tokens;
      return {
        object: 'list',
        data: vectors.map((vector, index) => ({
          object: 'embedding',
          index,
          embedding: written(shortened(vector, size), asked.encoding_format),
        })),
        model: backend.model.id,
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      };
    } finally {
      leave();
    }
  } finally {
    admission?.settle(used);
    meters.tokens(used, 0);
    meters.time('tessera_e2e_request_latency_seconds', now() - begun);
  }
}

function sizeOf({ dimensions }: EmbeddingRequest, { embedder }: EmbeddingBackend): number {
  const size = dimensions ?? embedder.size;
  if (size <= embedder.size) return size;
  throw badRequest(`Invalid 'dimensions': this model's embeddings have ${embedder.size}.`, 'dimensions');
}

function textsOf(input: EmbeddingRequest['input'], { embedder, model }: EmbeddingBackend): readonly EncodedText[] {
  const list = typeof input === 'string' || typeof input[0] === 'number' ? [input as string | number[]] : input;
  return (list as (string | number[])[]).map((one, i) => {
    const name = list === input ? `input[${i}]` : 'input';
    if (one === '') throw badRequest(`Invalid '${name}': an empty text has no embedding.`, 'input');
    const encoded = typeof one === 'string' ? embedder.encode(one) : knownIds(one, model.vocab);
    if (encoded.ids.length <= model.maxContext) return encoded;
    throw tooLong(encoded.ids.length, model.maxContext, name);
  });
}

/** As they are: whoever sends ids has put the model's marks around them. */
function knownIds(ids: readonly number[], vocab: number): EncodedText {
  if (ids.every((id) => id < vocab)) return { ids, segments: ids.map(() => 0) };
  throw badRequest(`Invalid 'input': token ids of this model are below ${vocab}.`, 'input');
}

/** The first values, at length 1 again: what models that were trained for it (Matryoshka) are made for. */
function shortened(vector: Float32Array, size: number): Float32Array {
  if (size === vector.length) return vector;
  const part = vector.slice(0, size);
  const length = Math.hypot(...part);
  return length === 0 ? part : part.map((value) => value / length);
}

/** OpenAI's own clients ask for base64 unless told otherwise: little-endian f32. */
function written(vector: Float32Array, format: EmbeddingRequest['encoding_format']): number[] | string {
  if (format !== 'base64') return Array.from(vector);
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
