// What a generation is, wherever it runs: the request, its tokens, why it ended; and the loop over one pipe of shards that a local and
// a networked run share, so that both give the same tokens.

import { CodedError } from '../util/errors.ts';
import { type DrawnToken, roundSampling, type Sampling } from '../wire/infer.ts';

export interface GenerateOptions {
  /** Most tokens to generate; the model's context may end it earlier. */
  readonly maxTokens: number;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Candidates looked at; 0 is all that the last shard gives out. */
  readonly topK: number;
  /** (0, 1]. */
  readonly topP: number;
  /** u64. */
  readonly seed: bigint;
  /** Likeliest tokens to tell beside each drawn one, at most 20; none unless asked for. */
  readonly alternatives?: number;
  /** Ids that end the generation; they are not given out. */
  readonly stopIds: readonly number[];
}

export interface GeneratedToken extends DrawnToken {
  /** Place in the sequence; the prompt begins at 0. */
  readonly position: number;
}

/** 'stop': a stop id was drawn. 'length': maxTokens or the context is used up. */
export type FinishReason = 'stop' | 'length';

export type ClientErrorFacts =
  | { readonly code: 'NO_ROUTE'; readonly missing: readonly number[]; readonly failures: readonly string[] }
  | { readonly code: 'GENERATION_FAILED'; readonly attempts: number; readonly failures: readonly string[] }
  | { readonly code: 'PROMPT_EMPTY' }
  | { readonly code: 'PROMPT_TOO_LONG'; readonly tokens: number; readonly maxContext: number };

export class ClientError extends CodedError<ClientErrorFacts> {}

/** A checked request: sampling rounded to what travels, the number of tokens cut to the context. */
export interface GenerationPlan {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  /** Positions to reserve. */
  readonly positions: number;
  readonly sampling: Sampling;
  readonly stopIds: ReadonlySet<number>;
}

/** @throws ClientError PROMPT_EMPTY, PROMPT_TOO_LONG; RangeError for sampling that cannot travel */
export function planGeneration(
  prompt: readonly number[],
  options: GenerateOptions,
  maxContext: number,
): GenerationPlan {
  if (prompt.length === 0) throw new ClientError({ code: 'PROMPT_EMPTY' }, 'the prompt has no tokens');
  if (prompt.length >= maxContext) {
    throw new ClientError(
      { code: 'PROMPT_TOO_LONG', tokens: prompt.length, maxContext },
      `the prompt has ${prompt.length} tokens; the model takes ${maxContext} with the answer: shorten it`,
    );
  }
  const maxTokens = Math.min(options.maxTokens, maxContext - prompt.length);
  return {
    prompt,
    maxTokens,
    positions: prompt.length + maxTokens,
    sampling: roundSampling(options),
    stopIds: new Set(options.stopIds),
  };
}

/** The token that follows the prompt and `generated`. */
export type DrawNext = (generated: readonly number[]) => Promise<DrawnToken>;

/** Draws token after token; `onFinish` is told why it ended. */
export async function* drawTokens(
  plan: GenerationPlan,
  drawNext: DrawNext,
  onFinish: (reason: FinishReason) => void,
): AsyncGenerator<GeneratedToken, void> {
  const generated: number[] = [];
  while (generated.length < plan.maxTokens) {
    const token = await drawNext(generated);
    if (plan.stopIds.has(token.id)) return onFinish('stop');
    yield { ...token, position: plan.prompt.length + generated.length };
    generated.push(token.id);
  }
  onFinish('length');
}
