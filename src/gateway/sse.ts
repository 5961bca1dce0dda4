// Server-sent events with backpressure: the next token is asked for when the reader has taken the last one. A reader that takes nothing for
// long is left.

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { withDeadline } from '../util/async.ts';

/** A reader on a bad line catches up in seconds; one that does not read holds a generation's place in the network. */
const STALL_MS = 30_000;

export interface EventStream {
  /** Sent at once; undefined while there is room for more. Else resolves when there is, and rejects when the reader takes nothing for 30 s. */
  send(data: string, event?: string): Promise<void> | undefined;
  /** Whether somebody is still there. */
  readonly open: boolean;
  end(): void;
}

/** `send` throws the signal's reason once that has aborted. */
export function openEventStream(
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): EventStream {
  response.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });

  async function room(): Promise<void> {
    try {
      await once(response, 'drain', { signal: withDeadline(signal, STALL_MS) });
    } catch (error) {
      response.destroy();
      throw error;
    }
  }

  return {
    send(data, event) {
      signal.throwIfAborted();
      const name = event === undefined ? '' : `event: ${event}\n`;
      return response.write(`${name}data: ${data}\n\n`) ? undefined : room();
    },
    get open() {
      return !response.destroyed && !signal.aborted;
    },
    end: () => void response.end(),
  };
}
