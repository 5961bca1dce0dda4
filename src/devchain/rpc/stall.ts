// Outages on request: for a time no answers leave, or no blocks are made. For tests of clients that must live through them.

import { setTimeout } from 'node:timers/promises';

export interface Stall {
  answers(ms: number): void;
  blocks(ms: number): void;
  /** Resolves at once, or when the stall of answers is over. */
  answersAllowed(): Promise<void>;
  readonly blocksAllowed: () => boolean;
}

/** @param now milliseconds of a clock that never goes back */
export function createStall(now: () => number): Stall {
  let answersFrom = 0;
  let blocksFrom = 0;
  return {
    answers: (ms) => {
      answersFrom = Math.max(answersFrom, now() + ms);
    },
    blocks: (ms) => {
      blocksFrom = Math.max(blocksFrom, now() + ms);
    },
    answersAllowed: async () => {
      for (let rest = answersFrom - now(); rest > 0; rest = answersFrom - now())
        await setTimeout(rest, undefined, { ref: false });
    },
    blocksAllowed: () => now() >= blocksFrom,
  };
}
