// How often a stranger may be refused for nothing: before the time that it was told, or where no waiting helps (protocol.md 12, 14). Beyond that it is turned
// away before anything of its request is read or looked up, and hints for others do not move. Who asks when it was told spends nothing.

import type { PeerId } from '../types/ids.ts';
import type { HosterLimits } from './limits.ts';

type PatienceLimits = Pick<HosterLimits, 'hastyOpens' | 'hastyOpensPerSecond'>;

export interface Patience {
  /** Milliseconds after which this peer is heard again; 0 when it is heard now. */
  deafMs(peer: PeerId): number;
  /** When an OPEN came: handed back with what became of it. */
  arrived(peer: PeerId): Arrival;
}

export interface Arrival {
  /** It was refused. @param retryAfterMs as it was told; 0 where waiting does not help */
  refused(retryAfterMs: number): void;
}

interface Asker {
  /** Refusals that are left, at `at`. */
  readonly left: number;
  readonly at: number;
  /** The earliest time for which it was told to come again. */
  readonly notBefore: number;
}

const MS_PER_SECOND = 1_000;
/** Timers of the other side may be a little early. */
const EARLY = 0.9;
/** Peer ids cost nothing; who is forgotten begins anew, and a crowd is held by the limits of connections. */
const MAX_PEERS = 4_096;

/**
 * @param stakeOf planck; who has some is never turned away here
 * @param now monotonic milliseconds
 */
export function createPatience(
  { hastyOpens, hastyOpensPerSecond }: PatienceLimits,
  stakeOf: (peer: PeerId) => bigint,
  now: () => number,
  maxPeers = MAX_PEERS,
): Patience {
  /** The longest unheard first. */
  const askers = new Map<PeerId, Asker>();

  function leftOf(peer: PeerId): number {
    const asker = askers.get(peer);
    if (asker === undefined) return hastyOpens;
    return Math.min(hastyOpens, asker.left + ((now() - asker.at) * hastyOpensPerSecond) / MS_PER_SECOND);
  }

  function note(peer: PeerId, left: number, notBefore: number): void {
    askers.delete(peer);
    askers.set(peer, { left, at: now(), notBefore });
    for (const oldest of askers.keys()) {
      if (askers.size <= maxPeers) return;
      askers.delete(oldest);
    }
  }

  return {
    deafMs(peer) {
      const left = leftOf(peer);
      if (left >= 1 || stakeOf(peer) > 0n) return 0;
      return Math.ceil(((1 - left) * MS_PER_SECOND) / hastyOpensPerSecond);
    },
    arrived(peer) {
      const isEarly = now() < (askers.get(peer)?.notBefore ?? Number.NEGATIVE_INFINITY);
      return {
        refused(retryAfterMs) {
          if (stakeOf(peer) > 0n) return;
          const known = askers.get(peer)?.notBefore ?? Number.NEGATIVE_INFINITY;
          const told = retryAfterMs === 0 ? known : now() + EARLY * retryAfterMs;
          const isSpent = isEarly || retryAfterMs === 0;
          // Several requests of one peer are told different times: each may come at its own.
          note(peer, Math.max(0, leftOf(peer) - (isSpent ? 1 : 0)), known > now() ? Math.min(known, told) : told);
        },
      };
    },
  };
}
