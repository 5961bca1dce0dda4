// Which lost peers to dial again and when: bootstrap and roster peers are tried for ever, less and less often. Knows no clock: `sweep` is told the time.

import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

/** Pause before the second attempt; doubled with each failure. */
export const FIRST_PAUSE_MS = 1000;
/** A peer that comes back after a night is found within this time. */
export const LONGEST_PAUSE_MS = 60_000;
/** Dials at once: a node that starts among 256 must not open 256 sockets in one go. */
export const MAX_DIALS = 8;

export interface KeeperDeps {
  /** What to stay connected to: peer ids, or multiaddrs that end in one. */
  readonly wanted: () => readonly string[];
  readonly isConnected: (target: string) => boolean;
  /** False when there is no address to dial yet, which is no failure; rejects when the peer does not answer. */
  readonly dial: (target: string) => Promise<boolean>;
  readonly log: Log;
}

export interface Keeper {
  /** Dials what is wanted, not connected and due; resolves when these attempts have ended. */
  sweep(nowMs: number): Promise<void>;
}

interface Attempt {
  readonly failures: number;
  readonly dueMs: number;
}

export function createKeeper(deps: KeeperDeps): Keeper {
  const attempts = new Map<string, Attempt>();
  const dialing = new Set<string>();

  async function tryOnce(target: string, nowMs: number): Promise<void> {
    dialing.add(target);
    const failures = attempts.get(target)?.failures ?? 0;
    try {
      if (await deps.dial(target)) attempts.delete(target);
      // It is due again at once, but behind all others that are.
      else attempts.set(target, { failures, dueMs: nowMs });
    } catch (error) {
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
      attempts.set(target, { failures: failures + 1, dueMs: nowMs + pauseMs });
      deps.log.debug('peer not reached', { target, failures: failures + 1, code: errorCode(error) });
    } finally {
      dialing.delete(target);
    }
  }

  return {
    async sweep(nowMs) {
      const wanted = new Set(deps.wanted());
      for (const target of attempts.keys()) if (!wanted.has(target)) attempts.delete(target);
      const dueMs = (target: string) => attempts.get(target)?.dueMs ?? Number.NEGATIVE_INFINITY;
      // Who has waited longest comes first: peers that are dead or have no address must not take every turn.
      const due = [...wanted]
        .filter((target) => !deps.isConnected(target) && !dialing.has(target) && dueMs(target) <= nowMs)
        .sort((a, b) => dueMs(a) - dueMs(b) || 0);
      await Promise.all(due.slice(0, MAX_DIALS - dialing.size).map((target) => tryOnce(target, nowMs)));
    },
  };
}
