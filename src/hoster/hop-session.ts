// What every session on a hop has: an owner, jobs one after the other, a stream to the next hop, an end (protocol.md 12). What is computed in a job is
// session.ts for models that write text, function-session.ts for stateless ones. A fault ends the session and is told to the client, who routes around
// the hop that is named.

import { setTimeout as sleep } from 'node:timers/promises';
import type { FrameStream } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import { createSerial } from '../util/async.ts';
import { CodedError, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { decodeMessage, encodeMessage, type InferCode, type InferMessage } from '../wire/infer.ts';
import type { AdmittedOpen } from './admission.ts';

/** What went wrong, and at which place of the route. */
export interface Fault {
  readonly code: InferCode;
  readonly hop: number;
  readonly why: string;
}

/** Carries a fault out of a job. */
export class HopFault extends CodedError<Fault> {}

export interface HopSessionFacts {
  readonly open: AdmittedOpen;
  /** The client. */
  readonly owner: PeerId;
  /** Frees what the session holds beside its stream; once, after the last job. */
  readonly release: () => Promise<void>;
}

export interface HopSessionDeps {
  /** Sends on the client's stream. */
  readonly reply: (message: InferMessage) => Promise<void>;
  readonly openNext: (peer: PeerId, signal: AbortSignal) => Promise<FrameStream>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface HopSession {
  readonly open: AdmittedOpen;
  /** The client. */
  readonly owner: PeerId;
  /** The only peer whose work is taken. */
  readonly previous: PeerId;
  /** Aborts when the session has ended. */
  readonly signal: AbortSignal;
  /** When work last arrived, in milliseconds of `now`. */
  readonly touched: number;
  /** Jobs that wait for their turn or run. */
  readonly queued: number;
  /** Tells the client what happened and ends. */
  fail(fault: Fault): Promise<void>;
  /** Frees what is held and the stream to the next hop, once; resolves when both are free. */
  end(): Promise<void>;
}

/** A session as the code that computes sees it. */
export interface HopWork extends HopSession {
  /** Whom to blame for what does not fit: the hop before; hop 0 has only the client before it. */
  readonly sender: number;
  fault(code: InferCode, why: string, hop?: number): HopFault;
  /** Runs a job when those before it are done. Never rejects: a failure is the session's end. */
  take(job: () => Promise<void>): Promise<void>;
  /** After the jobs that were taken; rejects as `job` does. */
  last<T>(job: () => Promise<T>): Promise<T>;
  /** Hands a message on; the stream is opened by the first one. Throws HopFault that names the next hop. */
  onward(message: InferMessage): Promise<void>;
}

/** A client says goodbye to all hops at once; its word comes to one of them later than to its neighbour. */
const GOODBYE_MS = 2_000;

export function createHopSession({ open, owner, release }: HopSessionFacts, deps: HopSessionDeps): HopWork {
  const controller = new AbortController();
  const { signal } = controller;
  const inTurn = createSerial();
  let next: Promise<FrameStream> | undefined;
  let nextHasEnded = false;
  let touched = deps.now();
  let queued = 0;
  let ended: Promise<void> = Promise.resolve();

  function fault(code: InferCode, why: string, hop = open.hop): HopFault {
    return new HopFault({ code, hop, why }, why);
  }

  async function openNext(): Promise<FrameStream> {
    const hop = open.route[open.hop + 1];
    if (hop === undefined) throw fault('INTERNAL', 'rows at the end of the route');
    const stream = await deps.openNext(hop.peer, signal);
    void watch(stream);
    return stream;
  }

  /** The next hop says nothing on this stream unless it refuses; its end is a fault of that hop, unless the client has only said goodbye to it first. */
  async function watch(stream: FrameStream): Promise<void> {
    const broken = { code: 'INTERNAL', hop: open.hop + 1, why: 'the stream to the next hop ended' } as const;
    try {
      for await (const frame of stream.frames()) {
        const message = decodeMessage(frame);
        const code = message.ok && message.value.type === 'ERROR' ? message.value.code : 'BAD_FRAME';
        return await fail({ ...broken, code, why: 'the next hop refuses' });
      }
    } catch (error) {
      return await fail({ ...broken, why: errorMessage(error) });
    }
    nextHasEnded = true;
    await sleep(GOODBYE_MS, undefined, { signal, ref: false }).catch(() => undefined);
    await fail(broken);
  }

  async function fail(what: Fault): Promise<void> {
    if (signal.aborted) return;
    void end();
    deps.log.info('session failed', { session: open.session, ...what });
    await deps.reply({ type: 'ERROR', code: what.code, hop: what.hop }).catch(() => undefined);
  }

  function end(): Promise<void> {
    if (signal.aborted) return ended;
    controller.abort(new Error('the session has ended'));
    ended = inTurn(free);
    return ended;
  }

  async function free(): Promise<void> {
    try {
      await release();
      const stream = await next?.catch(() => undefined);
      await stream?.close();
    } catch (error) {
      deps.log.warn('session not released', { session: open.session, error: errorMessage(error) });
    }
  }

  async function attempt(job: () => Promise<void>): Promise<void> {
    if (signal.aborted) return;
    try {
      await job();
    } catch (error) {
      await fail(
        error instanceof HopFault ? error.facts : { code: 'INTERNAL', hop: open.hop, why: errorMessage(error) },
      );
    }
  }

  return {
    open,
    owner,
    previous: open.hop === 0 ? owner : (open.route[open.hop - 1]?.peer ?? owner),
    signal,
    get touched() {
      return touched;
    },
    get queued() {
      return queued;
    },
    sender: Math.max(0, open.hop - 1),
    fault,
    async take(job) {
      touched = deps.now();
      queued += 1;
      await inTurn(() => attempt(job));
      queued -= 1;
    },
    last: inTurn,
    async onward(message) {
      try {
        if (nextHasEnded) throw new Error('the stream to the next hop has ended');
        next ??= openNext();
        await (await next).send(encodeMessage(message), signal);
      } catch (error) {
        throw fault('INTERNAL', errorMessage(error), open.hop + 1);
      }
    },
    fail,
    end,
  };
}
