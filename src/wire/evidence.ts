// What a proposer names on chain (protocol.md 7): args = which nodes' records are in, and the root over their ids.
// Interim form v:0: the named sets are of hc and hr of e, sc and sr of e-1; witnesses replace them with v:1.

import type { Epoch } from '../types/ids.ts';
import type { Roster } from '../types/subnet.ts';
import { decodeBitmap, encodeBitmap } from '../util/bitmap.ts';
import { u8, u32le } from '../util/bytes.ts';
import { encodeCbor } from '../util/cbor.ts';
import { sha256, tag } from '../util/hash.ts';
import { bytes, exactly, type Field, parsing, readCbor, readMap, refuse, U32, uint } from './fields.ts';

/** The kinds that evidence names, in the order of the root: 2 hc, 3 hr, 4 sc(e-1), 5 sr(e-1). */
export const EVIDENCE_KINDS = ['hc', 'hr', 'sc', 'sr'] as const;
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];
const FIRST_KIND_INDEX = 2;
/** 256 seats. */
const MAX_BITMAP_BYTES = 32;
/** Four bitmaps, an epoch and a root: below 200 bytes; the chain allows 4096. */
const MAX_ARGS_BYTES = 512;

/** Per kind the roster(e) indexes that are in, ascending. */
export type Named = { readonly [K in EvidenceKind]: readonly number[] };

export interface EvidenceArgs {
  /** The epoch scored. */
  readonly epoch: Epoch;
  readonly named: Named;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** Per kind, for the roster(e) indexes that are in, the record's full id. */
export type EvidenceIds = { readonly [K in EvidenceKind]: ReadonlyMap<number, Uint8Array> };

export type DecodedArgs =
  | { readonly ok: true; readonly args: EvidenceArgs }
  | { readonly ok: false; readonly code: 'PROPOSAL_UNREADABLE' };

export const NO_IDS: EvidenceIds = { hc: new Map(), hr: new Map(), sc: new Map(), sr: new Map() };

/** The root over every id, kinds in order, seats in roster order (protocol.md 7). */
export function evidenceRoot(roster: Roster, ids: EvidenceIds): Uint8Array {
  const parts: Uint8Array[] = [tag('tessera/evidence/1')];
  EVIDENCE_KINDS.forEach((kind, at) => {
    roster.nodes.forEach((node, index) => {
      const id = ids[kind].get(index);
      if (id !== undefined) parts.push(u8(FIRST_KIND_INDEX + at), u32le(node.id), id);
    });
  });
  return sha256(...parts);
}

/** @param size seats of roster(e) */
export function encodeArgs(args: EvidenceArgs, size: number): Uint8Array {
  const bitmaps = Object.fromEntries(EVIDENCE_KINDS.map((kind) => [kind, encodeBitmap(args.named[kind], size)]));
  return encodeCbor({ v: 0, e: args.epoch, ...bitmaps, r: args.root });
}

/** @param size seats of roster(e) */
export function decodeArgs(input: Uint8Array, size: number): DecodedArgs {
  const read = parsing(() => readArgs(input, size));
  return read.ok ? { ok: true, args: read.value } : { ok: false, code: 'PROPOSAL_UNREADABLE' };
}

function readArgs(input: Uint8Array, size: number): EvidenceArgs {
  const bitmap = bytes(0, MAX_BITMAP_BYTES);
  const shape = {
    v: exactly(0),
    e: uint(U32) as Field<Epoch>,
    hc: bitmap,
    hr: bitmap,
    sc: bitmap,
    sr: bitmap,
    r: bytes(32),
  };
  const map = readMap(readCbor(input, MAX_ARGS_BYTES), shape);
  const seats = (kind: EvidenceKind): readonly number[] => {
    return decodeBitmap(map[kind], size) ?? refuse(`bitmap ${kind} does not fit the roster`);
  };
  return {
    epoch: map.e,
    named: { hc: seats('hc'), hr: seats('hr'), sc: seats('sc'), sr: seats('sr') },
    root: map.r,
  };
}
