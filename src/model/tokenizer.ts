// Text to token ids and back with the model's own tokenizer.json. Text of people never yields special tokens, whatever it spells;
// only a chat template puts them in. Streaming output holds back incomplete UTF-8.

import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { type ChatMessage, createChatRenderer } from './chat.ts';
import { ModelError } from './errors.ts';
import { textManifest } from './manifest.ts';
import type { Model } from './open.ts';

/** Turns ids into text as they come; no piece ends within a character. */
export interface TextStream {
  /** The text that became certain with this token, possibly ''. */
  push(id: number): string;
  /** What was held back. */
  end(): string;
}

export interface ModelTokenizer {
  /** The beginning mark of plain prompts, if there is one. */
  readonly bos: number | null;
  /** A generated one of these ends the text. */
  readonly eos: readonly number[];
  /** Ids of plain text: never a special token, no beginning mark. */
  encode(text: string): number[];
  /** Ids of a text to continue: the beginning mark, then the text. */
  encodePrompt(text: string): number[];
  /** Ids of a chat by the model's template, with the assistant's turn opened. */
  encodeChat(messages: readonly ChatMessage[]): number[];
  /** Text of ids; special tokens have none. */
  decode(ids: readonly number[]): string;
  /** How one token is shown by itself: special ones by their names. */
  tokenText(id: number): string;
  /** @param prompt ids that the text goes on from: a space between them and the first word is kept */
  createStream(prompt?: readonly number[]): TextStream;
}

const addedToken = z.looseObject({ id: z.number().int(), content: z.string().min(1), special: z.boolean().optional() });
const tokenizerJson = z.looseObject({ added_tokens: z.array(addedToken).optional() });

/** What a decoder writes for bytes that are not yet a whole character. */
const REPLACEMENT = '\ufffd';
/** Tokens decoded again with each new one, so that spacing between words comes out right; a character has at most 4 bytes. */
const CONTEXT_TOKENS = 8;

/** Reads the tokenizer and the chat template that the manifest of a model that writes text names. Throws ModelError. */
export async function openTokenizer(model: Model): Promise<ModelTokenizer> {
  const { tokenizer: names, chatTemplate } = textManifest(model.manifest);
  const json = parse(names.file, await model.read(names.file));
  const template = Buffer.from(await model.read(chatTemplate)).toString('utf8');
  return createTokenizer(json, template, names);
}

function parse(file: string, bytes: Uint8Array): z.infer<typeof tokenizerJson> {
  try {
    return tokenizerJson.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (error) {
    throw new ModelError({ code: 'MODEL_FILE', file, why: 'not a tokenizer' }, `${file} is no tokenizer.json`, {
      cause: error,
    });
  }
}

function createTokenizer(
  json: z.infer<typeof tokenizerJson>,
  template: string,
  { bos, eos }: { readonly bos: number | null; readonly eos: readonly number[] },
): ModelTokenizer {
  const special = new Map(
    (json.added_tokens ?? []).filter((token) => token.special === true).map((token) => [token.content, token.id]),
  );
  const specialIds = new Set(special.values());
  const textOf = (id: number) => [...special].find(([, known]) => known === id)?.[0] ?? '';
  // Without the special ones the library has nothing to find in a text of people.
  const ordinary = (json.added_tokens ?? []).filter((token) => token.special !== true);
  const plain = new Tokenizer({ ...json, added_tokens: ordinary, post_processor: null }, {});
  const chat = createChatRenderer(template, [...special.keys()], textOf(bos ?? -1), textOf(eos[0] ?? -1));

  const encode = (text: string) =>
    text === ''
      ? []
      : plain.encode(text, { add_special_tokens: false }).ids.filter((id: number) => !specialIds.has(id));
  const decode = (ids: readonly number[]) => {
    const words = ids.filter((id) => !specialIds.has(id));
    return words.length === 0
      ? ''
      : plain.decode(words, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  };
  return {
    bos,
    eos,
    encode,
    encodePrompt: (text) => [...(bos === null ? [] : [bos]), ...encode(text)],
    encodeChat: (messages) =>
      chat
        .render(messages)
        .flatMap((piece) => (piece.kind === 'special' ? (special.get(piece.token) ?? []) : encode(piece.text))),
    decode,
    tokenText: (id) => (specialIds.has(id) ? textOf(id) : decode([id])),
    createStream: (prompt = []) => {
      const text = prompt.slice(1 + prompt.findLastIndex((id) => specialIds.has(id)));
      return createTextStream(decode, text);
    },
  };
}

/** Decodes a short window twice, without and with what is new; the difference is the new text (spaces may depend on the token before). */
export function createTextStream(
  decode: (ids: readonly number[]) => string,
  before: readonly number[] = [],
): TextStream {
  let window = before.slice(-CONTEXT_TOKENS); // ids already told, as context, then ids not yet told
  let told = window.length;
  const fresh = () => decode(window).slice(decode(window.slice(0, told)).length);
  const keep = () => {
    window = window.slice(-CONTEXT_TOKENS);
    told = window.length;
  };
  return {
    push(id) {
      window.push(id);
      const text = fresh();
      if (text.endsWith(REPLACEMENT) && window.length - told < CONTEXT_TOKENS) return '';
      keep();
      return text;
    },
    end() {
      const text = fresh();
      keep();
      return text;
    },
  };
}
