// Who holds how many sessions, and who comes next: a seat is taken before anything is allocated and given back when the session ends
// (protocol.md 14). While seats are scarce, peers get them in proportion to their stake, and strangers never all of them.

import type { PeerId } from '../types/ids.ts';
import { LONGEST_MS, waitFor } from './codes.ts';
import type { HosterLimits } from './limits.ts';

/** Must be given back with `leave`. */
export interface Seat {
  readonly leave: () => void;
}

export interface Seats {
  /** A seat, perhaps after some waiting, or why there is none. Never rejects. */
  take(peer: PeerId, key: string): Promise<Seat | 'BUSY' | 'NOT_YOURS'>;
  /** Whether it could sit or wait now: who could not is told so before anything is verified. */
  mayCome(peer: PeerId): boolean;
  /**
   * When a seat for this peer comes free, by how long sessions have lasted lately, behind those who wait and those who were told so before: a crowd must
   * not come back at once. Milliseconds.
   */
  soonestMs(peer: PeerId, nowMs: number): number;
  /** A session that was opened has ended after so long. */
  lasted(ms: number): void;
  /** How long a session lasts, from the latest ones; undefined before the first one has ended. */
  readonly lastsMs: number | undefined;
  readonly taken: number;
}

type SeatLimits = Pick<
  HosterLimits,
  'sessions' | 'sessionsPerPeer' | 'sessionsPerStakedPeer' | 'reserved' | 'waiting' | 'waitMs'
>;

interface Waiting {
  readonly peer: PeerId;
  readonly key: string;
  readonly answer: (seat: Seat | 'BUSY') => void;
}

/** One TENSOR: each counts as much as being there does. */
const STAKE_UNIT = 10n ** 18n;

/** Weight of the newest session in what one lasts. */
const NEWEST = 0.1;

/** @param stakeOf planck; 0 for strangers */
export function createSeats(limits: SeatLimits, stakeOf: (peer: PeerId) => bigint): Seats {
  const keys = new Set<string>();
  const held = new Map<PeerId, number>();
  /** In order of arrival. */
  const queue: Waiting[] = [];
  let lastsMs: number | undefined;
  /** Up to when seats that come free were promised. */
  let promisedMs = 0;

  function heldBy(peer: PeerId): number {
    return held.get(peer) ?? 0;
  }

  function mostFor(peer: PeerId): number {
    return stakeOf(peer) > 0n ? limits.sessionsPerStakedPeer : limits.sessionsPerPeer;
  }

  /** Whether one more session of this peer may begin now. */
  function hasRoom(peer: PeerId): boolean {
    const free = limits.sessions - keys.size;
    return heldBy(peer) < mostFor(peer) && free > (stakeOf(peer) > 0n ? 0 : limits.reserved);
  }

  /** Seats per stake, counting the one that is asked for: the smallest comes next. */
  function shareOf(peer: PeerId): number {
    return (heldBy(peer) + 1) / (1 + Number(stakeOf(peer) / STAKE_UNIT));
  }

  function sit(peer: PeerId, key: string): Seat {
    keys.add(key);
    held.set(peer, heldBy(peer) + 1);
    return { leave: () => leave(peer, key) };
  }

  function leave(peer: PeerId, key: string): void {
    if (!keys.delete(key)) return;
    if (heldBy(peer) === 1) held.delete(peer);
    else held.set(peer, heldBy(peer) - 1);
    callNext();
  }

  function callNext(): void {
    for (;;) {
      const next = queue.filter(({ peer }) => hasRoom(peer)).toSorted((a, b) => shareOf(a.peer) - shareOf(b.peer))[0];
      if (next === undefined) return;
      queue.splice(queue.indexOf(next), 1);
      next.answer(sit(next.peer, next.key));
    }
  }

  function wait(peer: PeerId, key: string): Promise<Seat | 'BUSY'> {
    return new Promise((resolve) => {
      const entry: Waiting = { peer, key, answer };
      const timer = setTimeout(() => {
        queue.splice(queue.indexOf(entry), 1);
        resolve('BUSY');
      }, limits.waitMs);
      function answer(seat: Seat | 'BUSY'): void {
        clearTimeout(timer);
        resolve(seat);
      }
      queue.push(entry);
    });
  }

  /** Whether this peer, with what it holds and waits for, may still wait for one more. */
  function mayWait(peer: PeerId): boolean {
    const own = queue.filter((entry) => entry.peer === peer).length;
    return limits.waitMs > 0 && queue.length < limits.waiting && heldBy(peer) + own < mostFor(peer);
  }

  return {
    async take(peer, key) {
      if (keys.has(key) || queue.some((entry) => entry.key === key)) return 'NOT_YOURS';
      if (hasRoom(peer)) return sit(peer, key);
      return mayWait(peer) ? wait(peer, key) : 'BUSY';
    },
    mayCome: (peer) => hasRoom(peer) || mayWait(peer),
    soonestMs(peer, nowMs) {
      if (heldBy(peer) >= mostFor(peer)) {
        const own = queue.filter((entry) => entry.peer === peer).length;
        return waitFor({ lastsMs, units: heldBy(peer), wanted: own + 1 });
      }
      const behind = queue.length === 0 ? 0 : waitFor({ lastsMs, units: keys.size, wanted: queue.length });
      const next = waitFor({ lastsMs, units: keys.size, wanted: 1 });
      promisedMs = Math.min(nowMs + LONGEST_MS, Math.max(promisedMs, nowMs + behind) + next);
      return Math.round(promisedMs - nowMs);
    },
    lasted(ms) {
      lastsMs = lastsMs === undefined ? ms : lastsMs + NEWEST * (ms - lastsMs);
    },
    get lastsMs() {
      return lastsMs;
    },
    get taken() {
      return keys.size;
    },
  };
}
