// SIGTERM lets go on what is under way; a second signal ends the process at once, as the system does it.

import type { Io } from './io.ts';

export interface Draining {
  /** What is under way, in numbers. */
  readonly open: () => number;
  /** What that is, in words: `sessions`. */
  readonly what: string;
  /** Takes nothing new; resolves when all has ended, or the signal aborts. */
  readonly drain: (signal: AbortSignal) => Promise<void>;
}

/** Aborts when `signal` has aborted and what was under way has ended, or so many seconds have passed. */
export function drainFirst(
  { open, what, drain }: Draining,
  { seconds, io }: { readonly seconds: number; readonly io: Io },
  signal: AbortSignal,
): AbortSignal {
  const ended = new AbortController();
  const leave = async (): Promise<void> => {
    const count = open();
    io.result(
      { event: 'leaving', [what]: count, seconds },
      `leaving: no new ${what}; ${count} open ones may go on for ${seconds} s`,
    );
    await drain(AbortSignal.timeout(seconds * 1000));
    ended.abort(signal.reason);
  };
  if (signal.aborted) void leave();
  else signal.addEventListener('abort', () => void leave(), { once: true });
  return ended.signal;
}
