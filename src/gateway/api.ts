// /api/*: what the page shows. `/api/state` answers once, `/api/events` goes on: the whole state as a server-sent event after each change.

import type { FastifyInstance } from 'fastify';
import { tooMany } from './api-error.ts';
import { openEventStream } from './sse.ts';
import type { Watch } from './watch.ts';

/** Pages open at once. */
const MAX_READERS = 64;
/** Changes come in bursts: a head, its records, its probes. */
const PAUSE_MS = 200;
const RETRY_S = 30;

export function registerApi(
  app: FastifyInstance,
  watch: Pick<Watch, 'state' | 'onChange'>,
  closing: AbortSignal,
): void {
  let readers = 0;

  app.get('/api/state', async () => watch.state());
  app.get('/api/events', async (_, reply) => {
    if (readers >= MAX_READERS) throw tooMany('Too many pages are open.', RETRY_S);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort(new Error('the reader has gone')));
    const signal = AbortSignal.any([closing, gone.signal]);
    reply.hijack();
    const stream = openEventStream(reply.raw, {}, signal);
    readers += 1;
    try {
      for await (const _change of changes(watch, signal)) await stream.send(JSON.stringify(watch.state()), 'state');
    } catch {
      // the reader has gone, or the gateway closes
    } finally {
      readers -= 1;
      stream.end();
    }
    return reply;
  });
}

/** Once at first, then after every change, with a pause between. */
async function* changes(watch: Pick<Watch, 'onChange'>, signal: AbortSignal): AsyncGenerator<void, void> {
  let change = Promise.withResolvers<void>();
  const stop = watch.onChange(() => change.resolve());
  signal.addEventListener('abort', () => change.resolve(), { once: true });
  try {
    while (!signal.aborted) {
      yield;
      await change.promise;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      change = Promise.withResolvers<void>();
      if (signal.aborted) return;
    }
  } finally {
    stop();
  }
}
