// Tokens to text as they come: special tokens have none, stop texts end the answer and are not shown.

import type { GeneratedToken, GenerateOptions } from '../client/generation.ts';
import { withStops } from '../model/stop.ts';
import type { ModelTokenizer } from '../model/tokenizer.ts';
import type { RoutedHop } from '../routing/route.ts';

export interface Answer {
  readonly text: string;
  readonly tokens: readonly number[];
}

/** Collects a generation; `onText` hears each piece of text that is certain to belong to the answer. */
export async function collectAnswer(
  generation: AsyncIterable<GeneratedToken>,
  {
    tokenizer,
    prompt,
    stop,
  }: {
    readonly tokenizer: ModelTokenizer;
    readonly prompt: readonly number[];
    readonly stop: readonly string[];
  },
  onText: (text: string) => void,
): Promise<Answer> {
  const stream = withStops(tokenizer.createStream(prompt), stop);
  const tokens: number[] = [];
  let text = '';
  const show = (piece: string): void => {
    if (piece === '') return;
    text += piece;
    onText(piece);
  };
  for await (const { id } of generation) {
    tokens.push(id);
    show(stream.push(id));
    if (stream.stopped) return { text, tokens };
  }
  show(stream.end());
  return { text, tokens };
}

/** What a person chose on the command line, as a generation wants it. */
export function generateOptions(
  chosen: {
    readonly maxTokens: number;
    readonly temperature: number;
    readonly topK: number;
    readonly topP: number;
    readonly seed: number;
  },
  tokenizer: ModelTokenizer,
): GenerateOptions {
  return { ...chosen, seed: BigInt(chosen.seed), stopIds: tokenizer.eos };
}

/** A hop as people and programs are shown it. */
export interface ShownHop {
  readonly node: number;
  readonly peer: string;
  readonly shards: readonly number[];
}

export function describeHop({ node, peer, from, to }: RoutedHop): ShownHop {
  return { node, peer, shards: Array.from({ length: to - from }, (_, i) => from + i) };
}
