// What must not be forgotten: every payload this node signed for a slot of the protocol, written before it is sent, never replaced.
// Implementations: sqlite.ts and memory.ts (the twin); test/compliance/journal.ts is what both must do (protocol.md 4, 9).

import type { Epoch, NodeId, SubnetId } from '../types/ids.ts';
import { CodedError } from '../util/errors.ts';

/** One thing that may be signed once. `kind` is a record kind (hc, hr, sc, sr, ...), `propose` or `attest`. */
export interface Slot {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly epoch: Epoch;
  readonly kind: string;
}

export type StoreErrorFacts =
  | { readonly code: 'JOURNAL_LOCKED'; readonly file: string; readonly pid: number }
  | { readonly code: 'JOURNAL_FOREIGN'; readonly file: string; readonly expected: string; readonly found: string }
  | {
      readonly code: 'SIGNED_ALREADY';
      readonly subnet: number;
      readonly node: number;
      readonly epoch: number;
      readonly kind: string;
    }
  | {
      readonly code: 'SIGNED_ELSEWHERE' | 'SIGNED_BEFORE';
      readonly subnet: number;
      readonly node: number;
      readonly epoch: number;
      readonly what: string;
    }
  | {
      readonly code: 'SLOT_PAST';
      readonly subnet: number;
      readonly node: number;
      readonly epoch: number;
      readonly floor: number;
    }
  | { readonly code: 'FACT_DIFFERS'; readonly name: string }
  | { readonly code: 'JOURNAL_UNUSABLE'; readonly file: string };

export class StoreError extends CodedError<StoreErrorFacts> {}

/** One row of a journal. */
export interface JournalEntry {
  readonly slot: Slot;
  readonly payload: Uint8Array;
}

export interface Journal {
  /**
   * Writes the payload for a free slot and answers 'written' once it is durable; the same payload again is 'same'.
   * Another payload for a taken slot throws SIGNED_ALREADY; a slot of an epoch that was forgotten throws SLOT_PAST.
   */
  claim(slot: Slot, payload: Uint8Array): 'written' | 'same';
  claimed(slot: Slot): Uint8Array | undefined;
  /** Private facts that a later slot needs (salt and payload of a commitment); written before the commitment is sent, same rule as `claim`. */
  keep(slot: Slot, opening: Uint8Array): 'written' | 'same';
  kept(slot: Slot): Uint8Array | undefined;
  /**
   * Facts of chain state that must outlive pruning (a roster), under `<what>/<subnet>/<epoch>`; may be written again with the same bytes
   * only, else FACT_DIFFERS.
   */
  saveFact(name: string, value: Uint8Array): void;
  fact(name: string): Uint8Array | undefined;
  /** All that was claimed, respectively kept, by subnet, node, epoch and kind ascending. */
  list(what: 'claims' | 'openings'): readonly JournalEntry[];
  /** Drops what is of epochs below `floor` of a subnet. Nothing of those can be signed here any more, not even after a restart; a floor never falls. */
  forget(subnet: SubnetId, floor: Epoch): void;
  /** The first epoch of a subnet that was not forgotten. */
  floor(subnet: SubnetId): Epoch;
  close(): void;
}

interface ArchivedRecord {
  readonly epoch: Epoch;
  readonly kind: string;
  /** The whole id; what is kept is found by its first bytes too. */
  readonly id: Uint8Array;
  readonly bytes: Uint8Array;
}

/** What others may ask for long after an epoch; nothing is decided by it. Implementation: archive.ts. */
export interface Archive {
  /** Once per id; the same again changes nothing. */
  saveRecord(record: ArchivedRecord): void;
  /** All of a kind, in the order of their ids. */
  records(kind: string, epoch: Epoch): readonly Uint8Array[];
  /** @param id whole, or at least the first 16 bytes of it */
  record(id: Uint8Array): Uint8Array | undefined;
  /** Replaces what was noted under the name. */
  saveNote(name: string, epoch: Epoch, bytes: Uint8Array): void;
  note(name: string, epoch: Epoch): Uint8Array | undefined;
  /** Drops epochs below. */
  forget(floor: Epoch): void;
  close(): void;
}
