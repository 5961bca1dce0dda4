// What a proposer names on chain (protocol.md 7): the members of both sets of witnesses, who is proven to have signed twice, and the root
// over the id of every record that follows from them. Which records those are is counted (consensus/witness.ts), not said.

import type { Epoch } from '../types/ids.ts';
import type { Roster } from '../types/subnet.ts';
import { decodeBitmap, encodeBitmap } from '../util/bitmap.ts';
import { u8, u32le } from '../util/bytes.ts';
import { encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import { bytes, exactly, type Field, parsing, readCbor, readMap, refuse, U32, uint } from './fields.ts';

/** The kinds of records that are in or out. */
export const EVIDENCE_KINDS = ['hc', 'hr', 'sc', 'sr', 'wa', 'wb', 'au'] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];
/** What an id stands for in the root, in its order: members of WA and WB, what is in, the smaller and the larger id of a proof. */
export const PLACES = ['a', 'b', 'hc', 'hr', 'sc', 'sr', 'wa', 'wb', 'low', 'high', 'au'] as const;
export type Place = (typeof PLACES)[number];

/** 256 seats. */
const MAX_BITMAP_BYTES = 32;
/** Three bitmaps, an epoch and a root: below 200 bytes; the chain allows 4096. */
const MAX_ARGS_BYTES = 512;

export interface EvidenceArgs {
  /** The epoch scored. */
  readonly epoch: Epoch;
  /** Seats of roster(e), ascending, whose `wa` is in WA, whose `wb` is in WB, and who is proven to have signed twice. */
  readonly first: readonly number[];
  readonly second: readonly number[];
  readonly equivocators: readonly number[];
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** Per place, by seat of roster(e), the record's full id. */
export type EvidenceIds = { readonly [P in Place]: ReadonlyMap<number, Uint8Array> };

export type DecodedArgs =
  | { readonly ok: true; readonly args: EvidenceArgs }
  | { readonly ok: false; readonly code: 'PROPOSAL_UNREADABLE' };

export const NO_IDS: EvidenceIds = byPlace(() => new Map());

export function byPlace<T>(of: (place: Place) => T): { readonly [P in Place]: T } {
  return Object.fromEntries(PLACES.map((place) => [place, of(place)])) as { readonly [P in Place]: T };
}

/** The root over every id, places in order, seats in roster order (protocol.md 7). */
export function evidenceRoot(roster: Roster, ids: EvidenceIds): Uint8Array {
  const parts: Uint8Array[] = [tag('tessera/evidence/1')];
  for (const [c, place] of PLACES.entries()) {
    for (const [seat, node] of roster.nodes.entries()) {
      const id = ids[place].get(seat);
      if (id !== undefined) parts.push(u8(c), u32le(node.id), id);
    }
  }
  return sha256(...parts);
}

/** @param size seats of roster(e) */
export function encodeArgs(args: EvidenceArgs, size: number): Uint8Array {
  return encodeCbor({
    v: 1,
    e: args.epoch,
    a: encodeBitmap(args.first, size),
    b: encodeBitmap(args.second, size),
    q: encodeBitmap(args.equivocators, size),
    r: args.root,
  });
}

/** @param size seats of roster(e) */
export function decodeArgs(input: Uint8Array, size: number): DecodedArgs {
  const read = parsing(() => readArgs(input, size));
  return read.ok ? { ok: true, args: read.value } : { ok: false, code: 'PROPOSAL_UNREADABLE' };
}

function readArgs(input: Uint8Array, size: number): EvidenceArgs {
  const seats: Field<readonly number[]> = (value) =>
    decodeBitmap(bytes(0, MAX_BITMAP_BYTES)(value), size) ?? refuse('a bitmap that is not over the roster');
  const map = readMap(readCbor(input, MAX_ARGS_BYTES), {
    v: exactly(1),
    e: uint(U32) as Field<Epoch>,
    a: seats,
    b: seats,
    q: seats,
    r: bytes(32),
  });
  return { epoch: map.e, first: map.a, second: map.b, equivocators: map.q, root: map.r };
}
