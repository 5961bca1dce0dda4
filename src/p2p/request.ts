// Request and response over a fresh FrameStream: one frame there, one frame back. Shared by every implementation of Overlay.

import type { PeerId } from '../types/ids.ts';
import { raceSignal } from '../util/async.ts';
import { peerSilent, peerStalled, streamReset } from './errors.ts';
import type { FrameStream } from './types.ts';

/** A request or an answer of no length takes at most this: as long as a handshake (protocol.md 14). */
const SHORT_FRAME_MS = 10_000;
/** And so much longer for its bytes: a peer with less than 2 Mbit/s serves nobody. */
const SLOWEST_BYTES_PER_MS = 256;

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

/**
 * Makes a stream handler of a request handler. Its signal aborts when the asking side gives up. Throws PEER_SILENT when the request does not
 * come, PEER_STALLED when the answer is not read.
 */
export function serveRequest(handler: RequestHandler, maxFrameBytes: number): (stream: FrameStream) => Promise<void> {
  return async (stream) => {
    const frames = stream.frames()[Symbol.asyncIterator]();
    const first = await inTime(frames.next(), maxFrameBytes, () => peerSilent(stream.peer));
    if (first.done === true) return;
    const gone = new AbortController();
    // The asker keeps its side open until it has the answer, so this read settles early only when the stream breaks.
    frames.next().catch((error) => gone.abort(error));
    const answer = await handler(first.value, stream.peer, gone.signal);
    await inTime(stream.send([answer], gone.signal), answer.length, () => peerStalled(stream.peer));
  };
}

/** Rejects with `late` when so many bytes have not passed in the time that the slowest peer may take. */
async function inTime<T>(passing: Promise<T>, bytes: number, late: () => Error): Promise<T> {
  passing.catch(() => undefined);
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => deadline.reject(late()), SHORT_FRAME_MS + bytes / SLOWEST_BYTES_PER_MS);
  timer.unref();
  try {
    return await Promise.race([passing, deadline.promise]);
  } finally {
    clearTimeout(timer);
  }
}
