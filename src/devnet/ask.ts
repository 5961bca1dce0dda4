// The prompt of a development network, asked the way any client asks: over the overlay.

import type { Client } from '../client/client.ts';
import type { Model } from '../model/open.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import { collectAnswer, generateOptions } from '../node/answer.ts';

export interface GeneratedText {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly route: readonly { readonly node: number; readonly peer: string; readonly shards: readonly number[] }[];
  readonly tokensPerSecond: number;
}

/** Greedy, so that the same prompt gives the same words as one process with all shards. */
export async function ask(
  options: { readonly prompt: string; readonly maxTokens: number },
  { client, model }: { readonly client: Client; readonly model: Model },
  signal: AbortSignal,
): Promise<GeneratedText> {
  const tokenizer = await openTokenizer(model);
  const chosen = generateOptions(
    { maxTokens: options.maxTokens, temperature: 0, topK: 64, topP: 1, seed: 0 },
    tokenizer,
  );
  const started = performance.now();
  const prompt = tokenizer.encodePrompt(options.prompt);
  const generation = client.generate(prompt, chosen, signal);
  const { text, tokens } = await collectAnswer(generation, { tokenizer, prompt, stop: [] }, () => undefined);
  const tokensPerSecond = Math.round((10_000 * tokens.length) / (performance.now() - started)) / 10;
  const route = generation.route.map(({ node, peer, from, to }) => ({
    node,
    peer,
    shards: Array.from({ length: to - from }, (_, i) => from + i),
  }));
  return { prompt: options.prompt, text, tokens, route, tokensPerSecond };
}
