// Signs each record of this node once: the journal holds the opening before the commitment, and the record before anybody sees it, so that
// a restart sends the same bytes again and never others (protocol.md 4, 6).

import { randomBytes } from 'node:crypto';
import { decodeOpening, encodeOpening, type Opening, SALT_BYTES } from '../consensus/commitment.ts';
import type { Identity } from '../p2p/types.ts';
import type { Journal, Slot } from '../store/types.ts';
import type { Epoch, NodeId, SubnetId } from '../types/ids.ts';
import type { EpochKind, RecordBody, SignedRecord } from '../types/record.ts';
import { decodeRecord, signRecord } from '../wire/record.ts';

export interface Pen {
  /** The opening kept for a commitment, or a new one around `payload` with a fresh salt, kept before it is returned. */
  opening(kind: 'hc' | 'sc', epoch: Epoch, payload: () => Uint8Array): Opening;
  kept(kind: 'hc' | 'sc', epoch: Epoch): Opening | undefined;
  /** The record signed before for this body's slot, whatever it says, or this one, journaled before it is returned. */
  sign(body: RecordBody & { readonly kind: EpochKind }): SignedRecord;
  signed(kind: EpochKind, epoch: Epoch): SignedRecord | undefined;
}

export function createPen(
  options: { readonly subnet: SubnetId; readonly node: NodeId },
  deps: {
    readonly journal: Journal;
    readonly identity: Identity;
    /** Throws when nothing may be signed for such a slot now. */
    readonly demand: (kind: EpochKind, epoch: Epoch) => void;
  },
): Pen {
  const { journal, identity } = deps;
  const slot = (kind: EpochKind, epoch: Epoch): Slot => ({ ...options, epoch, kind });

  function kept(kind: 'hc' | 'sc', epoch: Epoch): Opening | undefined {
    const saved = journal.kept(slot(kind, epoch));
    return saved === undefined ? undefined : decodeOpening(saved);
  }

  function signed(kind: EpochKind, epoch: Epoch): SignedRecord | undefined {
    const claimed = journal.claimed(slot(kind, epoch));
    const decoded = claimed === undefined ? undefined : decodeRecord(claimed);
    return decoded?.ok ? decoded.record : undefined;
  }

  return {
    opening(kind, epoch, payload) {
      const before = kept(kind, epoch);
      if (before !== undefined) return before;
      const opening = { salt: new Uint8Array(randomBytes(SALT_BYTES)), payload: payload() };
      journal.keep(slot(kind, epoch), encodeOpening(opening));
      return opening;
    },
    kept,
    sign(body) {
      const before = signed(body.kind, body.epoch);
      if (before !== undefined) return before;
      deps.demand(body.kind, body.epoch);
      const record = signRecord(body, identity);
      journal.claim(slot(body.kind, body.epoch), record.bytes);
      return record;
    },
    signed,
  };
}
