// Asks the gateway as any OpenAI client does, and shows the answer as it comes and the route that it took.

import { element, find } from './dom.ts';
import type { Route } from './network.ts';

interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string } }[];
  readonly tessera?: { readonly route: readonly { readonly node: number; readonly shards: readonly number[] }[] };
  readonly error?: { readonly message: string };
}

/** Characters of earlier turns that go with a question, per position of the model's context: about a third of it. */
const MEMORY_CHARS = 1.2;

export interface ChatOptions {
  readonly model: () => { readonly name: string; readonly maxContext: number } | undefined;
  readonly onRoute: (route: Route) => void;
}

export function startChat(options: ChatOptions): void {
  const talk = find('talk');
  const question = find<HTMLTextAreaElement>('question');
  const stop = find<HTMLButtonElement>('stop');
  const key = find<HTMLInputElement>('key');
  const turns: Turn[] = [];
  let asking: AbortController | undefined;

  async function ask(text: string): Promise<void> {
    const model = options.model();
    if (model === undefined || asking !== undefined) return;
    asking = new AbortController();
    stop.hidden = false;
    const answer = element('p');
    const shown = element('article', {}, element('p', { class: 'asked' }, text), answer);
    talk.append(shown);
    question.value = '';
    const note = (words: string, kind: string): void => {
      shown.append(element('p', { class: kind }, words));
      talk.scrollTop = talk.scrollHeight;
    };
    try {
      const messages = [
        ...remembered(turns, model.maxContext * MEMORY_CHARS),
        { role: 'user' as const, content: text },
      ];
      const temperature = Number(find<HTMLInputElement>('temperature').value);
      const route = await stream(
        { model: model.name, messages, temperature, stream: true },
        key.value,
        asking.signal,
        (piece) => {
          answer.append(piece);
          talk.scrollTop = talk.scrollHeight;
        },
      );
      turns.push({ role: 'user', content: text }, { role: 'assistant', content: answer.textContent ?? '' });
      options.onRoute(new Map(route.map(({ node, shards }) => [node, shards])));
      note(
        `Route: ${route.map(({ node, shards }) => `node ${node} (shards ${shards.join(' ')})`).join(', then ')}`,
        'route',
      );
    } catch (error) {
      if (error instanceof KeyNeeded) find('key-row').hidden = false;
      note(asking.signal.aborted ? 'Stopped.' : error instanceof Error ? error.message : String(error), 'failed');
    } finally {
      asking = undefined;
      stop.hidden = true;
    }
  }

  find<HTMLFormElement>('asking').addEventListener('submit', (event) => {
    event.preventDefault();
    void ask(question.value.trim());
  });
  question.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void ask(question.value.trim());
  });
  stop.addEventListener('click', () => asking?.abort());
}

class KeyNeeded extends Error {}

/** The last turns that fit. */
function remembered(turns: readonly Turn[], chars: number): readonly Turn[] {
  let left = chars;
  let from = turns.length;
  while (from >= 2) {
    left -= (turns[from - 1]?.content.length ?? 0) + (turns[from - 2]?.content.length ?? 0);
    if (left < 0) break;
    from -= 2;
  }
  return turns.slice(from);
}

type Hops = NonNullable<Chunk['tessera']>['route'];

async function stream(body: object, key: string, signal: AbortSignal, onText: (piece: string) => void): Promise<Hops> {
  const response = await fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === '' ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify(body),
    signal,
  });
  if (response.status === 401) throw new KeyNeeded('This gateway needs an API key; enter it below and ask again.');
  if (!response.ok || response.body === null) {
    const { error } = (await response.json()) as Chunk;
    throw new Error(error?.message ?? `The gateway answered ${response.status}.`);
  }
  let route: Hops = [];
  for await (const data of eventsOf(response.body)) {
    if (data === '[DONE]') break;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) throw new Error(chunk.error.message);
    onText(chunk.choices?.[0]?.delta?.content ?? '');
    route = chunk.tessera?.route ?? route;
  }
  return route;
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) yield event.replace(/^data: /, '');
  }
}
