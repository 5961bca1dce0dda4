// The two ends of a FrameStream within one process: ordered, lossless, with a window. The twin of a stream of libp2p.

import type { PeerId } from '../types/ids.ts';
import { concatBytes } from '../util/bytes.ts';
import { frameTooLarge, streamReset } from './errors.ts';
import { createInbox } from './inbox.ts';
import type { FrameStream } from './types.ts';

export interface StreamEnd {
  /** The peer at the other end. */
  readonly peer: PeerId;
  readonly maxFrameBytes: number;
  /** The other end sent a frame over the limit. */
  readonly onTooLarge: () => void;
}

export interface StreamPairOptions {
  readonly protocol: string;
  readonly ends: readonly [StreamEnd, StreamEnd];
  /** `send` waits while more than this was sent and not read. */
  readonly windowBytes: number;
  /** Runs a delivery later, in order. */
  readonly post: (job: () => void) => void;
  /** Called once, when both ends have closed or the stream broke. */
  readonly onGone: () => void;
}

export interface StreamPair {
  readonly streams: readonly [FrameStream, FrameStream];
  /** The connection is gone: both ends break off at once. */
  sever(): void;
}

export function createStreamPair(options: StreamPairOptions): StreamPair {
  let gone = false;
  const free = () => {
    if (gone) return;
    gone = true;
    options.onGone();
  };
  const a = createHalf(options.ends[0], options, free);
  const b = createHalf(options.ends[1], options, free);
  a.join(b);
  b.join(a);
  return {
    streams: [a.stream, b.stream],
    sever() {
      a.breakOff();
      b.breakOff();
      free();
    },
  };
}

interface Half {
  readonly stream: FrameStream;
  join(other: Half): void;
  receive(frame: Uint8Array): void;
  waiting(): number;
  /** The other end's consumer took a frame. */
  roomAhead(): void;
  /** The other end said that nothing more will come. */
  end(): void;
  /** The other end or the connection is gone. */
  breakOff(): void;
  closed(): boolean;
}

function createHalf(end: StreamEnd, options: StreamPairOptions, free: () => void): Half {
  let other: Half | undefined;
  let inFlight = 0;
  let closed = false;
  let failure: Error | undefined;
  const senders = new Set<() => void>();
  const inbox = createInbox(() => other?.roomAhead());

  function wakeSenders(): void {
    for (const wake of senders) wake();
  }

  function fail(error: Error): void {
    if (failure !== undefined) return;
    failure = error;
    inbox.fail(error);
    wakeSenders();
  }

  function abort(reason: Error): void {
    if (failure !== undefined) return;
    fail(reason);
    options.post(() => other?.breakOff());
    free();
  }

  async function room(signal: AbortSignal | undefined): Promise<void> {
    while (failure === undefined && inFlight + (other?.waiting() ?? 0) > options.windowBytes)
      await change(senders, signal);
    if (failure !== undefined) throw failure;
  }

  async function send(parts: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (failure !== undefined) throw failure;
    if (closed) throw streamReset(end.peer, options.protocol, 'this side has closed it');
    const frame = concatBytes(...parts);
    if (frame.length > end.maxFrameBytes) throw frameTooLarge(frame.length, end.maxFrameBytes);
    inFlight += frame.length;
    options.post(() => {
      inFlight -= frame.length;
      other?.receive(frame);
    });
    await room(signal);
  }

  async function close(): Promise<void> {
    if (closed || failure !== undefined) return;
    closed = true;
    options.post(() => other?.end());
    if (other?.closed()) free();
  }

  return {
    stream: { peer: end.peer, send, frames: inbox.frames, close, abort },
    join(half) {
      other = half;
    },
    receive(frame) {
      if (frame.length <= end.maxFrameBytes) return inbox.push(frame);
      end.onTooLarge();
      abort(frameTooLarge(frame.length, end.maxFrameBytes));
    },
    waiting: inbox.waiting,
    roomAhead: wakeSenders,
    end: inbox.end,
    breakOff: () => fail(streamReset(end.peer, options.protocol, 'the other side broke it off')),
    closed: () => closed,
  };
}

/** Resolves at the next wake-up, rejects when the signal aborts. */
function change(waiters: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void) => () => {
      waiters.delete(wake);
      signal?.removeEventListener('abort', stop);
      settle();
    };
    const wake = done(resolve);
    const stop = done(() => reject(signal?.reason));
    waiters.add(wake);
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
  });
}
