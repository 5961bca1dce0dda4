// The main thread's end of a lane: starts it, matches answers to requests, and ends it when it owes answers and is silent (engine.md 3.3).

import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { systemTimers, type Timers } from '../util/timers.ts';
import { hostLane, type Isolation } from './lane-host.ts';
import {
  type LaneData,
  type LanePlace,
  type LaneReply,
  type LaneRequest,
  type LaneValue,
  transferOf,
} from './lane-protocol.ts';
import { EngineError } from './types.ts';

/** A request without the number that the client gives it. */
type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;
export type LaneCall = Unnumbered<Exclude<LaneRequest, { op: 'cancel' | 'close' }>>;

export interface Lane {
  readonly place: LanePlace;
  readonly version: string;
  /** Of a lane that is a process of its own. */
  readonly pid: number | undefined;
  /** False once it has ended; calls then fail with E_LANE. */
  readonly alive: boolean;
  /** Moves the buffers of `rows`. Rejects with EngineError. An abort takes the request out of the queue, if it still waits there. */
  call(request: LaneCall, signal?: AbortSignal): Promise<LaneValue>;
  readonly pending: number;
  close(): Promise<void>;
}

export interface LaneOptions {
  readonly isolation?: Isolation | undefined;
  readonly timers?: Timers;
  /** What runs in it, where it is not the lane of this folder. */
  readonly file?: URL;
}

interface Call {
  readonly op: (LaneCall | { readonly op: 'close' })['op'];
  resolve(value: LaneValue): void;
  reject(error: unknown): void;
}

/** In dist both files end in .js. */
const LANE_FILE = import.meta.url.endsWith('.js')
  ? new URL(import.meta.url.replace(/lane-client\.js$/, 'lane.js'))
  : new URL('./lane.ts', import.meta.url);
/** A lane answers `close` after the run it is in; one that takes longer is hung. */
const CLOSE_TIMEOUT_MS = 30_000;
/** How often a lane that owes answers is looked after. Whoever sleeps in between, as a suspended machine does, counts as one look. */
const LOOK_MS = 5000;
/** Longest silence. A chunk takes half a second on two slow cores (backend.ts); what reads whole files of weights takes as long as a disk does. */
const SILENCE_MS = 60_000;
const SLOW_SILENCE_MS = 600_000;
const SLOW: ReadonlySet<Call['op']> = new Set(['load', 'challenge']);

/** Answers when the lane can take work. Throws EngineError E_LANE; E_RUN when it cannot compute where it was asked to. */
export async function startLane(
  data: LaneData,
  log: Log,
  { isolation = 'thread', timers = systemTimers, file = LANE_FILE }: LaneOptions = {},
): Promise<Lane> {
  const calls = new Map<number, Call>();
  const ready = Promise.withResolvers<Extract<LaneReply, { op: 'ready' }>>();
  const ended = Promise.withResolvers<void>();
  let next = 1;
  let [alive, started, closing, heard, watched] = [true, false, false, false, false];

  const fail = (reason: string) => {
    if (alive && !closing) log.error('engine lane ended', { reason, pending: calls.size });
    alive = false;
    ready.reject(lost(reason));
    for (const call of calls.values()) call.reject(lost(reason));
    calls.clear();
  };
  const answer = (message: Extract<LaneReply, { readonly id: number }>) => {
    const call = calls.get(message.id);
    calls.delete(message.id);
    if (message.op === 'done') call?.resolve(message.value);
    else call?.reject(new EngineError(message.facts, message.message));
  };
  const host = hostLane(isolation, file, data, {
    heard(message) {
      heard = true;
      if (message.op === 'ready') ready.resolve(message);
      else if (message.op === 'unusable') {
        closing = true;
        ready.reject(new EngineError(message.facts, message.message));
      } else answer(message);
    },
    ended(reason) {
      fail(reason);
      ended.resolve();
    },
  });
  const kill = (reason: string) => {
    fail(reason);
    host.kill();
    ended.resolve(); // or it hangs in native code, and nobody can wait for that
  };
  /** Ends a lane that has said nothing for too long while somebody waited. */
  const watch = async (): Promise<void> => {
    watched = true;
    heard = true; // what was silence before this call is none
    for (let silentMs = 0; alive && (calls.size > 0 || !started); silentMs += LOOK_MS) {
      if (heard) silentMs = 0;
      heard = false;
      const limit = [...calls.values()].some(({ op }) => SLOW.has(op)) ? SLOW_SILENCE_MS : SILENCE_MS;
      if (silentMs >= limit) kill(`no answer for ${silentMs / 1000} s`);
      else await over(timers.timeout(LOOK_MS));
    }
    watched = false;
  };
  const call = (request: LaneCall | { readonly op: 'close' }, signal?: AbortSignal): Promise<LaneValue> => {
    const id = next++;
    return new Promise<LaneValue>((resolve, reject) => {
      if (!alive) {
        reject(lost('it has ended'));
        return;
      }
      const onAbort = () => alive && host.post({ op: 'cancel', id: next++, target: id }, []);
      const settle = () => signal?.removeEventListener('abort', onAbort);
      calls.set(id, {
        op: request.op,
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      host.post({ ...request, id }, buffersOf(request));
      signal?.addEventListener('abort', onAbort, { once: true });
      if (!watched) void watch();
    });
  };

  void watch();
  const { version, ...place } = await ready.promise;
  started = true;
  return {
    place,
    version,
    pid: host.pid,
    get alive() {
      return alive;
    },
    call,
    get pending() {
      return calls.size;
    },
    async close() {
      closing = true;
      const late = timers.timeout(CLOSE_TIMEOUT_MS);
      if (alive)
        call({ op: 'close' }).catch((error: unknown) =>
          log.warn('engine lane did not close', { error: errorMessage(error) }),
        );
      await Promise.race([ended.promise, over(late)]);
      if (late.aborted) kill(`no end within ${CLOSE_TIMEOUT_MS / 1000} s`);
    },
  };
}

function over(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function buffersOf(request: LaneCall | { readonly op: 'close' }): ArrayBuffer[] {
  if ('rows' in request) return transferOf(request.rows);
  return 'tensors' in request ? transferOf(request.tensors) : [];
}

function lost(reason: string): EngineError {
  return new EngineError(
    { code: 'E_LANE', reason },
    `the engine's worker ended: ${reason}; sessions are lost, open new ones`,
  );
}
