// Jobs that run beside the head loop: at most one per name, each ends with its signal or by itself, none is forgotten.

export interface Tasks {
  /** Starts a job unless one of that name still runs; what it throws goes to `onError`. */
  start(name: string, job: () => Promise<void>): Promise<void>;
  /** Jobs that are running. */
  count(): number;
  /** When all that runs now has ended. */
  settled(): Promise<void>;
}

export function createTasks(onError: (name: string, error: unknown) => void): Tasks {
  const running = new Map<string, Promise<void>>();

  async function guard(name: string, job: () => Promise<void>): Promise<void> {
    try {
      await job();
    } catch (error) {
      onError(name, error);
    } finally {
      running.delete(name);
    }
  }

  return {
    start(name, job) {
      const found = running.get(name);
      if (found !== undefined) return found;
      // Yields once, so that a job never runs inside the step that started it and cannot end before it is listed.
      const started = Promise.resolve().then(() => guard(name, job));
      running.set(name, started);
      return started;
    },
    count: () => running.size,
    async settled() {
      await Promise.all(running.values());
    },
  };
}
