// How many generations run at once: a network takes only so many from one asker, so the rest waits here, and past a limit is told to come again.
// Who has the fewest under way comes next, in order of arrival among equals: nobody waits behind all of another's requests.

import { raceSignal } from '../util/async.ts';
import { tooMany } from './api-error.ts';

export interface SlotLimits {
  /** Asked anew whenever one begins or ends: a network grows and shrinks. */
  readonly running: () => number;
  readonly waiting: number;
}

/** A short answer's time. */
const RETRY_S = 2;

export interface Slots {
  /** Resolves in turn with what gives the slot back. Throws ApiError 429 when too many wait, or the signal's reason. */
  take(owner: string, signal: AbortSignal): Promise<() => void>;
  readonly running: number;
  readonly waiting: number;
}

interface Waiting {
  readonly owner: string;
  readonly wake: () => void;
}

export function createSlots(limits: SlotLimits): Slots {
  /** In order of arrival. */
  const queue = new Set<Waiting>();
  const held = new Map<string, number>();
  let running = 0;

  const heldBy = (owner: string): number => held.get(owner) ?? 0;

  function sit(owner: string): void {
    running += 1;
    held.set(owner, heldBy(owner) + 1);
  }

  function leave(owner: string): void {
    running -= 1;
    if (heldBy(owner) === 1) held.delete(owner);
    else held.set(owner, heldBy(owner) - 1);
    callNext();
  }

  function callNext(): void {
    while (queue.size > 0 && running < limits.running()) {
      const next = [...queue].reduce((best, one) => (heldBy(one.owner) < heldBy(best.owner) ? one : best));
      queue.delete(next);
      sit(next.owner);
      next.wake();
    }
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
    async take(owner, signal) {
      signal.throwIfAborted();
      if (queue.size === 0 && running < limits.running()) {
        sit(owner);
        return once(() => leave(owner));
      }
      if (queue.size >= limits.waiting) throw tooMany('The gateway is busy; try again soon.', RETRY_S, 'server_busy');
      const turn = Promise.withResolvers<void>();
      const entry = { owner, wake: turn.resolve };
      queue.add(entry);
      callNext();
      try {
        await raceSignal(turn.promise, signal);
      } catch (error) {
        if (!queue.delete(entry)) leave(owner); // its turn came in the same moment
        throw error;
      }
      return once(() => leave(owner));
    },
  };
}
