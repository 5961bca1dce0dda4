// Who has no seat may ask for evidence too, so that anybody can verify an epoch; but all of them together only so often in a block, because
// an answer may be a megabyte.

import type { BlockNumber } from '../types/ids.ts';

/** An epoch of 256 seats is told in some thirty answers. */
const REQUESTS_PER_BLOCK = 96;

export interface Guests {
  /** Whether one more may ask in this block. */
  admit(): boolean;
  observe(block: BlockNumber): void;
}

export function createGuests(): Guests {
  let best: BlockNumber | undefined;
  let asked = 0;
  return {
    admit() {
      asked += 1;
      return asked <= REQUESTS_PER_BLOCK;
    },
    observe(block) {
      if (block === best) return;
      best = block;
      asked = 0;
    },
  };
}
