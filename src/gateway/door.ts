// Who is inside: requests that are being answered. A closed door lets nobody in and tells when the last one has left.

import { closing } from './api-error.ts';

export interface Door {
  /** @throws ApiError 503 once the door is closed */
  enter(request: object): void;
  leave(request: object): void;
  /** Resolves when nobody is inside any more. */
  close(): Promise<void>;
  readonly inside: number;
  readonly closed: boolean;
}

export function createDoor(): Door {
  const requests = new Set<object>();
  const empty = Promise.withResolvers<void>();
  let closed = false;

  function settle(): void {
    if (closed && requests.size === 0) empty.resolve();
  }

  return {
    enter(request) {
      if (closed) throw closing();
      requests.add(request);
    },
    leave(request) {
      requests.delete(request);
      settle();
    },
    close() {
      closed = true;
      settle();
      return empty.promise;
    },
    get inside() {
      return requests.size;
    },
    get closed() {
      return closed;
    },
  };
}
