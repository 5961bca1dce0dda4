// Texts to the token ids that an encoder reads, with the model's own tokenizer.json: as sentence-transformers does it, with the marks of the model and
// cut to its length. Special tokens that a text spells are special here: there is nobody whom they could speak for.

import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { ModelError } from './errors.ts';
import { encoderManifest } from './manifest.ts';
import type { Model } from './open.ts';

export interface EncodedText {
  readonly ids: readonly number[];
  /** Which segment each token belongs to; all 0 for a single text. */
  readonly segments: readonly number[];
}

export interface EncoderTokenizer {
  /** Tokens of a text with its marks, at most. */
  readonly maxTokens: number;
  readonly vocab: number;
  /** Never empty for a tokenizer with marks; what is too long loses its end. */
  encode(text: string): EncodedText;
  /** The same, whatever its length. */
  encodeWhole(text: string): EncodedText;
}

const tokenizerJson = z.looseObject({ added_tokens: z.array(z.unknown()).default([]) });

/** Reads the tokenizer that the manifest names. Throws ModelError. */
export async function openEncoderTokenizer(model: Model): Promise<EncoderTokenizer> {
  const { tokenizer, encoder, shape } = encoderManifest(model.manifest);
  const { file } = tokenizer;
  const inner = parse(file, await model.read(file));
  const { maxContext: maxTokens, vocab } = shape;
  const encodeUpTo = (text: string, limit: number): EncodedText => {
    const whole = `${encoder.prefix}${text}`;
    const { ids, segments } = withMarks(inner, encoder.lowercase ? whole.toLowerCase() : whole, limit);
    return { ids, segments: encoder.types > 0 ? segments : ids.map(() => 0) };
  };
  return {
    maxTokens,
    vocab,
    encode: (text) => encodeUpTo(text, maxTokens),
    encodeWhole: (text) => encodeUpTo(text, Number.POSITIVE_INFINITY),
  };
}

/** Lengths and padding that are written in the file are not ours. */
function parse(file: string, bytes: Uint8Array): Tokenizer {
  try {
    const json = tokenizerJson.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return new Tokenizer({ ...json, truncation: null, padding: null }, {});
  } catch (error) {
    throw new ModelError({ code: 'MODEL_FILE', file, why: 'not a tokenizer' }, `${file} is no tokenizer.json`, {
      cause: error,
    });
  }
}

/** Cut between the marks, which stay. */
function withMarks(tokenizer: Tokenizer, text: string, maxTokens: number): EncodedText {
  const { ids, token_type_ids: segments = [] } = tokenizer.encode(text, { return_token_type_ids: true });
  const typed = ids.map((_: number, i: number) => segments[i] ?? 0);
  if (ids.length <= maxTokens) return { ids, segments: typed };
  const plain = tokenizer.encode(text, { add_special_tokens: false }).ids;
  const start = placeOf(plain, ids);
  const tail = ids.length - start - plain.length;
  const keep = <T>(list: readonly T[]) => [...list.slice(0, maxTokens - tail), ...list.slice(list.length - tail)];
  return { ids: keep(ids), segments: keep(typed) };
}

/** Where `part` begins in `whole`. */
function placeOf(part: readonly number[], whole: readonly number[]): number {
  let start = 0;
  while (start + part.length < whole.length && part.some((id, i) => whole[start + i] !== id)) start++;
  return start;
}
