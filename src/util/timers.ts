// Time as an argument: who waits says how long, and a test decides when that has passed.

export interface Timers {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Aborts after so many milliseconds; does not keep the process alive. */
  timeout(ms: number): AbortSignal;
}

export const systemTimers: Timers = {
  now: () => performance.now(),
  timeout: (ms) => AbortSignal.timeout(Math.ceil(ms)),
};

/** Resolves after `ms`, or as soon as the signal aborts. */
export async function pause(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return;
  const over = AbortSignal.any([timers.timeout(ms), signal]);
  if (over.aborted) return;
  await new Promise<void>((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));
}
