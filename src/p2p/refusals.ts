// How often each peer was turned away or cut off, and why: counted for metrics and for the ban of those who do it on purpose. Bounded.

import type { PeerId } from '../types/ids.ts';
import type { RefusalCode } from './types.ts';

/** Peer ids cost nothing, so a stranger may show up under any number of them; the longest unheard go first. */
const MAX_PEERS = 4096;

export interface Refusals {
  note(peer: PeerId, code: RefusalCode): void;
  all(): ReadonlyMap<PeerId, Readonly<Partial<Record<RefusalCode, number>>>>;
}

/** @param onRefusal called after each one has been counted */
export function createRefusals(
  onRefusal: (peer: PeerId, code: RefusalCode) => void = () => undefined,
  maxPeers = MAX_PEERS,
): Refusals {
  const counts = new Map<PeerId, Partial<Record<RefusalCode, number>>>();
  return {
    note(peer, code) {
      const own = counts.get(peer) ?? {};
      own[code] = (own[code] ?? 0) + 1;
      counts.delete(peer);
      counts.set(peer, own);
      for (const oldest of counts.keys()) {
        if (counts.size <= maxPeers) break;
        counts.delete(oldest);
      }
      onRefusal(peer, code);
    },
    all: () => counts,
  };
}
