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
  /** Of its newest announce when it failed: it says nothing any more. */
  readonly announced: number;
  /** Announces up to this block do not count while there is another route. */
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
  /** Peers to leave out; where there is no other route, who has announced since its failure is no longer among them. */
  excluded(offers: readonly DatedOffer[], now: number, otherRoute: boolean): ReadonlySet<PeerId>;
}

export function createMarks(): Marks {
  const failed = new Map<PeerId, Mark>();
  const fullUntil = new Map<PeerId, number>();

  return {
    fail(peer, announced) {
      const before = failed.get(peer);
      // One death ends many sessions: what was opened before it was noted is the same failure.
      if (before !== undefined && announced <= before.until) {
        failed.set(peer, { ...before, announced: Math.max(before.announced, announced) });
        return;
      }
      const strikes = Math.min(MAX_STRIKES, (before?.strikes ?? 0) + 1);
      failed.delete(peer);
      failed.set(peer, { strikes, announced, until: announced + BACKOFF_BLOCKS * (2 ** (strikes - 1) - 1) });
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
    excluded(offers, now, otherRoute) {
      const isFull = (peer: PeerId): boolean => (fullUntil.get(peer) ?? now) > now;
      const isFailed = ({ peer, block }: DatedOffer): boolean => {
        const mark = failed.get(peer);
        return mark !== undefined && block <= (otherRoute ? mark.until : mark.announced);
      };
      const still = offers.filter((offer) => isFull(offer.peer) || isFailed(offer));
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
