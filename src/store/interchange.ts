// A journal as JSON, to move a node to another machine: what it signed (public) and what it holds back until a reveal (secret until then).
// docs/operators.md describes the form. Import adds only: what is there is never replaced, and a slot that differs stays taken.

import { z } from 'zod';
import type { Epoch, Hash, NodeId, SubnetId } from '../types/ids.ts';
import { equalBytes, fromHex, toHex } from '../util/bytes.ts';
import type { Journal, Slot } from './types.ts';

const VERSION = '1';
/** A node signs about ten things an epoch. */
const MAX_ENTRIES = 1_000_000;
const MAX_PAYLOAD_BYTES = 1 << 20;

const id = z.number().int().min(0).max(0xffff_ffff);
const ENTRY = z.strictObject({
  subnet: id,
  node: id,
  epoch: id,
  kind: z.string().min(1).max(16),
  payload: z
    .string()
    .max(2 + 2 * MAX_PAYLOAD_BYTES)
    .regex(/^0x([0-9a-f]{2})*$/),
});

const INTERCHANGE = z.strictObject({
  metadata: z.strictObject({
    interchange_format: z.literal('tessera-journal'),
    interchange_format_version: z.literal(VERSION),
    genesis: z.string().regex(/^0x[0-9a-f]{64}$/),
  }),
  signed: z.array(ENTRY).max(MAX_ENTRIES),
  openings: z.array(ENTRY).max(MAX_ENTRIES),
});

export type Interchange = z.infer<typeof INTERCHANGE>;

export function exportJournal(journal: Pick<Journal, 'list'>, genesis: Hash): Interchange {
  const entries = (what: 'claims' | 'openings') =>
    journal.list(what).map(({ slot, payload }) => ({ ...slot, payload: `0x${toHex(payload)}` }));
  return {
    metadata: { interchange_format: 'tessera-journal', interchange_format_version: VERSION, genesis },
    signed: entries('claims'),
    openings: entries('openings'),
  };
}

export type ParsedInterchange =
  | { readonly ok: true; readonly interchange: Interchange }
  | { readonly ok: false; readonly why: string };

export function parseInterchange(json: unknown): ParsedInterchange {
  const parsed = INTERCHANGE.safeParse(json);
  if (parsed.success) return { ok: true, interchange: parsed.data };
  const [issue] = parsed.error.issues;
  return { ok: false, why: `${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim() };
}

export interface Imported {
  readonly written: number;
  /** There already, with the same bytes. */
  readonly same: number;
  /** There already, with other bytes: the slot stays taken, so nothing can be signed twice. */
  readonly different: number;
  /** Of epochs that the journal has forgotten: nothing of those can be signed there anyway. */
  readonly past: number;
  /** The last epoch in which anything was signed. */
  readonly lastEpoch: number | undefined;
}

export function importJournal(journal: Journal, { signed, openings }: Interchange): Imported {
  const outcomes = [
    ...signed.map((entry) => add(entry, journal, journal.claimed, journal.claim)),
    ...openings.map((entry) => add(entry, journal, journal.kept, journal.keep)),
  ];
  const count = (what: Outcome) => outcomes.filter((outcome) => outcome === what).length;
  const lastEpoch = signed.reduce<number | undefined>((last, { epoch }) => Math.max(last ?? 0, epoch), undefined);
  return {
    written: count('written'),
    same: count('same'),
    different: count('different'),
    past: count('past'),
    lastEpoch,
  };
}

type Outcome = 'written' | 'same' | 'different' | 'past';

function add(
  entry: Interchange['signed'][number],
  { floor }: Pick<Journal, 'floor'>,
  read: (slot: Slot) => Uint8Array | undefined,
  write: (slot: Slot, payload: Uint8Array) => 'written' | 'same',
): Outcome {
  const slot: Slot = {
    subnet: entry.subnet as SubnetId,
    node: entry.node as NodeId,
    epoch: entry.epoch as Epoch,
    kind: entry.kind,
  };
  if (slot.epoch < floor(slot.subnet)) return 'past';
  const payload = fromHex(entry.payload);
  const known = read(slot);
  if (known !== undefined && !equalBytes(known, payload)) return 'different';
  return write(slot, payload);
}
