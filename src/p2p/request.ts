// Request and response over a fresh FrameStream: one frame there, one frame back. Shared by every implementation of Overlay.

import type { PeerId } from '../types/ids.ts';
import { raceSignal } from '../util/async.ts';
import { streamReset } from './errors.ts';
import type { FrameStream } from './types.ts';

export type RequestHandler = (body: Uint8Array, from: PeerId, signal: AbortSignal) => Promise<Uint8Array>;

/** Asks on a stream that was opened for this; the stream is gone afterwards. */
export async function requestOver(
  stream: FrameStream,
  protocol: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    return await raceSignal(exchange(stream, protocol, body, signal), signal);
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

async function exchange(
  stream: FrameStream,
  protocol: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  await stream.send([body], signal);
  for await (const answer of stream.frames()) {
    await stream.close();
    return answer;
  }
  throw streamReset(stream.peer, protocol, 'closed without an answer');
}

/** Makes a stream handler of a request handler. Its signal aborts when the asking side gives up. */
export function serveRequest(handler: RequestHandler): (stream: FrameStream) => Promise<void> {
  return async (stream) => {
    const frames = stream.frames()[Symbol.asyncIterator]();
    const first = await frames.next();
    if (first.done === true) return;
    const gone = new AbortController();
    // The asker keeps its side open until it has the answer, so this read settles early only when the stream breaks.
    frames.next().catch((error) => gone.abort(error));
    await stream.send([await handler(first.value, stream.peer, gone.signal)], gone.signal);
  };
}
