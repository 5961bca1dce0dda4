// A FrameStream on a libp2p stream. Each side begins with one byte: the opener with a greeting, the answerer with whether it admits the opener;
// frames follow. Waits for room by its own listeners, for `onDrain()` of @libp2p/utils 7.4.1 holds only once (network.md 4, trap 1).

import type { Stream } from '@libp2p/interface';
import { Uint8ArrayList } from 'uint8arraylist';
import type { PeerId } from '../types/ids.ts';
import { createDeframer, framePrefix } from './deframer.ts';
import { streamReset } from './errors.ts';
import { createInbox } from './inbox.ts';
import { type FrameStream, OverlayError, type RefusalCode } from './types.ts';

/** What yamux lets a sender be ahead at most; a stream of 4 MiB per round trip is 80 MiB/s over 50 ms. */
export const MAX_WINDOW_BYTES = 4 << 20;
/** Above the window, or a paused stream would be killed by its own buffer (network.md 4, trap 2). */
const READ_BUFFER_BYTES = 2 * MAX_WINDOW_BYTES;
/** What a stranger may send before it is admitted: nothing is due, a protocol header fits. */
const READ_BUFFER_BYTES_BEFORE_ADMISSION = 4096;
/** Unread frames beyond this make the stream wait; one frame of any size always gets through. */
const INBOX_BYTES = 1 << 20;
/** A stream is broken off beyond this: a sender of empty frames would take fifty times its bytes here, before it could be made to wait. */
const MAX_UNREAD_FRAMES = 32_768;
/**
 * Within this time an opener greets, reads the rest of what is closed, and closes its side of a stream whose handler has ended; else the stream
 * is broken off.
 */
const LINGER_MS = 10_000;

/** Says that the opener is through with negotiating the protocol, and names the version of this layer. */
const GREETING = 1;
const ADMITTED = 1;
const REFUSED = 0;

/** Before anything is read: little may come in while it is not known whether the opener is admitted. */
export function holdBack(stream: Stream): void {
  stream.maxReadBufferLength = READ_BUFFER_BYTES_BEFORE_ADMISSION;
}

export function sayAdmitted(stream: Stream): void {
  stream.maxReadBufferLength = READ_BUFFER_BYTES;
  stream.send(Uint8Array.of(ADMITTED));
}

/** The opener breaks the stream off when it has read this. */
export function sayRefused(stream: Stream): void {
  stream.send(Uint8Array.of(REFUSED));
  lingerThenAbort(stream);
}

/** Greets and reads the answerer's first byte. Rejects when the stream ends without one. */
export function readAdmission(stream: Stream, signal: AbortSignal): Promise<boolean> {
  stream.maxReadBufferLength = READ_BUFFER_BYTES;
  if (stream.writeStatus === 'writable') stream.send(Uint8Array.of(GREETING));
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      stream.removeEventListener('message', onMessage);
      stream.removeEventListener('close', onClose);
      stream.removeEventListener('end', onClose);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onMessage = (event: { readonly data: Uint8Array | Uint8ArrayList }) => {
      const bytes = event.data.subarray();
      if (bytes.length > 1) stream.unshift(bytes.subarray(1));
      finish(() => resolve(bytes[0] === ADMITTED));
    };
    const onClose = () => finish(() => reject(new Error('closed before it said whether we are admitted')));
    const onAbort = () => finish(() => reject(signal.reason));
    stream.addEventListener('close', onClose);
    stream.addEventListener('end', onClose);
    signal.addEventListener('abort', onAbort);
    stream.addEventListener('message', onMessage);
    if (signal.aborted) onAbort();
    else if (isOver(stream)) onClose();
  });
}

/** Whether nothing more will be delivered. Protocol negotiation reads ahead and puts back, also after the end was announced. */
function isOver(stream: Stream): boolean {
  return stream.readBufferLength === 0 && (stream.readableEnded || stream.status !== 'open');
}

/** Whether it has ended in both directions: no 'close' will follow. */
export function isGone(stream: Stream): boolean {
  return stream.status === 'closed' || stream.status === 'aborted' || stream.status === 'reset';
}

function abortUnless(greeted: Promise<void>, stream: Stream): void {
  const timer = setTimeout(() => stream.abort(new Error('not greeted')), LINGER_MS);
  timer.unref();
  void greeted.then(() => clearTimeout(timer));
}

/** Breaks a stream off unless both sides close it in time. */
export function lingerThenAbort(stream: Stream): void {
  if (isGone(stream)) return;
  const timer = setTimeout(() => stream.abort(new Error('not closed by the other side')), LINGER_MS);
  timer.unref();
  stream.addEventListener('close', () => clearTimeout(timer));
}

/**
 * Frames over a stream on which admission has been said or read. An answerer is still to be greeted.
 *
 * @param onOffence told why, when the other side is cut off for what it sent
 */
