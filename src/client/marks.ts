// Which peers failed lately, over all generations of a client. A failed peer is left out until it announces again, and longer each time
// it fails anew. Counts blocks; only who is full is left out for a time, which the caller reads.

import type { PeerId } from '../types/ids.ts';
import type { DatedOffer } from './directory.ts';

/** The first failure passes with the next announce, the n-th after 5 x (2^(n-1) - 1) blocks more. */
const BACKOFF_BLOCKS = 5;
const MAX_STRIKES = 8;
/** More peers than a roster has seats never announce; the oldest mark goes first. */
const MAX_MARKS = 512;

interface Mark {
  readonly strikes: number;
  /** Announces up to this block do not count. */
  readonly until: number;
}

export interface Marks {
  /** A peer that reset, refused or answered nonsense; `announced` is the block of its newest announce. */
  fail(peer: PeerId, announced: number): void;
  /** A peer that is full until then, milliseconds of the caller's clock: no failure. */
  full(peer: PeerId, until: number): void;
  /** When the first of those that are full at `now` may have room; undefined when none is. */
  soonest(now: number): number | undefined;
  /** A peer that served a whole generation. */
  clear(peer: PeerId): void;
  excluded(offers: readonly DatedOffer[], now: number): ReadonlySet<PeerId>;
}

export function createMarks(): Marks {
  const failed = new Map<PeerId, Mark>();
  const fullUntil = new Map<PeerId, number>();

  return {
    fail(peer, announced) {
      const before = failed.get(peer);
      // One death ends many sessions: what was opened before it was noted is the same failure.
      if (before !== undefined && announced <= before.until) return;
      const strikes = Math.min(MAX_STRIKES, (before?.strikes ?? 0) + 1);
      failed.delete(peer);
      failed.set(peer, { strikes, until: announced + BACKOFF_BLOCKS * (2 ** (strikes - 1) - 1) });
      dropOldest(failed);
    },
    full(peer, until) {
      fullUntil.delete(peer);
      fullUntil.set(peer, until);
      dropOldest(fullUntil);
    },
    soonest(now) {
      const later = [...fullUntil.values()].filter((until) => until > now);
      return later.length === 0 ? undefined : Math.min(...later);
    },
    clear(peer) {
      failed.delete(peer);
    },
    excluded(offers, now) {
      const isFull = (peer: PeerId): boolean => (fullUntil.get(peer) ?? now) > now;
      const still = offers.filter(({ peer, block }) => isFull(peer) || block <= (failed.get(peer)?.until ?? -1));
      return new Set(still.map((offer) => offer.peer));
    },
  };
}

function dropOldest(marks: Map<PeerId, unknown>): void {
  for (const peer of marks.keys()) {
    if (marks.size <= MAX_MARKS) return;
    marks.delete(peer);
  }
}
