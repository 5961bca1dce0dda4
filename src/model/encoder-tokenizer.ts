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

const tokenizerJson = z.looseObject({
  added_tokens: z.array(z.unknown()).default([]),
  normalizer: z
    .looseObject({ handle_chinese_chars: z.boolean().optional(), lowercase: z.boolean().optional() })
    .nullish(),
});

/** The tokenizers library puts characters in lower case one by one; JavaScript looks at the end of the word too. */
const CAPITAL_SIGMA = /\u03a3/g;
const SMALL_SIGMA = '\u03c3';

/** Ideographs beyond the first 65,536 characters are words of their own as the others are; @huggingface/tokenizers 0.2.0 sees the others alone. */
const FAR_IDEOGRAPH =
  /[\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b820}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

/** Reads the tokenizer that the manifest names. Throws ModelError. */
export async function openEncoderTokenizer(model: Model): Promise<EncoderTokenizer> {
  const { tokenizer, encoder, shape } = encoderManifest(model.manifest);
  const { file } = tokenizer;
  const { inner, prepare } = parse(file, await model.read(file));
  const { maxContext: maxTokens, vocab } = shape;
  const encodeUpTo = (text: string, limit: number): EncodedText => {
    const whole = `${encoder.prefix}${prepare(text)}`;
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

interface ParsedTokenizer {
  readonly inner: Tokenizer;
  /** What our library does otherwise than the one that models were trained with. */
  prepare(text: string): string;
}

/** Lengths and padding that are written in the file are not ours. */
function parse(file: string, bytes: Uint8Array): ParsedTokenizer {
  try {
    const json = tokenizerJson.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    const inner = new Tokenizer({ ...json, truncation: null, padding: null }, {});
    const { handle_chinese_chars: ideographs, lowercase } = json.normalizer ?? {};
    return {
      inner,
      prepare(text) {
        const spaced = ideographs === true ? text.replace(FAR_IDEOGRAPH, ' $& ') : text;
        return lowercase === true ? spaced.replace(CAPITAL_SIGMA, SMALL_SIGMA) : spaced;
      },
    };
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
