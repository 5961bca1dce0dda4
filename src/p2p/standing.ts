// Which peers are wanted, followed step by step: who has come in and who has gone out since the last look. Membership is decided elsewhere; a
// peer that has lost it loses its connections too, for a gate is passed only once.

import type { PeerId } from '../types/ids.ts';

export interface Standing {
  /** Whether the peer was wanted at the last look. */
  has(peer: PeerId): boolean;
  /** Looks again. */
  sweep(): void;
}

export function createStanding(
  wanted: () => readonly PeerId[],
  change: { readonly enter: (peer: PeerId) => void; readonly leave: (peer: PeerId) => void },
): Standing {
  let last: ReadonlySet<PeerId> = new Set();
  return {
    has: (peer) => last.has(peer),
    sweep() {
      const before = last;
      last = new Set(wanted());
      for (const peer of last) if (!before.has(peer)) change.enter(peer);
      for (const peer of before) if (!last.has(peer)) change.leave(peer);
    },
  };
}