export function createFrameStream(
  stream: Stream,
  peer: PeerId,
  maxFrameBytes: number,
  side: 'opener' | 'answerer',
  onOffence: (code: RefusalCode) => void,
): FrameStream {
  const protocol = stream.protocol;
  const greeted = Promise.withResolvers<void>();
  let awaitsGreeting = side === 'answerer';
  if (awaitsGreeting) abortUnless(greeted.promise, stream);
  else greeted.resolve();
  const deframer = createDeframer(maxFrameBytes);
  let failure: Error | undefined;
  let closed = false;
  let finished = stream.status === 'open' && stream.remoteWriteStatus === 'closed';
  const inbox = createInbox(() => {
    if (stream.readStatus === 'paused' && inbox.waiting() <= INBOX_BYTES / 2) stream.resume();
  });

  function fail(error: Error): void {
    failure ??= error;
    inbox.fail(failure);
    greeted.resolve();
  }

  function abort(reason: Error): void {
    fail(reason);
    stream.abort(reason);
  }

  function onChunk(chunk: Uint8Array): void {
    if (awaitsGreeting && chunk.length > 0) {
      if (chunk[0] !== GREETING) throw streamReset(peer, protocol, 'it speaks another version of this layer');
      awaitsGreeting = false;
      greeted.resolve();
      onChunk(chunk.subarray(1));
      return;
    }
    for (const frame of deframer.push(chunk)) inbox.push(frame);
    if (inbox.count() > MAX_UNREAD_FRAMES)
      throw streamReset(peer, protocol, `more than ${MAX_UNREAD_FRAMES} frames are unread`);
  }

  function onMessage(data: Uint8Array | Uint8ArrayList): void {
    if (failure !== undefined) return;
    try {
      for (const chunk of data instanceof Uint8Array ? [data] : data) onChunk(chunk);
    } catch (error) {
      onOffence(error instanceof OverlayError && error.code === 'FRAME_TOO_LARGE' ? 'FRAME_TOO_LARGE' : 'BAD_STREAM');
      abort(error as Error);
      return;
    }
    if (isOver(stream)) onEnd();
    else if (inbox.waiting() > INBOX_BYTES && stream.readStatus === 'readable') stream.pause();
  }

  /** No more bytes will come. Frames end well only if the other side said so between two frames. */
  function onEnd(): void {
    if (finished && !deframer.isMidFrame()) inbox.end();
    else fail(streamReset(peer, protocol, 'it ended without being closed'));
  }

  stream.addEventListener('remoteCloseWrite', () => {
    finished = true;
  });
  stream.addEventListener('end', onEnd);
  stream.addEventListener('close', (event) => {
    if (event.error !== undefined) fail(streamReset(peer, protocol, event.error.message, event.error));
    else if (isOver(stream)) onEnd();
  });
  stream.addEventListener('message', (event) => onMessage(event.data));
  if (isOver(stream)) onEnd();

  return {
    peer,
    async send(parts, signal) {
      signal?.throwIfAborted();
      if (failure !== undefined) throw failure;
      if (closed) throw streamReset(peer, protocol, 'this side has closed it');
      const prefix = framePrefix(parts, maxFrameBytes);
      try {
        stream.send(new Uint8ArrayList(prefix, ...parts));
      } catch (cause) {
        throw streamReset(peer, protocol, 'it takes no more', cause);
      }
      await sent(stream, signal).catch((error) => {
        throw failure ?? error;
      });
    },
    frames: inbox.frames,
    async close() {
      if (closed || failure !== undefined) return;
      closed = true;
      const timer = setTimeout(() => abort(streamReset(peer, protocol, 'the rest was not read')), LINGER_MS);
      timer.unref();
      // Negotiation reads ahead, and what it read is lost if the end is in already: an end follows the greeting.
      await greeted.promise;
      // A stream that breaks while the rest is written has nothing left to close.
      await stream.close().catch(() => undefined);
      clearTimeout(timer);
    },
    abort,
  };
}

/** Resolves when all that was given to the stream has gone to the transport and that has room again. */
function sent(stream: Stream, signal: AbortSignal | undefined): Promise<void> {
  const hasRoom = () => stream.writeBufferLength === 0 && !stream.writableNeedsDrain;
  if (hasRoom()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      stream.removeEventListener('idle', onRoom);
      stream.removeEventListener('drain', onRoom);
      stream.removeEventListener('close', onClose);
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    const onRoom = () => {
      if (hasRoom()) finish(resolve);
    };
    const onClose = () => finish(() => reject(new Error('closed while sending')));
    const onAbort = () => finish(() => reject(signal?.reason));
    stream.addEventListener('idle', onRoom);
    stream.addEventListener('drain', onRoom);
    stream.addEventListener('close', onClose);
    signal?.addEventListener('abort', onAbort);
  });
}
