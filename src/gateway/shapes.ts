// The two forms in which OpenAI's API gives an answer: chat and the older completion. Pure.

import type { FinishReason, GeneratedToken } from '../client/generation.ts';
import type { ModelTokenizer } from '../model/tokenizer.ts';
import type { TokenLogprob } from '../wire/infer.ts';

/** Text of an answer, or of a piece of it, with what was drawn for it (empty unless logprobs are wanted). */
export interface Told {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly GeneratedToken[];
  /** Characters of this answer before `text`. */
  readonly offset: number;
}

export interface Shape {
  readonly idPrefix: string;
  readonly object: string;
  readonly chunkObject: string;
  /** The chunk's choice before any text; none in the older form. */
  opening(index: number): object | undefined;
  piece(told: Told): object;
  closing(index: number, finish: FinishReason): object;
  whole(told: Told, finish: FinishReason): object;
}

export function chatShape(tokenizer: ModelTokenizer, logprobs: boolean): Shape {
  const describe = (tokens: readonly GeneratedToken[]) =>
    logprobs ? { content: tokens.map((token) => chatLogprob(token, tokenizer)), refusal: null } : null;
  return {
    idPrefix: 'chatcmpl-',
    object: 'chat.completion',
    chunkObject: 'chat.completion.chunk',
    opening: (index) => ({
      index,
      delta: { role: 'assistant', content: '', refusal: null },
      logprobs: null,
      finish_reason: null,
    }),
    piece: ({ index, text, tokens }) => ({
      index,
      delta: { content: text },
      logprobs: describe(tokens),
      finish_reason: null,
    }),
    closing: (index, finish) => ({ index, delta: {}, logprobs: null, finish_reason: finish }),
    whole: ({ index, text, tokens }, finish) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null, annotations: [] },
      logprobs: describe(tokens),
      finish_reason: finish,
    }),
  };
}

export function completionShape(tokenizer: ModelTokenizer, logprobs: boolean): Shape {
  const choice = (told: Told, finish: FinishReason | null) => ({
    text: told.text,
    index: told.index,
    logprobs: logprobs ? legacyLogprobs(told, tokenizer) : null,
    finish_reason: finish,
  });
  return {
    idPrefix: 'cmpl-',
    object: 'text_completion',
    chunkObject: 'text_completion',
    opening: () => undefined,
    piece: (told) => choice(told, null),
    closing: (index, finish) => ({ text: '', index, logprobs: null, finish_reason: finish }),
    whole: choice,
  };
}

function chatLogprob(token: GeneratedToken, tokenizer: ModelTokenizer): object {
  const alternatives = (token.alternatives ?? []).map((one) => describeToken(one, tokenizer));
  return { ...describeToken(token, tokenizer), top_logprobs: alternatives };
}

/** What JSON cannot hold (a probability of zero) is OpenAI's own least value. */
const LEAST_LOGPROB = -9999;

function describeToken({ id, logprob }: TokenLogprob, tokenizer: ModelTokenizer) {
  const token = tokenizer.tokenText(id);
  const whole = !token.includes('\ufffd'); // a part of a character has bytes, but no text of its own
  return { token, logprob: Math.max(LEAST_LOGPROB, logprob), bytes: whole ? [...Buffer.from(token)] : null };
}

function legacyLogprobs({ tokens, offset }: Told, tokenizer: ModelTokenizer): object {
  const told = tokens.map((token) => describeToken(token, tokenizer));
  const starts = told.map((_, i) => told.slice(0, i).reduce((at, { token }) => at + token.length, offset));
  return {
    tokens: told.map(({ token }) => token),
    token_logprobs: told.map(({ logprob }) => logprob),
    top_logprobs: tokens.map((token) =>
      Object.fromEntries(
        (token.alternatives ?? []).map((one) => {
          const { token: text, logprob } = describeToken(one, tokenizer);
          return [text, logprob];
        }),
      ),
    ),
    text_offset: starts,
  };
}
