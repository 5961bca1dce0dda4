// Chat messages to the text that a model was trained on, by the model's own Jinja template. The template is trusted as far as the manifest that
// names it; what people write is not: it is made harmless before rendering, so that no text of theirs becomes a special token.

import { Template } from '@huggingface/jinja';
import { errorMessage } from '../util/errors.ts';
import { ModelError } from './errors.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ChatRenderer {
  /**
   * Pieces of the prompt in order: special tokens by their text, and ordinary text to encode as such. Opens the assistant's turn at the end.
   * Throws ModelError CHAT_REFUSED.
   */
  render(messages: readonly ChatMessage[]): readonly PromptPiece[];
}

export type PromptPiece =
  | { readonly kind: 'special'; readonly token: string }
  | { readonly kind: 'text'; readonly text: string };

/** Private-use characters: one of them that no message contains breaks up what looks like a special token. */
const BREAKERS = Array.from({ length: 64 }, (_, i) => String.fromCharCode(0xe000 + i));

/** @param specials texts of the special tokens, as the template writes them */
export function createChatRenderer(
  template: string,
  specials: readonly string[],
  bos: string,
  eos: string,
): ChatRenderer {
  const jinja = new Template(template);
  return {
    render(messages) {
      const breaker = BREAKERS.find((candidate) => messages.every((message) => !message.content.includes(candidate)));
      if (breaker === undefined) throw new RangeError('a message with every private-use character cannot be rendered');
      const harmless = messages.map((message) => ({
        ...message,
        content: breakUp(message.content, specials, breaker),
      }));
      const prompt = renderWith(jinja, {
        messages: harmless,
        bos_token: bos,
        eos_token: eos,
        add_generation_prompt: true,
      });
      return splitSpecials(prompt, specials).map((piece) =>
        piece.kind === 'special' ? piece : { kind: 'text', text: piece.text.replaceAll(breaker, '') },
      );
    },
  };
}

/** Throws ModelError CHAT_REFUSED: templates refuse messages by raising. */
function renderWith(template: Template, values: Record<string, unknown>): string {
  try {
    return template.render(values);
  } catch (error) {
    const why = errorMessage(error);
    throw new ModelError(
      { code: 'CHAT_REFUSED', why },
      `the model's chat template does not take these messages: ${why}`,
      {
        cause: error,
      },
    );
  }
}

/** Puts the breaker behind the first character of every special token's text, repeatedly while breaking one leaves another. */
function breakUp(content: string, specials: readonly string[], breaker: string): string {
  let text = content;
  for (const token of specials) text = text.replaceAll(token, (found) => `${found[0]}${breaker}${found.slice(1)}`);
  return text;
}

/** Cuts a text at special tokens, longest first. */
function splitSpecials(text: string, specials: readonly string[]): PromptPiece[] {
  if (specials.length === 0) return text === '' ? [] : [{ kind: 'text', text }];
  const longestFirst = specials.toSorted((a, b) => b.length - a.length);
  const pattern = new RegExp(`(${longestFirst.map(escapePattern).join('|')})`, 'u');
  return text
    .split(pattern)
    .filter((piece) => piece !== '')
    .map((piece) => (specials.includes(piece) ? { kind: 'special', token: piece } : { kind: 'text', text: piece }));
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
