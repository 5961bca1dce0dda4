// Small asynchronous tools: one-at-a-time queues, deadlines, promises that an AbortSignal ends.

/** Runs jobs one after the other in the order they were given; a failed job does not stop the next. */
export function createSerial(): <T>(job: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (job) => {
    const next = last.then(job, job);
    last = next.catch(() => undefined);
    return next;
  };
}

/** `signal` that also aborts after `ms`; the timer does not keep the process alive. */
export function withDeadline(signal: AbortSignal | undefined, ms: number): AbortSignal {
  const timer = AbortSignal.timeout(ms);
  return signal === undefined ? timer : AbortSignal.any([signal, timer]);
}

/** Rejects with the signal's reason as soon as it aborts, whatever `promise` does (libraries may hang for ever). */
export async function raceSignal<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // Nobody else looks at it once the signal has won, also when that has aborted already.
  promise.catch(() => undefined);
  signal.throwIfAborted();
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Work that is done once per key: who asks while it is under way waits for the same. Failures, and values that are not to be kept, are not. */
export function createMemo<K, V>(
  limit: number,
  isKept: (value: V) => boolean,
): (key: K, work: () => Promise<V>) => Promise<V> {
  const known = new Map<K, Promise<V>>();
  return (key, work) => {
    const before = known.get(key);
    if (before !== undefined) return before;
    const value = work();
    known.set(key, value);
    const forget = () => {
      if (known.get(key) === value) known.delete(key);
    };
    value.then((result) => (isKept(result) ? undefined : forget()), forget);
    for (const oldest of known.keys()) {
      if (known.size <= limit) break;
      known.delete(oldest);
    }
    return value;
  };
}
