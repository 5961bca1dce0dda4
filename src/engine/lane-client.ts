// The main thread's end of a lane: starts the worker, matches answers to requests, starts it again when it dies (engine.md 3.3).

import { Worker } from 'node:worker_threads';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import {
  type Binding,
  type LaneData,
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
  readonly binding: Binding;
  readonly version: string;
  /** False once the worker has ended; calls then fail with E_LANE. */
  readonly alive: boolean;
  /** Moves the buffers of `rows`. Rejects with EngineError. An abort takes the request out of the queue, if it still waits there. */
  call(request: LaneCall, signal?: AbortSignal): Promise<LaneValue>;
  readonly pending: number;
  close(): Promise<void>;
}

interface Call {
  resolve(value: LaneValue): void;
  reject(error: unknown): void;
}

/** In dist both files end in .js. */
const LANE_FILE = import.meta.url.endsWith('.js')
  ? import.meta.url.replace(/lane-client\.js$/, 'lane.js')
  : new URL('./lane.ts', import.meta.url);
/** A lane answers `close` after the run it is in; one that takes longer is hung. */
const CLOSE_TIMEOUT_MS = 10_000;

/** Starts the worker; answers when it can take work. Throws EngineError E_LANE. */
export async function startLane(data: LaneData, log: Log): Promise<Lane> {
  // Flags of the process (--eval and its like) are not for the worker.
  const worker = new Worker(new URL(LANE_FILE), { workerData: data, name: 'tessera-lane', execArgv: [] });
  const calls = new Map<number, Call>();
  let next = 1;
  let alive = true;
  let closing = false;
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));

  const fail = (reason: string) => {
    if (alive && !closing) log.error('engine lane ended', { reason, pending: calls.size });
    alive = false;
    for (const call of calls.values()) call.reject(lost(reason));
    calls.clear();
  };
  const answer = (message: Exclude<LaneReply, { op: 'ready' }>) => {
    const call = calls.get(message.id);
    calls.delete(message.id);
    if (message.op === 'done') call?.resolve(message.value);
    else call?.reject(new EngineError(message.facts, message.message));
  };
  const send = (request: LaneRequest, transfer: ArrayBuffer[] = []) => worker.postMessage(request, transfer);
  const ready = await new Promise<Extract<LaneReply, { op: 'ready' }>>((resolve, reject) => {
    worker.on('message', (message: LaneReply) => (message.op === 'ready' ? resolve(message) : answer(message)));
    worker.on('error', (error) => {
      fail(errorMessage(error));
      reject(lost(errorMessage(error)));
    });
    worker.on('exit', (code) => {
      fail(`exit code ${code}`);
      reject(lost(`exit code ${code}`));
    });
  });

  const call = (request: LaneCall | { readonly op: 'close' }, signal?: AbortSignal): Promise<LaneValue> => {
    const id = next++;
    return new Promise<LaneValue>((resolve, reject) => {
      if (!alive) {
        reject(lost('it has ended'));
        return;
      }
      const onAbort = () => alive && send({ op: 'cancel', id: next++, target: id });
      const settle = () => signal?.removeEventListener('abort', onAbort);
      calls.set(id, {
        resolve: (value) => {
          settle();
          resolve(value);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      send({ ...request, id }, buffersOf(request));
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  };

  return {
    binding: ready.binding,
    version: ready.version,
    get alive() {
      return alive;
    },
    call,
    get pending() {
      return calls.size;
    },
    async close() {
      closing = true;
      if (alive)
        await call({ op: 'close' }).catch((error: unknown) =>
          log.warn('engine lane did not close', { error: errorMessage(error) }),
        );
      const timer = setTimeout(() => void worker.terminate(), CLOSE_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    },
  };
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
