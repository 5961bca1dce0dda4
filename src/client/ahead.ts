// Draws ahead of what is certain: behind each row go guessed ones, and as long as the drawn tokens are the guessed ones, their draws are
// those of a run without guesses. After a wrong guess the next row takes the wrong ones back at every hop (protocol.md 12).

import type { Pace, RoutedHop } from '../routing/route.ts';
import type { PeerId } from '../types/ids.ts';
import type { DrawnToken } from '../wire/infer.ts';
import type { DraftTable } from './draft-table.ts';
import { createDrafter, createTrust } from './drafts.ts';
import type { GenerationPlan } from './generation.ts';
import type { Outcome } from './hops.ts';
import type { Call } from './pattern.ts';
import type { RemoteSession } from './session.ts';

export interface Ahead {
  /** The token after `generated`: drawn already behind right guesses, else by these calls, with guesses behind them. */
  next(
    session: Pick<RemoteSession, 'draw'>,
    calls: readonly Call[],
    generated: readonly number[],
    signal: AbortSignal,
  ): Promise<Outcome<DrawnToken>>;
  /** The session is gone, and with it what was drawn ahead. */
  clear(): void;
  /** So far. */
  readonly guesses: Guesses;
}

/** Right ones, and wrong ones; what stands behind a wrong one is neither. */
export interface Guesses {
  readonly right: number;
  readonly wrong: number;
}

interface Guess {
  readonly token: number;
  /** What follows it. */
  readonly drawn: Promise<Outcome<DrawnToken>>;
}

export interface AheadLimits {
  /** Most guesses of a lap; by trust alone unless given. */
  readonly most: number | undefined;
  /** Rows that the route computes while a lap is on its way. */
  readonly paid: () => number | undefined;
  readonly draft?: DraftTable | undefined;
}

export function createAhead(plan: GenerationPlan, limits: AheadLimits): Ahead {
  const drafter = createDrafter(plan.prompt, limits.draft);
  const trust = createTrust();
  let known = 0;
  let guesses: readonly Guess[] = [];
  let proposed = 0;
  let right = 0;
  const total = { right: 0, wrong: 0 };

  function hear(generated: readonly number[]): void {
    for (const token of generated.slice(known)) drafter.push(token);
    known = Math.max(known, generated.length);
  }

  function guess(session: Pick<RemoteSession, 'draw'>, at: number, signal: AbortSignal): readonly Guess[] {
    const room = plan.positions - 1 - at;
    const most = Math.min(limits.most ?? trust.most(limits.paid()), room);
    return drafter.propose(Math.max(0, most)).map((token, i) => {
      const drawn = session.draw([{ position: at + i, ids: [token], draw: true }], signal);
      // Perhaps nobody asks for it.
      drawn.catch(() => undefined);
      return { token, drawn };
    });
  }

  return {
    next(session, calls, generated, signal) {
      hear(generated);
      const [first, ...rest] = guesses;
      if (first !== undefined && first.token === generated.at(-1)) {
        right += 1;
        total.right += 1;
        guesses = rest;
        return first.drawn;
      }
      if (first !== undefined) total.wrong += 1;
      trust.learn(proposed, right);
      const drawn = session.draw(calls, signal);
      // Behind a replay or a prompt they would wait for longer than their deadline allows.
      guesses = calls.length === 1 ? guess(session, plan.prompt.length + generated.length, signal) : [];
      proposed = guesses.length;
      right = 0;
      return drawn;
    },
    guesses: total,
    clear() {
      guesses = [];
      proposed = 0;
    },
  };
}

/** Rows that the slowest hop computes in the time that the network takes of a lap: wrong guesses then cost no time. */
export function rowsPaid(route: readonly RoutedHop[], paces: ReadonlyMap<PeerId, Pace>): number | undefined {
  const hops = route.map(({ peer, from, to }) => ({ ...paces.get(peer), shards: to - from }));
  if (hops.length === 0 || hops.some(({ rowUs }) => rowUs === undefined)) return undefined;
  const network = hops.reduce((sum, { hopUs = 0 }) => sum + hopUs, 0);
  const slowest = Math.max(...hops.map(({ rowUs = 0, shards }) => rowUs * shards));
  return Math.floor(network / Math.max(1, slowest));
}
