// Asks roster peers for records over the evidence protocol and admits what comes back. Nothing here is waited for by a window: a list
// closes when its block comes, with what is there by then (protocol.md 7, 10).

import { epochOfKind } from '../consensus/witness.ts';
import type { Overlay } from '../p2p/types.ts';
import type { Epoch, PeerId } from '../types/ids.ts';
import { type EpochKind, SHORT_ID_BYTES } from '../types/record.ts';
import { withDeadline } from '../util/async.ts';
import { toHex } from '../util/bytes.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { EVIDENCE_KINDS } from '../wire/evidence.ts';
import { decodeRecord } from '../wire/record.ts';
import {
  decodeFacts,
  decodeNamed,
  decodeRecords,
  EVIDENCE_PROTOCOL,
  type EvidenceRequest,
  encodeRequest,
  isNothing,
  MAX_ANSWER_RECORDS,
  MAX_EVIDENCE_FRAME,
  type NamedIds,
} from './evidence-protocol.ts';
import type { Records } from './records.ts';
import type { OfferedProof } from './roster-proof.ts';

/** Peers asked at once: with 8 of 256 seats a record that most hold is found. */
const MAX_PEERS = 8;
/** A peer that does not answer by then is passed over; well below a window of three blocks of 6 s. */
const REQUEST_MS = 4000;
/** Two records of 256 seats in answers of at most 1 MiB. */
const MAX_ROUNDS = 16;

export interface Gather {
  /** Asks some peers for what is lacking of a kind. */
  missing(kind: EpochKind, epoch: Epoch, peers: readonly PeerId[], signal: AbortSignal): Promise<void>;
  /** Makes up for the lists of an epoch's evidence that this node did not see closing: it was not running then. */
  unseen(scored: Epoch, peers: readonly PeerId[], signal: AbortSignal): Promise<void>;
  /** Asks for everything that may stand in an epoch's evidence. */
  evidence(scored: Epoch, peers: readonly PeerId[], signal: AbortSignal): Promise<void>;
  /** Fetches records by id, whole or short, from one peer after the other until all are there or nobody is left. */
  byIds(ids: readonly Uint8Array[], peers: readonly PeerId[], signal: AbortSignal): Promise<void>;
  /** What a peer says was read at h(e). */
  facts(epoch: Epoch, peer: PeerId, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** What peers hand over as proof of who was in an epoch: all that answer with something. */
  proofs(epoch: Epoch, peers: readonly PeerId[], signal: AbortSignal): Promise<readonly OfferedProof[]>;
  /** The ids that a peer's evidence of an epoch names. */
  named(epoch: Epoch, peer: PeerId, signal: AbortSignal): Promise<NamedIds | undefined>;
}

export function createGather(deps: {
  readonly overlay: Pick<Overlay, 'request'>;
  readonly records: Records;
  readonly log: Log;
}): Gather {
  const { overlay, records, log } = deps;

  /** The answer, or undefined when the peer gave none. */
  async function ask(peer: PeerId, request: EvidenceRequest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const options = { maxFrameBytes: MAX_EVIDENCE_FRAME, signal: withDeadline(signal, REQUEST_MS) };
    try {
      return await overlay.request(peer, EVIDENCE_PROTOCOL, encodeRequest(request), options);
    } catch (error) {
      log.debug('no evidence from peer', { peer, ask: request.ask, code: errorCode(error) });
      return undefined;
    }
  }

  /** How many records of an answer were news. */
  function admitAll(peer: PeerId, body: Uint8Array | undefined): number {
    return recordsIn(peer, body).filter((bytes) => records.admit(bytes, 'pull').verdict === 'accept').length;
  }

  /** Only what was asked for. */
  function admitNamed(peer: PeerId, body: Uint8Array | undefined, ids: readonly Uint8Array[]): void {
    const short = (id: Uint8Array): string => toHex(id.subarray(0, SHORT_ID_BYTES));
    const wanted = new Set(ids.map(short));
    for (const bytes of recordsIn(peer, body)) {
      const decoded = decodeRecord(bytes);
      if (decoded.ok && wanted.has(short(decoded.record.id))) records.admit(bytes, 'named');
    }
  }

  function recordsIn(peer: PeerId, body: Uint8Array | undefined): readonly Uint8Array[] {
    const found = body === undefined ? [] : decodeRecords(body);
    if (found === undefined) log.warn('unreadable evidence answer', { peer });
    return found ?? [];
  }

  async function missingFrom(peer: PeerId, kind: EpochKind, epoch: Epoch, signal: AbortSignal): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS && !signal.aborted; round++) {
      const held = records.held(kind, epoch).map(({ id }) => id);
      if (admitAll(peer, await ask(peer, { ask: 'lack', kind, epoch, held }, signal)) === 0) return;
    }
  }

  async function missing(kind: EpochKind, epoch: Epoch, peers: readonly PeerId[], signal: AbortSignal): Promise<void> {
    await Promise.all(peers.slice(0, MAX_PEERS).map((peer) => missingFrom(peer, kind, epoch, signal)));
  }

  return {
    missing,
    async unseen(scored, peers, signal) {
      const lists = listsOf(scored).filter(({ kind, epoch }) => !records.watched(kind, epoch));
      await Promise.all(lists.map(({ kind, epoch }) => missing(kind, epoch, peers, signal)));
    },
    async evidence(scored, peers, signal) {
      await Promise.all(listsOf(scored).map(({ kind, epoch }) => missing(kind, epoch, peers, signal)));
    },
    async byIds(ids, peers, signal) {
      for (const peer of peers.slice(0, MAX_PEERS)) {
        const lacking = ids.filter((id) => records.byId(id) === undefined);
        for (let at = 0; at < lacking.length; at += MAX_ANSWER_RECORDS) {
          const part = lacking.slice(at, at + MAX_ANSWER_RECORDS);
          admitNamed(peer, await ask(peer, { ask: 'ids', ids: part }, signal), part);
        }
        if (lacking.length === 0 || signal.aborted) return;
      }
    },
    async facts(epoch, peer, signal) {
      const body = await ask(peer, { ask: 'facts', epoch }, signal);
      return body === undefined ? undefined : decodeFacts(body);
    },
    async proofs(epoch, peers, signal) {
      const offers = peers.slice(0, MAX_PEERS).map(async (peer) => {
        const proof = await ask(peer, { ask: 'proof', epoch }, signal);
        return proof === undefined || isNothing(proof) ? [] : [{ peer, proof }];
      });
      return (await Promise.all(offers)).flat();
    },
    async named(epoch, peer, signal) {
      const body = await ask(peer, { ask: 'named', epoch }, signal);
      return body === undefined ? undefined : decodeNamed(body);
    },
  };
}

/** What is in or out of an epoch's evidence, and who witnesses it. */
export function listsOf(scored: Epoch): readonly { readonly kind: EpochKind; readonly epoch: Epoch }[] {
  return [...EVIDENCE_KINDS.map((kind) => ({ kind, epoch: epochOfKind(kind, scored) })), { kind: 'wb', epoch: scored }];
}
