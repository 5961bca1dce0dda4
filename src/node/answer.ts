// Tokens to text as they come: special tokens have none, stop texts end the answer and are not shown, also across token borders.

import type { GeneratedToken, GenerateOptions } from '../client/generation.ts';
import type { ModelTokenizer } from '../model/tokenizer.ts';

export interface Answer {
  readonly text: string;
  readonly tokens: readonly number[];
}

/** Collects a generation; `onText` hears each piece of text that is certain to belong to the answer. */
export async function collectAnswer(
  generation: AsyncIterable<GeneratedToken>,
  { tokenizer, stop }: { readonly tokenizer: ModelTokenizer; readonly stop: readonly string[] },
  onText: (text: string) => void,
): Promise<Answer> {
  const stream = tokenizer.createStream();
  const tokens: number[] = [];
  let text = '';
  let shown = 0;
  const held = Math.max(0, ...stop.map((word) => word.length - 1));
  const show = (until: number): void => {
    if (until <= shown) return;
    onText(text.slice(shown, until));
    shown = until;
  };
  for await (const { id } of generation) {
    tokens.push(id);
    text += stream.push(id);
    const end = firstStop(text, stop);
    if (end !== undefined) {
      show(end);
      return { text: text.slice(0, end), tokens };
    }
    show(text.length - held);
  }
  text += stream.end();
  const end = firstStop(text, stop) ?? text.length;
  show(end);
  return { text: text.slice(0, end), tokens };
}

function firstStop(text: string, stop: readonly string[]): number | undefined {
  const places = stop.map((word) => text.indexOf(word)).filter((place) => place >= 0);
  return places.length === 0 ? undefined : Math.min(...places);
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
