// Room for connections: past the limit the one that has been idle longest goes, first of those that have never sent a whole request. So sockets that are
// opened and say little cannot keep out who has something to ask. Trusts nobody: sockets come before anyone is known.

import type { Socket } from 'node:net';

export interface Room {
  /** A connection has come. */
  enter(socket: Socket): void;
  /** A whole request has come on it; nobody takes its place until `idle`. */
  busy(socket: Socket): void;
  /** Its request has been answered. */
  idle(socket: Socket): void;
}

export function createRoom(limit: number): Room {
  /** By how long they have waited; the newest last. */
  const silent = new Set<Socket>();
  const idle = new Set<Socket>();
  const busy = new Set<Socket>();

  function forget(socket: Socket): void {
    for (const kind of [silent, idle, busy]) kind.delete(socket);
  }

  return {
    enter(socket) {
      silent.add(socket);
      socket.once('close', () => forget(socket));
      if (silent.size + idle.size + busy.size <= limit) return;
      const [other] = silent;
      const [rested] = idle;
      const leaving = other === socket && rested !== undefined ? rested : other;
      if (leaving === undefined) return;
      forget(leaving);
      leaving.destroy();
    },
    busy(socket) {
      forget(socket);
      if (!socket.destroyed) busy.add(socket);
    },
    idle(socket) {
      if (busy.delete(socket)) idle.add(socket);
    },
  };
}
