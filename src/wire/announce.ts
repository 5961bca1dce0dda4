// How hosters' offers travel: gossip topic, the `/tessera/directory/1` answer, and which announce records are worth a signature check
// (protocol.md 4, `an`). Trusts nothing; who signed is checked by whoever knows the nodes.

import type { BlockNumber, SubnetId } from '../types/ids.ts';
import type { Announce, SignedRecord } from '../types/record.ts';
import { equalBytes } from '../util/bytes.ts';
import { type Cbor, encodeCbor } from '../util/cbor.ts';
import { bytes as blob, exactly, list, type Parsed, parsing, readCbor, readMap } from './fields.ts';
import { decodeRecord } from './record.ts';

export const DIRECTORY_PROTOCOL = '/tessera/directory/1';
/** An announce of 256 shards and 8 addresses of 128 characters; records of other kinds are larger and not for this topic. */
export const MAX_ANNOUNCE_BYTES = 2 * 1024;
/** One per seat of a roster (protocol.md 14). */
export const MAX_ANNOUNCES = 256;
/** All of them, with their length prefixes. */
export const MAX_DIRECTORY_BYTES = MAX_ANNOUNCES * (MAX_ANNOUNCE_BYTES + 8);
/** An announce may be that many blocks ahead of the reader's head, which may lag. */
const AHEAD_BLOCKS = 5;

export function announceTopic(subnet: SubnetId): string {
  return `/tessera/announce/1/${subnet}`;
}

export function encodeDirectory(records: readonly Uint8Array[]): Uint8Array {
  return encodeCbor({ v: 1, r: records.slice(0, MAX_ANNOUNCES) as Cbor[] });
}

const DIRECTORY = { v: exactly(1), r: list(blob(0, MAX_ANNOUNCE_BYTES), MAX_ANNOUNCES) };

export function decodeDirectory(bytes: Uint8Array): Parsed<readonly Uint8Array[]> {
  return parsing(() => readMap(readCbor(bytes, MAX_DIRECTORY_BYTES), DIRECTORY).r);
}

export type AnnounceRefusal = 'RECORD_MALFORMED' | 'RECORD_TOO_LARGE' | 'RECORD_OUT_OF_WINDOW';

export type AnnounceResult =
  | { readonly ok: true; readonly record: SignedRecord<Announce> }
  | { readonly ok: false; readonly code: AnnounceRefusal };

/** An announce of this subnet that is fresh at `head`. Its signature is NOT checked yet. */
export function decodeAnnounce(
  bytes: Uint8Array,
  expected: { readonly genesis: Uint8Array; readonly subnet: SubnetId; readonly head: BlockNumber },
): AnnounceResult {
  if (bytes.length > MAX_ANNOUNCE_BYTES) return { ok: false, code: 'RECORD_TOO_LARGE' };
  const decoded = decodeRecord(bytes);
  if (!decoded.ok) return decoded;
  const { record } = decoded;
  if (!isAnnounce(record)) return { ok: false, code: 'RECORD_MALFORMED' };
  const { body } = record;
  if (body.subnet !== expected.subnet || !equalBytes(body.genesis, expected.genesis)) {
    return { ok: false, code: 'RECORD_MALFORMED' };
  }
  const fresh = isFresh(body, expected.head) && body.block <= expected.head + AHEAD_BLOCKS;
  return fresh ? { ok: true, record } : { ok: false, code: 'RECORD_OUT_OF_WINDOW' };
}

/** Whether the offer still stands at `head`. */
export function isFresh(announce: Announce, head: BlockNumber): boolean {
  return announce.expires > head;
}

function isAnnounce(record: SignedRecord): record is SignedRecord<Announce> {
  return record.body.kind === 'an';
}
