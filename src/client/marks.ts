// Which peers failed lately, over all generations of a client. A failed peer is left out until it announces again, and longer each time
// it fails anew. Counts blocks, so that nothing here reads a clock.

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
  /** A peer that served a whole generation. */
  clear(peer: PeerId): void;
  excluded(offers: readonly DatedOffer[]): ReadonlySet<PeerId>;
}

export function createMarks(): Marks {
  const failed = new Map<PeerId, Mark>();

  return {
    fail(peer, announced) {
      const strikes = Math.min(MAX_STRIKES, (failed.get(peer)?.strikes ?? 0) + 1);
      failed.delete(peer);
      failed.set(peer, { strikes, until: announced + BACKOFF_BLOCKS * (2 ** (strikes - 1) - 1) });
      dropOldest(failed);
    },
    clear(peer) {
      failed.delete(peer);
    },
    excluded(offers) {
      const still = offers.filter(({ peer, block }) => block <= (failed.get(peer)?.until ?? -1));
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
