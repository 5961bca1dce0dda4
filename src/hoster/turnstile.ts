// What reaches the engine at once. Steps of clients with stake go straight through; strangers' wait here, so that whoever comes finds a short queue behind
// this door and not hundreds of rows (protocol.md 14). Among strangers each peer has its turn, however many sessions it has.

import type { PeerId } from '../types/ids.ts';
import { raceSignal } from '../util/async.ts';
import type { HosterLimits } from './limits.ts';

/** Rows and prompts of strangers in the engine: a batch of 16 takes 0.36 of a run per row, one of 64 takes 0.33 (engine/schedule.ts); prompts run one
 *  after the other there anyway. */
type TurnstileLimits = Pick<HosterLimits, 'strangerDecodes' | 'strangerDecodesBesideStake' | 'strangerPrompts'>;

interface Work {
  readonly peer: PeerId;
  readonly rows: number;
}

export interface Turnstile {
  /** Runs the job when it is its turn; rejects as the job does, or with the signal's reason while it waits. */
  pass<T>(work: Work, job: () => Promise<T>, signal: AbortSignal): Promise<T>;
  /** Work of this peer is on its way: if it has stake nothing of strangers begins until that is done, or for a short while. */
  expect(peer: PeerId): void;
}

/** From an OPEN to its first rows it takes a round trip: who is farther away meets one job of strangers more. */
export const EXPECT_MS = 100;
/** Who had work here is likely to have more soon: for so long strangers' batches stay small. */
export const PRESENCE_MS = 10_000;

/** Jobs of one kind: so many at once, the rest in turn by peer. */
interface Lane {
  running: number;
  readonly most: () => number;
  /** Peers in the order of their turns; each with its jobs in order of arrival. */
  readonly waiting: Map<PeerId, Set<() => void>>;
}

/**
 * @param stakeOf planck; 0 for strangers
 * @param now monotonic milliseconds
 */
export function createTurnstile(
  limits: TurnstileLimits,
  stakeOf: (peer: PeerId) => bigint,
  now: () => number,
): Turnstile {
  /** When work with stake was last on its way. */
  let stakeAt = Number.NEGATIVE_INFINITY;
  const mostDecodes = (): number =>
    now() - stakeAt < PRESENCE_MS ? limits.strangerDecodesBesideStake : limits.strangerDecodes;
  const decodes: Lane = { running: 0, most: mostDecodes, waiting: new Map() };
  const prompts: Lane = { running: 0, most: () => limits.strangerPrompts, waiting: new Map() };
  /** Ends of what is expected, by peer. */
  const expected = new Map<PeerId, () => void>();
  /** Half of the time belongs to strangers whatever is expected: as long as they were held up, they are not again. */
  let restUntil = Number.NEGATIVE_INFINITY;

  function callNext({ waiting }: Lane): boolean {
    for (const [peer, jobs] of waiting) {
      const [next] = jobs;
      // Behind everybody else, with what it still waits for.
      waiting.delete(peer);
      if (next === undefined) continue;
      jobs.delete(next);
      if (jobs.size > 0) waiting.set(peer, jobs);
      next();
      return true;
    }
    return false;
  }

  function mayBegin({ running, most }: Lane): boolean {
    return expected.size === 0 && running < most();
  }

  function leave(lane: Lane): void {
    lane.running -= 1;
    goOn(lane);
  }

  function goOn(lane: Lane): void {
    while (mayBegin(lane) && callNext(lane)) lane.running += 1;
  }

  function expect(peer: PeerId): void {
    if (stakeOf(peer) === 0n) return;
    const since = now();
    stakeAt = since;
    if (expected.has(peer) || since < restUntil) return;
    const end = (): void => {
      clearTimeout(timer);
      expected.delete(peer);
      restUntil = Math.max(restUntil, now() + (now() - since));
      if (expected.size > 0) return;
      goOn(decodes);
      goOn(prompts);
    };
    const timer = setTimeout(end, EXPECT_MS);
    timer.unref();
    expected.set(peer, end);
  }

  async function passFirst<T>(peer: PeerId, job: () => Promise<T>): Promise<T> {
    stakeAt = now();
    try {
      return await job();
    } finally {
      expected.get(peer)?.();
    }
  }

  async function wait(lane: Lane, peer: PeerId, signal: AbortSignal): Promise<void> {
    const turn = Promise.withResolvers<void>();
    const call = () => turn.resolve();
    const jobs = lane.waiting.get(peer) ?? new Set();
    lane.waiting.set(peer, jobs.add(call));
    try {
      await raceSignal(turn.promise, signal);
    } catch (error) {
      if (!lane.waiting.get(peer)?.delete(call)) leave(lane); // its turn came in the same moment
      throw error;
    }
  }

  return {
    expect,
    async pass({ peer, rows }, job, signal) {
      if (stakeOf(peer) > 0n) return passFirst(peer, job);
      const lane = rows === 1 ? decodes : prompts;
      if (mayBegin(lane)) lane.running += 1;
      else await wait(lane, peer, signal);
      try {
        return await job();
      } finally {
        leave(lane);
      }
    },
  };
}
