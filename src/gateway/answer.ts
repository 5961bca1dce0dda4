// One answer on its way to a person: whole, or as server-sent events; with its usage, and with the route it took in `tessera`.

import type { ServerResponse } from 'node:http';
import type { RoutedHop } from '../routing/route.ts';
import { errorBody, toApiError } from './api-error.ts';
import type { ChoiceEvent, ChoicePlan } from './choices.ts';
import type { Shape } from './shapes.ts';
import { type EventStream, openEventStream } from './sse.ts';

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

export async function wholeAnswer(
  events: AsyncIterable<ChoiceEvent>,
  { head, shape, plans, meter }: Answering,
): Promise<object> {
  const open = new Map(plans.map(({ index }) => [index, { index, text: '', tokens: [] as ChoiceTokens, offset: 0 }]));
  const choices: { readonly index: number; readonly choice: object }[] = [];
  let route: readonly RoutedHop[] = [];
  for await (const event of events) {
    const told = open.get(event.index);
    if (told === undefined) continue;
    if (event.type === 'text') {
      meter.drawn += event.tokens.length;
      told.text += event.text;
      told.tokens.push(...event.tokens);
      continue;
    }
    meter.drawn += event.drawn - told.tokens.length;
    if (event.index === 0) route = event.route;
    choices.push({ index: event.index, choice: shape.whole(told, event.finish) });
  }
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
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Streams the answer. What fails on the way is told as an event with the error, after which nothing follows, no `[DONE]` either; answers
 * what it was.
 */
export async function streamAnswer(
  events: AsyncIterable<ChoiceEvent>,
  response: ServerResponse,
  streaming: Streaming,
  signal: AbortSignal,
): Promise<unknown> {
  const stream = openEventStream(response, streaming.headers, signal);
  try {
    await writeChunks(events, stream, streaming);
    await stream.send('[DONE]');
    return undefined;
  } catch (error) {
    if (stream.open) await stream.send(JSON.stringify(errorBody(toApiError(error)))).catch(() => undefined);
    return error;
  } finally {
    stream.end();
  }
}

async function writeChunks(
  events: AsyncIterable<ChoiceEvent>,
  stream: EventStream,
  streaming: Streaming,
): Promise<void> {
  const { head, shape, plans, meter, includeUsage, onWritten } = streaming;
  const usage = includeUsage ? { usage: null } : {};
  const chunk = (choice: object, more: object = {}): Promise<void> =>
    stream.send(JSON.stringify({ ...frame(head, shape.chunkObject), choices: [choice], ...usage, ...more }));
  const offsets = new Map<number, number>();
  const told = new Map<number, number>();
  for (const { index } of plans) {
    const opening = shape.opening(index);
    if (opening !== undefined) await chunk(opening);
  }
  for await (const event of events) {
    const { index } = event;
    const before = told.get(index) ?? 0;
    if (event.type === 'end') {
      meter.drawn += event.drawn - before;
      await chunk(shape.closing(index, event.finish), { tessera: { route: describeRoute(event.route) } });
      continue;
    }
    const { text, tokens, at, route } = event;
    const offset = offsets.get(index) ?? 0;
    meter.drawn += tokens.length;
    told.set(index, before + tokens.length);
    offsets.set(index, offset + text.length);
    const way = route === undefined ? {} : { tessera: { route: describeRoute(route) } };
    const sent = chunk(shape.piece({ index, text, tokens, offset }), way);
    onWritten(at);
    await sent;
  }
  if (!includeUsage) return;
  const last = { ...frame(head, shape.chunkObject), choices: [], usage: usageOf(plans, meter.drawn) };
  await stream.send(JSON.stringify(last));
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
