// Answers auditors out of the ledger (protocol.md 13). Only validators are heard; one computation at a time, so that an audit never takes more
// than one session's place in the engine.

import type { Overlay } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import { createSerial, withDeadline } from '../util/async.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { readTensors } from '../wire/named-tensors.ts';
import type { AuditLedger, ServedSession } from './ledger.ts';
import {
  AUDIT_PROTOCOL,
  type AuditRequest,
  auditOptions,
  decodeAuditRequest,
  encodeBorders,
  encodeListed,
  encodeRows,
  encodeRun,
} from './protocol.ts';
import { type ReplayEngine, type ReplayModel, replayBorders, replayRunBorders } from './replay.ts';

/** An auditor that waits longer has given up. */
const BORDERS_MS = 20_000;

export interface AuditServerDeps {
  readonly overlay: Pick<Overlay, 'handleRequest'>;
  readonly ledger: AuditLedger;
  readonly engine: ReplayEngine;
  readonly model: ReplayModel;
  /** Whether the peer is a validator's. */
  readonly mayAudit: (peer: PeerId) => boolean;
  readonly log: Log;
}

/** Serves from now on. */
export async function serveAudits({ overlay, ledger, engine, model, mayAudit, log }: AuditServerDeps): Promise<void> {
  const inTurn = createSerial();

  async function bordersOf(request: AuditRequest & { ask: 'borders' }, signal: AbortSignal): Promise<Uint8Array> {
    const served = ledger.find(request.session, request.hop);
    const end = request.position + request.count;
    if (served === undefined || end > served.length) return encodeBorders(undefined);
    const { session, codec, run, runs } = served;
    const until = withDeadline(signal, BORDERS_MS);
    try {
      if (runs !== undefined) {
        const taken = runs[request.position]?.taken;
        if (taken === undefined) return encodeBorders(undefined);
        const tensors = readTensors(taken.header, taken.tensor);
        return encodeBorders(await replayRunBorders(run, tensors, model, engine, until));
      }
      const source = { session, codec, run, rows: served.rows(end), end };
      return encodeBorders(await replayBorders(source, request, model, engine, until));
    } catch (error) {
      log.info('borders not computed for an auditor', { session, error: errorMessage(error) });
      return encodeBorders(undefined);
    }
  }

  function rowsOf(served: ServedSession | undefined, end: number): Uint8Array {
    if (served === undefined || end > served.length) return encodeRows(undefined);
    const rows = served.rows(end);
    return encodeRows(rows.length === 0 ? undefined : { request: served.request, rows, drawn: served.drawn(end) });
  }

  function runOf({ session, hop, run, side }: AuditRequest & { ask: 'run' }): Uint8Array {
    const served = ledger.find(session, hop);
    const kept = served?.runs?.[run]?.[side];
    return encodeRun(served === undefined || kept === undefined ? undefined : { request: served.request, ...kept });
  }

  await overlay.handleRequest(AUDIT_PROTOCOL, auditOptions(mayAudit), async (body, from, signal) => {
    const parsed = decodeAuditRequest(body);
    if (!parsed.ok) throw new Error(`no question of an audit, from ${from}: ${parsed.why}`);
    const request = parsed.value;
    switch (request.ask) {
      case 'list':
        return encodeListed(
          ledger.sessions().flatMap(({ hop, receipts }) => receipts.map(({ bytes }) => ({ hop, receipt: bytes }))),
        );
      case 'rows':
        return rowsOf(ledger.find(request.session, request.hop), request.end);
      case 'run':
        return runOf(request);
      case 'borders':
        return inTurn(() => bordersOf(request, signal));
    }
  });
}
