// One answer on its way to a person: whole, or as server-sent events; with its usage, and with the route it took in `tessera`.

import type { RoutedHop } from '../routing/route.ts';
import { errorBody, toApiError } from './api-error.ts';
import type { ChoiceEvent, ChoicePlan, Emit } from './choices.ts';
import type { Shape } from './shapes.ts';
import type { EventStream } from './sse.ts';

/** What stands in every object of one answer. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** Prompts count once each, however many answers they have. */
export function usageOf(plans: readonly ChoicePlan[], drawn: number): Usage {
  const prompts = new Set(plans.map(({ prompt }) => prompt));
  const prompt_tokens = [...prompts].reduce((sum, prompt) => sum + prompt.length, 0);
  return { prompt_tokens, completion_tokens: drawn, total_tokens: prompt_tokens + drawn };
}

/** Counts what was drawn, for the usage and for who has to pay when an answer breaks off. */
export interface Meter {
  drawn: number;
}

/** Runs the choices of an answer; see choices.ts. */
export type Run = (emit: Emit) => Promise<void>;

export async function wholeAnswer(run: Run, { head, shape, plans, meter }: Answering): Promise<object> {
  const open = new Map(plans.map(({ index }) => [index, { index, text: '', tokens: [] as ChoiceTokens, offset: 0 }]));
  const choices: { readonly index: number; readonly choice: object }[] = [];
  let route: readonly RoutedHop[] = [];
  await run((event) => {
    const told = open.get(event.index);
    if (told === undefined) return undefined;
    if (event.type === 'text') {
      meter.drawn += event.tokens.length;
      told.text += event.text;
      told.tokens.push(...event.tokens);
      return undefined;
    }
    meter.drawn += event.drawn - told.tokens.length;
    if (event.index === 0) route = event.route;
    choices.push({ index: event.index, choice: shape.whole(told, event.finish) });
    return undefined;
  });
  return {
    ...frame(head, shape.object),
    choices: choices.sort((a, b) => a.index - b.index).map(({ choice }) => choice),
    usage: usageOf(plans, meter.drawn),
    tessera: { route: describeRoute(route) },
  };
}

type ChoiceTokens = (ChoiceEvent & { type: 'text' })['tokens'][number][];

export interface Answering {
  readonly head: AnswerHead;
  readonly shape: Shape;
  readonly plans: readonly ChoicePlan[];
  readonly meter: Meter;
}

export interface Streaming extends Answering {
  /** Called when a token that came at that time, monotonic milliseconds, has been handed to the socket. */
  readonly onWritten: (at: number) => void;
  readonly includeUsage: boolean;
}

/**
 * Streams the answer. What fails before the first event is thrown. What fails later is told as an event with the error, after which nothing
 * follows, no `[DONE]` either; answers what it was.
 *
 * @param open called with the first event
 */
export async function streamAnswer(run: Run, open: () => EventStream, streaming: Streaming): Promise<unknown> {
  let stream: EventStream | undefined;
  const chunks = createChunks(streaming);
  const begin = (): EventStream => {
    const opened = open();
    for (const chunk of chunks.openings()) void opened.send(chunk)?.catch(() => undefined); // the next piece waits for room
    return opened;
  };
  try {
    await run((event) => {
      stream ??= begin();
      const full = stream.send(chunks.of(event));
      if (event.type === 'text') streaming.onWritten(event.at);
      return full;
    });
    if (streaming.includeUsage) await stream?.send(chunks.usage());
    await stream?.send('[DONE]');
    return undefined;
  } catch (error) {
    if (stream === undefined) throw error;
    if (stream.open) void stream.send(JSON.stringify(errorBody(toApiError(error))))?.catch(() => undefined);
    return error;
  } finally {
    stream?.end();
  }
}

/** The chunks of one answer as JSON. What is the same in all of them is written once. */
function createChunks({ head, shape, plans, meter, includeUsage }: Streaming) {
  const begin = `${JSON.stringify(frame(head, shape.chunkObject)).slice(0, -1)},"choices":[`;
  const end = includeUsage ? '],"usage":null' : ']';
  const offsets = new Map<number, number>();
  const told = new Map<number, number>();
  const chunkOf = (choice: object, route?: readonly RoutedHop[]): string => {
    const way = route === undefined ? '' : `,"tessera":${JSON.stringify({ route: describeRoute(route) })}`;
    return `${begin}${JSON.stringify(choice)}${end}${way}}`;
  };
  return {
    openings: (): readonly string[] =>
      plans.flatMap(({ index }) => {
        const opening = shape.opening(index);
        return opening === undefined ? [] : [chunkOf(opening)];
      }),
    of(event: ChoiceEvent): string {
      const { index } = event;
      const before = told.get(index) ?? 0;
      if (event.type === 'end') {
        meter.drawn += event.drawn - before;
        return chunkOf(shape.closing(index, event.finish), event.route);
      }
      const { text, tokens, route } = event;
      const offset = offsets.get(index) ?? 0;
      meter.drawn += tokens.length;
      told.set(index, before + tokens.length);
      offsets.set(index, offset + text.length);
      return chunkOf(shape.piece({ index, text, tokens, offset }), route);
    },
    usage: (): string => `${begin}],"usage":${JSON.stringify(usageOf(plans, meter.drawn))}}`,
  };
}

function frame({ id, created, model, fingerprint }: AnswerHead, object: string): object {
  return { id, object, created, model, system_fingerprint: fingerprint };
}

/** A hop as the command line shows it. */
function describeRoute(route: readonly RoutedHop[]): readonly object[] {
  return route.map(({ node, peer, from, to }) => ({
    node,
    peer,
    shards: Array.from({ length: to - from }, (_, i) => from + i),
  }));
}
