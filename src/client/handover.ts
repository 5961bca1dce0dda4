// Hands what hops signed to attestors that audit (protocol.md 13): of a share of the sessions, and only for who chose so. Runs beside all else,
// and what nobody takes is dropped.

import type { Overlay } from '../p2p/types.ts';
import {
  decodeTaken,
  encodeHanding,
  HANDED_PROTOCOL,
  type HandedRows,
  MAX_HANDED_ROWS_BYTES,
  MAX_HANDING_BYTES,
} from '../receipts/handed.ts';
import type { Listed } from '../receipts/protocol.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { PeerId } from '../types/ids.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

/** What a session leaves behind. */
export interface SessionTranscript {
  readonly route: readonly RoutedHop[];
  readonly receipts: readonly Listed[];
  /** What entered the first hop; none of a session that it does not make sense for. */
  readonly first?: HandedRows;
}

export interface HandoverOptions {
  /** `receipts`: hashes and signatures. `transcripts`: the tokens that entered, too. */
  readonly what: 'receipts' | 'transcripts';
  /** Of the sessions, 0 to 1. */
  readonly share: number;
}

export interface HandoverDeps {
  readonly overlay: Pick<Overlay, 'request' | 'peers' | 'self'>;
  readonly isValidator: (peer: PeerId) => boolean;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

export interface Handover {
  /** A session has ended, whichever way. */
  give(transcript: SessionTranscript): void;
  /** Waits for what is under way, not for long. */
  close(): Promise<void>;
}

/** Sessions that are being handed over; beyond, they are dropped. */
const MAX_JOBS = 4;
/** Validators asked before a session is dropped: most do not audit. */
const MAX_ASKED = 8;
/** More than half of the validators must name a node bad: one that knows is not enough. */
const MAX_TAKERS = 3;
const ASK_MS = 5_000;

export function createHandover({ what, share }: HandoverOptions, deps: HandoverDeps): Handover {
  const { overlay, isValidator, random, log } = deps;
  const jobs = new Set<Promise<void>>();
  const ending = new AbortController();
  /** They do not audit, or did not answer. */
  const deaf = new Set<PeerId>();

  /** Validators that are connected, in an order of chance: sessions spread over those that audit. */
  function candidates(accused: ReadonlySet<PeerId>): readonly PeerId[] {
    // Nobody audits itself.
    const all = overlay.peers().filter((peer) => isValidator(peer) && !accused.has(peer));
    if (all.every((peer) => deaf.has(peer))) deaf.clear();
    const some = all.filter((peer) => !deaf.has(peer));
    const from = Math.floor(random() * some.length);
    return [...some.slice(from), ...some.slice(0, from)].slice(0, MAX_ASKED);
  }

  async function ask(peer: PeerId, body: Uint8Array): Promise<boolean> {
    try {
      const options = { maxFrameBytes: MAX_HANDING_BYTES, signal: withDeadline(ending.signal, ASK_MS) };
      const taken = decodeTaken(await overlay.request(peer, HANDED_PROTOCOL, body, options));
      return taken.ok && taken.value > 0;
    } catch (error) {
      deaf.add(peer);
      log.debug('receipts not taken', { peer, code: errorCode(error) });
      return false;
    }
  }

  async function hand(body: Uint8Array, accused: ReadonlySet<PeerId>): Promise<void> {
    let takers = 0;
    for (const peer of candidates(accused)) {
      if (ending.signal.aborted || takers === MAX_TAKERS) return;
      if (await ask(peer, body)) takers += 1;
    }
  }

  return {
    give({ route, receipts, first }) {
      // What this client computed itself is no business of others.
      const named = receipts.flatMap(({ hop, receipt }) => {
        const peer = route[hop]?.peer;
        return peer === undefined || peer === overlay.self ? [] : [{ peer, hop, receipt }];
      });
      if (named.length === 0 || jobs.size >= MAX_JOBS || random() >= share) return;
      const isOwn = route[0]?.peer === overlay.self;
      const fits = first !== undefined && first.rows.length > 0 && first.rows.length <= MAX_HANDED_ROWS_BYTES;
      const rows = what === 'transcripts' && !isOwn && fits ? { first } : {};
      const body = encodeHanding({ receipts: named, ...rows });
      const job = hand(body, new Set(named.map(({ peer }) => peer))).finally(() => jobs.delete(job));
      jobs.add(job);
    },
    async close() {
      await raceSignal(Promise.allSettled(jobs), AbortSignal.timeout(ASK_MS)).catch(() => undefined);
      ending.abort();
      await Promise.allSettled(jobs);
    },
  };
}
