// How many generations run at once: a hoster gives one client a few sessions, so the rest waits here, in order, and past a limit is told to
// come again.

import { raceSignal } from '../util/async.ts';
import { tooMany } from './api-error.ts';

export interface SlotLimits {
  readonly running: number;
  readonly waiting: number;
}

/** Below a hoster's eight sessions per client: a session that is being given up still has its seat for a moment. */
const SLOT_LIMITS: SlotLimits = { running: 6, waiting: 64 };
/** A short answer's time. */
const RETRY_S = 2;

export interface Slots {
  /** Resolves in turn with what gives the slot back. Throws ApiError 429 when too many wait, or the signal's reason. */
  take(signal: AbortSignal): Promise<() => void>;
  readonly running: number;
  readonly waiting: number;
}

export function createSlots(limits: SlotLimits = SLOT_LIMITS): Slots {
  const queue = new Set<() => void>();
  let running = 0;

  function leave(): void {
    running -= 1;
    const [next] = queue;
    if (next === undefined) return;
    queue.delete(next);
    running += 1;
    next();
  }

  function once(release: () => void): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      release();
    };
  }

  return {
    get running() {
      return running;
    },
    get waiting() {
      return queue.size;
    },
    async take(signal) {
      signal.throwIfAborted();
      if (running < limits.running) {
        running += 1;
        return once(leave);
      }
      if (queue.size >= limits.waiting) throw tooMany('The gateway is busy; try again soon.', RETRY_S, 'server_busy');
      const turn = Promise.withResolvers<void>();
      const wake = (): void => turn.resolve();
      queue.add(wake);
      try {
        await raceSignal(turn.promise, signal);
      } catch (error) {
        if (!queue.delete(wake)) leave(); // its turn came in the same moment
        throw error;
      }
      return once(leave);
    },
  };
}
