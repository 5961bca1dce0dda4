// Finds peers through peers: asks one connected peer after the other whom it knows, while somebody who is wanted is not connected or there are few
// connections at all. Knows no clock: `sweep` is told the time.

import type { PeerId } from '../types/ids.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

/** Below this many connections any peer is welcome: a client finds its way through so many, whoever of them leaves. */
export const ENOUGH_PEERS = 8;
/** Before the second question to a peer, doubled with each up to the longest: who starts with others does not find them at the first, and who is new later has connected by the last. */
export const FIRST_ASK_PAUSE_MS = 1_000;
export const ASK_PAUSE_MS = 16_000;
/** Peers remembered that could be dialled; the oldest go first. */
const MAX_CANDIDATES = 64;
/** Dials in one sweep. */
const MAX_DIALS = 4;

export interface DiscoveryDeps {
  readonly connected: () => readonly PeerId[];
  /** Wanted peers without a connection. */
  readonly missing: () => readonly PeerId[];
  /** Asks a peer whom it knows; resolves with those who can be dialled now. */
  readonly ask: (peer: PeerId, wanted: readonly PeerId[]) => Promise<readonly PeerId[]>;
  readonly dial: (peer: PeerId) => Promise<void>;
  readonly log: Log;
}

export interface Discovery {
  /** Somebody who was heard of elsewhere. */
  add(peer: PeerId): void;
  sweep(nowMs: number): Promise<void>;
}

export function createDiscovery(deps: DiscoveryDeps): Discovery {
  const asked = new Map<PeerId, { readonly at: number; readonly pauseMs: number }>();
  const candidates = new Set<PeerId>();
  let isBusy = false;

  function add(peer: PeerId): void {
    candidates.delete(peer);
    candidates.add(peer);
    for (const oldest of candidates) {
      if (candidates.size <= MAX_CANDIDATES) break;
      candidates.delete(oldest);
    }
  }

  async function askOne(connected: readonly PeerId[], nowMs: number): Promise<void> {
    for (const peer of asked.keys()) if (!connected.includes(peer)) asked.delete(peer);
    const due = (peer: PeerId) => {
      const last = asked.get(peer);
      return last === undefined ? Number.NEGATIVE_INFINITY : last.at + last.pauseMs;
    };
    const peer = connected.toSorted((a, b) => due(a) - due(b) || 0)[0];
    if (peer === undefined || nowMs < due(peer)) return;
    const pauseMs = Math.min(ASK_PAUSE_MS, 2 * (asked.get(peer)?.pauseMs ?? FIRST_ASK_PAUSE_MS / 2));
    asked.set(peer, { at: nowMs, pauseMs });
    try {
      for (const found of await deps.ask(peer, deps.missing())) add(found);
    } catch (error) {
      deps.log.debug('peer names nobody', { peer, code: errorCode(error) });
    }
  }

  async function dialSome(): Promise<void> {
    const connected = new Set(deps.connected());
    const chosen = [...candidates]
      .filter((peer) => !connected.has(peer))
      .slice(0, Math.max(0, Math.min(MAX_DIALS, ENOUGH_PEERS - connected.size)));
    await Promise.all(
      chosen.map(async (peer) => {
        // Once: who names it again may be right.
        candidates.delete(peer);
        await deps.dial(peer).catch((error) => deps.log.debug('peer not met', { peer, code: errorCode(error) }));
      }),
    );
  }

  return {
    add,
    async sweep(nowMs) {
      const connected = deps.connected();
      if (isBusy || (connected.length >= ENOUGH_PEERS && deps.missing().length === 0)) return;
      isBusy = true;
      try {
        await askOne(connected, nowMs);
        await dialSome();
      } finally {
        isBusy = false;
      }
    },
  };
}
