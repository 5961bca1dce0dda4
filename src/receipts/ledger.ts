// What this node has served lately, for auditors (protocol.md 13): the receipts of each session and the rows that came in, kept until the
// audits of the next epoch are over, within a budget. The oldest go first.

import type { BlockNumber } from '../types/ids.ts';
import type { SessionId } from '../wire/infer.ts';
import type { Receipt, Signed } from '../wire/receipt.ts';
import type { RowCodec } from '../wire/tensor.ts';
import type { KeptRun } from './run-transcript.ts';
import type { DrawnToken, Run } from './transcript.ts';

/** Rows of all sessions together, open ones by what they have reserved: 32,000 positions of a width of 2,048 in f16. */
const AUDIT_BYTES = 128 << 20;
/** Sessions beyond that many are forgotten, however small. */
const MAX_SESSIONS = 4_096;

export interface ServedSession {
  readonly session: SessionId;
  /** The place in the route. */
  readonly hop: number;
  readonly codec: RowCodec;
  readonly run: Run;
  /** Positions. */
  readonly length: number;
  /** The client's signed request, which tells route and sampling. */
  readonly request: Uint8Array;
  readonly receipts: readonly Signed<Receipt>[];
  /** The rows of positions [0, count), as they came; none when they were not kept. */
  rows(count: number): Uint8Array;
  /** Tokens drawn behind these rows, at the last hop. */
  drawn(count: number): readonly DrawnToken[];
  /** Of a stateless model: the tensors of each run, where they were kept. */
  readonly runs?: readonly (KeptRun | undefined)[];
  /** Of the rows, or tensors. */
  readonly bytes: number;
  /** What the client has signed for; empty when it did not. */
  readonly usage: Uint8Array;
  /** Best head at its end. */
  readonly block: BlockNumber;
}

export interface AuditLedger {
  /** Room for the rows of a session that opens; false when those that are open have it all: then its rows are not kept. */
  reserve(bytes: number): boolean;
  /** Gives back what was reserved. */
  free(bytes: number): void;
  /** Keeps a session that has ended; one without receipts says nothing. */
  keep(session: ServedSession): void;
  /** Forgets what ended before this block. */
  forgetBefore(block: BlockNumber): void;
  /** Newest first. */
  sessions(): readonly ServedSession[];
  find(session: SessionId, hop: number): ServedSession | undefined;
}

export function createAuditLedger(budget: number = AUDIT_BYTES): AuditLedger {
  /** In the order of their ends. */
  const kept = new Map<string, ServedSession>();
  let bytes = 0;
  let reserved = 0;

  function drop(key: string, session: ServedSession): void {
    kept.delete(key);
    bytes -= session.bytes;
  }

  function makeRoom(): void {
    for (const [key, oldest] of kept) {
      if (reserved + bytes <= budget && kept.size <= MAX_SESSIONS) return;
      drop(key, oldest);
    }
  }

  return {
    reserve(wanted) {
      if (reserved + wanted > budget) return false;
      reserved += wanted;
      makeRoom();
      return true;
    },
    free(given) {
      reserved -= given;
    },
    keep(session) {
      if (session.receipts.length === 0) return;
      kept.set(keyOf(session.session, session.hop), session);
      bytes += session.bytes;
      makeRoom();
    },
    forgetBefore(block) {
      for (const [key, session] of kept) if (session.block < block) drop(key, session);
    },
    sessions: () => [...kept.values()].reverse(),
    find: (session, hop) => kept.get(keyOf(session, hop)),
  };
}

function keyOf(session: SessionId, hop: number): string {
  return `${session}/${hop}`;
}
