// Frames that came in on a stream and wait for their one consumer. Counts what waits, so that a transport can stop reading from a sender.

/** Counted for each waiting frame beside its bytes: a stranger may send any number of empty ones. */
const FRAME_COST = 64;

export interface Inbox {
  /** Bytes that wait, with a fixed cost for each frame. */
  waiting(): number;
  /** Frames that wait. */
  count(): number;
  push(frame: Uint8Array): void;
  /** No more frames will come; those that wait are still read. */
  end(): void;
  /** The stream is gone: what waits is dropped and readers get the error. */
  fail(error: Error): void;
  /** Frames in order. Breaking out of a loop keeps the rest for the next one. */
  frames(): AsyncGenerator<Uint8Array>;
}

/** @param onTaken called each time the consumer has taken a frame, or `fail` has dropped all */
export function createInbox(onTaken: () => void): Inbox {
  const queue: Uint8Array[] = [];
  let waiting = 0;
  let ended = false;
  let failure: Error | undefined;
  let wake: () => void = () => undefined;

  function take(): Uint8Array | undefined {
    const frame = queue.shift();
    if (frame === undefined) return undefined;
    waiting -= frame.length + FRAME_COST;
    onTaken();
    return frame;
  }

  async function* frames(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (failure !== undefined) throw failure;
      const frame = take();
      if (frame !== undefined) {
        yield frame;
      } else if (ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  return {
    waiting: () => waiting,
    count: () => queue.length,
    push(frame) {
      if (ended || failure !== undefined) return;
      queue.push(frame);
      waiting += frame.length + FRAME_COST;
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    fail(error) {
      failure ??= error;
      queue.length = 0;
      waiting = 0;
      onTaken();
      wake();
    },
    frames,
  };
}
