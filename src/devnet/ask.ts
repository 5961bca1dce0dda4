// The prompt of a development network, asked the way any client asks: over the overlay.

import type { Client } from '../client/client.ts';
import { embedTexts } from '../client/embed.ts';
import { openEncoderTokenizer } from '../model/encoder-tokenizer.ts';
import { encoderManifest } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import { collectAnswer, describeHop, generateOptions, type ShownHop } from '../node/answer.ts';

export interface GeneratedText {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly route: readonly ShownHop[];
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
  return { prompt: options.prompt, text, tokens, route: generation.route.map(describeHop), tokensPerSecond };
}

export interface EmbeddedText {
  readonly prompt: string;
  /** Values of the vector. */
  readonly dimensions: number;
  readonly route: readonly ShownHop[];
}

/** The same of a model that gives vectors. */
export async function embedPrompt(
  { prompt }: { readonly prompt: string },
  { client, model }: { readonly client: Client; readonly model: Model },
  signal: AbortSignal,
): Promise<EmbeddedText> {
  const { encode } = await openEncoderTokenizer(model);
  const { vectors, route } = await embedTexts(client, encoderManifest(model.manifest), [encode(prompt)], signal);
  return { prompt, dimensions: vectors[0]?.length ?? 0, route: route.map(describeHop) };
}
