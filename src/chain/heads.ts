// One value that many readers follow: the newest head, to any number of iterators, each with its own short queue.

import type { Head } from './types.ts';

/** A reader this far behind loses the oldest heads: a whole epoch of 20 blocks fits, memory stays bounded. */
const MAX_QUEUED = 64;

export interface HeadFeed {
  readonly last: Head | undefined;
  publish(head: Head): void;
  /** The last head (if any) first, then every newer one; ends with the signal or with `close`. */
  stream(signal: AbortSignal): AsyncIterable<Head>;
  /** Resolves with the first head that passes, the last one included; rejects with the signal's reason, undefined on close. */
  until(passes: (head: Head) => boolean, signal: AbortSignal): Promise<Head | undefined>;
  close(): void;
}

interface Reader {
  readonly queue: Head[];
  wake: () => void;
}

export function createHeadFeed(): HeadFeed {
  const readers = new Set<Reader>();
  let last: Head | undefined;
  let closed = false;

  function wakeAll(): void {
    for (const reader of readers) reader.wake();
  }

  async function* stream(signal: AbortSignal): AsyncGenerator<Head> {
    const reader: Reader = { queue: last === undefined ? [] : [last], wake: () => undefined };
    const onAbort = () => reader.wake();
    readers.add(reader);
    signal.addEventListener('abort', onAbort);
    try {
      while (!signal.aborted) {
        const head = reader.queue.shift();
        if (head !== undefined) yield head;
        else if (closed) return;
        else await new Promise<void>((resolve) => Object.assign(reader, { wake: resolve }));
      }
    } finally {
      readers.delete(reader);
      signal.removeEventListener('abort', onAbort);
    }
  }

  return {
    get last() {
      return last;
    },
    publish(head) {
      if (closed) return;
      last = head;
      for (const { queue } of readers) {
        queue.push(head);
        if (queue.length > MAX_QUEUED) queue.shift();
      }
      wakeAll();
    },
    stream,
    async until(passes, signal) {
      for await (const head of stream(signal)) if (passes(head)) return head;
      signal.throwIfAborted();
      return undefined;
    },
    close() {
      closed = true;
      wakeAll();
    },
  };
}
