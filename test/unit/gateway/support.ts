// A gateway over a backend whose words are known: the n-th token of every answer is the n-th word of a text, whatever the prompt was.

import type { GeneratedToken, GenerateOptions } from '../../../src/client/generation.ts';
import type { Backend, BackendGeneration } from '../../../src/gateway/backend.ts';
import type { KeyRing } from '../../../src/gateway/keys.ts';
import { createGateway, type Gateway, type GatewayDeps, type GatewayOptions } from '../../../src/gateway/server.ts';
import type { ModelTokenizer } from '../../../src/model/tokenizer.ts';
import { type Log, silentLog } from '../../../src/util/log.ts';

export const WORDS = ['Once', ' upon', ' a', ' time', ' there', ' was', ' a', ' fox', '.'];
export const MAX_CONTEXT = 64;

export interface ScriptedBackend extends Backend {
  /** Every generation asked for. */
  readonly asked: { readonly prompt: readonly number[]; readonly options: GenerateOptions }[];
  /** Generations that are under way. */
  readonly running: number;
  /** Awaited before each token. */
  beforeToken: (place: number, signal: AbortSignal) => Promise<void> | void;
}

/** Ids below WORDS.length are the words; a prompt has one id per character. */
function scriptedTokenizer(words: readonly string[]): ModelTokenizer {
  const decode = (ids: readonly number[]) => ids.map((id) => words[id] ?? '').join('');
  const encode = (text: string) => [...text].map(() => 0);
  return {
    bos: null,
    eos: [999],
    encode,
    encodePrompt: encode,
    encodeChat: (messages) => encode(messages.map(({ content }) => content).join('')),
    decode,
    tokenText: (id) => words[id] ?? '',
    createStream: () => ({ push: (id) => words[id] ?? '', end: () => '' }),
  };
}

export function scriptedBackend(words: readonly string[] = WORDS, capacity = 6): ScriptedBackend {
  const state = { running: 0 };
  const asked: ScriptedBackend['asked'] = [];
  const backend: ScriptedBackend = {
    model: { id: 'words', hash: 'ab'.repeat(32), maxContext: MAX_CONTEXT, vocab: 1_000 },
    tokenizer: scriptedTokenizer(words),
    capacity: () => capacity,
    asked,
    get running() {
      return state.running;
    },
    beforeToken: () => undefined,
    generate(prompt, options, signal): BackendGeneration {
      asked.push({ prompt, options });
      let finish: BackendGeneration['finish'];
      async function* run(): AsyncGenerator<GeneratedToken> {
        state.running += 1;
        try {
          for (let id = 0; id < Math.min(words.length, options.maxTokens); id += 1) {
            await backend.beforeToken(id, signal);
            signal.throwIfAborted();
            const alternatives = Array.from({ length: options.alternatives ?? 0 }, (_, i) => ({
              id: (id + i) % words.length,
              logprob: -i - 0.5,
            }));
            const token = { id, logprob: -0.5, position: prompt.length + id };
            yield alternatives.length === 0 ? token : { ...token, alternatives };
          }
          finish = options.maxTokens < words.length ? 'length' : 'stop';
        } finally {
          state.running -= 1;
        }
      }
      return {
        [Symbol.asyncIterator]: run,
        get finish() {
          return finish;
        },
      };
    },
  };
  return backend;
}

export const NO_KEYS: KeyRing = { required: () => false, find: () => undefined };

export interface Served {
  readonly gateway: Gateway;
  readonly backend: ScriptedBackend;
  readonly clock: { ms: number };
  post(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  chat(more?: object, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

export async function serve(
  changes: Partial<GatewayOptions> &
    Partial<GatewayDeps> & { readonly words?: readonly string[]; readonly log?: Log; readonly capacity?: number } = {},
): Promise<Served> {
  const backend = scriptedBackend(changes.words, changes.capacity);
  const clock = { ms: 0 };
  const gateway = await createGateway(
    { host: '127.0.0.1', port: 0, ...changes },
    {
      backend,
      keys: NO_KEYS,
      vitals: () => ({ block: 7, headAgeMs: 10, missing: [], peers: 2 }),
      now: () => clock.ms,
      nowS: () => 1_000,
      log: silentLog,
      ...changes,
    },
  );
  const post: Served['post'] = (path, body, headers = {}) =>
    fetch(`${gateway.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return {
    gateway,
    backend,
    clock,
    post,
    chat: (more = {}, headers = {}) =>
      post('/v1/chat/completions', { model: 'words', messages: [{ role: 'user', content: 'hi' }], ...more }, headers),
  };
}

/** The data of each server-sent event. */
export async function eventsOf(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((block) => block !== '')
    .map((block) => block.replace(/^data: /, ''));
}
