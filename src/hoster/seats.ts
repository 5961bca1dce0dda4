// Who holds how many sessions: a seat is taken before anything is allocated and given back when the session ends (protocol.md 14).

import type { PeerId } from '../types/ids.ts';
import type { HosterLimits } from './limits.ts';

export interface Seats {
  /** A seat that must be given back with `leave`, or why there is none. */
  take(peer: PeerId, key: string): { readonly leave: () => void } | 'BUSY' | 'NOT_YOURS';
  readonly taken: number;
}

export function createSeats(limits: Pick<HosterLimits, 'sessions' | 'sessionsPerPeer'>): Seats {
  const keys = new Set<string>();
  const perPeer = new Map<PeerId, number>();

  function leave(peer: PeerId, key: string): void {
    if (!keys.delete(key)) return;
    const left = (perPeer.get(peer) ?? 1) - 1;
    if (left === 0) perPeer.delete(peer);
    else perPeer.set(peer, left);
  }

  return {
    take(peer, key) {
      const held = perPeer.get(peer) ?? 0;
      if (keys.has(key)) return 'NOT_YOURS';
      if (keys.size >= limits.sessions || held >= limits.sessionsPerPeer) return 'BUSY';
      keys.add(key);
      perPeer.set(peer, held + 1);
      return { leave: () => leave(peer, key) };
    },
    get taken() {
      return keys.size;
    },
  };
}
