// Small asynchronous tools: deadlines, one-at-a-time queues, broadcast of values to async iterators. All of them end with an AbortSignal.

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
  signal.throwIfAborted();
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export interface Channel<T> extends AsyncIterable<T> {
  /** False when the channel is closed or full. */
  push(value: T): boolean;
  /** Ends the iteration after what is queued; with an error the iteration throws it at once. */
  close(error?: unknown): void;
}

/**
 * A bounded queue between a producer that pushes and one consumer that iterates.
 *
 * @param limit how many values may wait; `push` answers false beyond that
 */
export function createChannel<T>(limit: number): Channel<T> {
  const queue: T[] = [];
  let closed = false;
  let failure: { readonly error: unknown } | undefined;
  let wake: () => void = () => undefined;

  async function* iterate(): AsyncGenerator<T> {
    try {
      for (;;) {
        if (failure !== undefined) throw failure.error;
        if (queue.length > 0) {
          yield queue.shift() as T;
          continue;
        }
        if (closed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      closed = true;
    }
  }

  return {
    push(value) {
      if (closed || queue.length >= limit) return false;
      queue.push(value);
      wake();
      return true;
    },
    close(error) {
      if (closed) return;
      closed = true;
      if (error !== undefined) failure = { error };
      wake();
    },
    [Symbol.asyncIterator]: iterate,
  };
}
