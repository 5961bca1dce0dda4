// Who is kept out for a while: a peer whose offences add up faster than they are forgotten, each time twice as long. Knows no clock: it is told
// the time. A ban is this node's own decision and never passed on.

import type { PeerId } from '../types/ids.ts';
import type { RefusalCode } from './types.ts';

/**
 * What a refusal weighs. Nothing that happens to honest peers does: one that is not in the roster yet, or asks while all places are taken.
 * A slow or overloaded one falls silent now and then.
 */
const POINTS: Readonly<Record<RefusalCode, number>> = {
  BANNED: 0,
  NOT_ADMITTED: 0,
  TOO_MANY_STREAMS: 0,
  TOO_MANY_STRANGERS: 0,
  PEER_SILENT: 5,
  PEER_STALLED: 5,
  MESSAGE_REJECTED: 10,
  FRAME_TOO_LARGE: 30,
  BAD_STREAM: 30,
};
export const BAN_POINTS = 100;
/** One point is forgotten in this time. */
const FORGET_MS = 1000;
export const FIRST_BAN_MS = 60_000;
export const LONGEST_BAN_MS = 6 * 3_600_000;
/** Without a ban for this long, the next one is a first one. */
export const FORGIVE_MS = 24 * 3_600_000;
/** As many as there may be peers counted; those whose ban is over and forgotten go first, then the oldest. */
const MAX_PEERS = 4096;

export interface Bans {
  /** Whether this refusal made a ban begin. */
  note(peer: PeerId, code: RefusalCode, nowMs: number): boolean;
  isBanned(peer: PeerId, nowMs: number): boolean;
}

interface Conduct {
  points: number;
  atMs: number;
  bans: number;
  untilMs: number;
}

export function createBans(): Bans {
  const peers = new Map<PeerId, Conduct>();

  /** What is remembered of a peer, with what time has healed. */
  function conductOf(peer: PeerId, nowMs: number): Conduct {
    const known = peers.get(peer) ?? { points: 0, atMs: nowMs, bans: 0, untilMs: Number.NEGATIVE_INFINITY };
    const points = Math.max(0, known.points - (nowMs - known.atMs) / FORGET_MS);
    return { ...known, points, atMs: nowMs, bans: nowMs > known.untilMs + FORGIVE_MS ? 0 : known.bans };
  }

  /** The oldest that is not banned, or else the oldest. */
  function leastMissed(nowMs: number): PeerId {
    for (const [peer, { untilMs }] of peers) if (untilMs <= nowMs) return peer;
    const [oldest] = peers.keys();
    return oldest as PeerId;
  }

  function remember(peer: PeerId, conduct: Conduct, nowMs: number): void {
    peers.delete(peer);
    peers.set(peer, conduct);
    if (peers.size <= MAX_PEERS) return;
    peers.delete(leastMissed(nowMs));
  }

  return {
    note(peer, code, nowMs) {
      if (POINTS[code] === 0) return false;
      const conduct = conductOf(peer, nowMs);
      conduct.points += POINTS[code];
      const begins = conduct.points >= BAN_POINTS && nowMs >= conduct.untilMs;
      if (begins) {
        conduct.untilMs = nowMs + Math.min(LONGEST_BAN_MS, FIRST_BAN_MS * 2 ** conduct.bans);
        conduct.bans += 1;
        conduct.points = 0;
      }
      remember(peer, conduct, nowMs);
      return begins;
    },
    isBanned: (peer, nowMs) => nowMs < (peers.get(peer)?.untilMs ?? Number.NEGATIVE_INFINITY),
  };
}
