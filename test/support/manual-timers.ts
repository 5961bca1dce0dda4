// Timers whose time passes when the test says so.

import type { Timers } from '../../src/util/timers.ts';

export interface ManualTimers extends Timers {
  /** Lets time pass; what is due ends in order. */
  advance(ms: number): void;
  /** Resolves when somebody waits for a time that fits, at once when somebody does already. */
  asked(fits: (ms: number) => boolean): Promise<number>;
}

interface Wait {
  readonly ms: number;
  readonly due: number;
  readonly end: AbortController;
}

export function createManualTimers(): ManualTimers {
  const waits = new Set<Wait>();
  const watchers = new Set<() => void>();
  let time = 1000;

  return {
    now: () => time,
    timeout(ms) {
      const end = new AbortController();
      waits.add({ ms, due: time + ms, end });
      for (const look of [...watchers]) look();
      return end.signal;
    },
    advance(ms) {
      time += ms;
      const due = [...waits].filter((wait) => wait.due <= time).sort((a, b) => a.due - b.due);
      for (const wait of due) {
        waits.delete(wait);
        wait.end.abort(new DOMException('the time is over', 'TimeoutError'));
      }
    },
    asked: (fits) =>
      new Promise((resolve) => {
        const look = () => {
          const found = [...waits].find((wait) => fits(wait.ms));
          if (found === undefined) return;
          watchers.delete(look);
          resolve(found.ms);
        };
        watchers.add(look);
        look();
      }),
  };
}
