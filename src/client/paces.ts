// How fast peers are, from this client's own sessions: what a hop says it spent on each step, and the rest of the lap, which is the
// network's. A hop that understates its work makes its network look slow instead: the sum is what this client measured.

import type { Pace } from '../routing/route.ts';
import type { PeerId } from '../types/ids.ts';

export interface Paces {
  /** A peer answered an OPEN after so long. */
  answered(peer: PeerId, us: number): void;
  /** One row went over these hops and came back as a token. `spentUs` is what each hop said. */
  lap(hops: readonly LapHop[], lapUs: number, spentUs: readonly number[]): void;
  all(): ReadonlyMap<PeerId, Pace>;
}

export interface LapHop {
  readonly peer: PeerId;
  /** Shards that it ran. */
  readonly shards: number;
}

/** Weight of the newest lap: a change of the network counts in full after some ten tokens. */
const NEWEST = 0.2;
/** More peers than a roster has seats are never met; the one not measured for longest goes first. */
const MAX_PEERS = 512;

export function createPaces(): Paces {
  const paces = new Map<PeerId, Pace>();

  function put(peer: PeerId, pace: Pace): void {
    paces.delete(peer);
    paces.set(peer, pace);
    const [oldest] = paces.keys();
    if (paces.size > MAX_PEERS && oldest !== undefined) paces.delete(oldest);
  }

  return {
    answered(peer, us) {
      const known = paces.get(peer);
      put(peer, { ...known, hopUs: blend(known?.hopUs, us) });
    },
    lap(hops, lapUs, spentUs) {
      const spent = spentUs.reduce((sum, us) => sum + us, 0);
      const network = Math.max(0, lapUs - spent);
      const shares = hops.map(({ peer }) => 1 + (paces.get(peer)?.hopUs ?? 0));
      const whole = shares.reduce((sum, share) => sum + share, 0);
      hops.forEach(({ peer, shards }, i) => {
        const known = paces.get(peer);
        const hopUs = blend(known?.hopUs, (network * (shares[i] ?? 0)) / whole);
        put(peer, { hopUs, rowUs: blend(known?.rowUs, Math.min(lapUs, spentUs[i] ?? 0) / shards) });
      });
    },
    all: () => paces,
  };
}

function blend(known: number | undefined, measured: number): number {
  return known === undefined ? measured : known + NEWEST * (measured - known);
}
