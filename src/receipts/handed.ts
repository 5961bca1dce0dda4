// What clients hand to an auditor (protocol.md 13): receipts that hops signed for their sessions, so that a hop cannot keep quiet about some
// of them, and of who chose so the tokens that entered, so that the first hop is judged whatever it keeps. `/tessera/handed/1`, one frame in, one
// out. A receipt proves itself by its hop's signature; all else is the client's word, and accuses nobody.

import type { Overlay } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { peerToBytes } from '../types/peer-id.ts';
import { toHex } from '../util/bytes.ts';
import { encodeCbor } from '../util/cbor.ts';
import type { Log } from '../util/log.ts';
import type { Verify } from '../wire/envelope.ts';
import { bytes, exactly, list, type Parsed, parsing, peerId, readCbor, readMap, tuple, uint } from '../wire/fields.ts';
import { MAX_RECEIPT_BYTES, MAX_ROUTE_HOPS, type SessionId } from '../wire/infer.ts';
import { decodeReceipt, receiptHash } from '../wire/receipt.ts';
import { lotOf } from './lot.ts';
import type { Listed } from './protocol.ts';

export const HANDED_PROTOCOL = '/tessera/handed/1';
/** Receipts of one handing; of a longer session the first ones. */
export const MAX_HANDED = 64;
/** Tokens of one session that are handed over at most, four bytes each. */
export const MAX_HANDED_ROWS_BYTES = 64 * 1024;
const MAX_REQUEST_BYTES = 32 * 1024;
/** Of question and answer. */
export const MAX_HANDING_BYTES = MAX_HANDED * (MAX_RECEIPT_BYTES + 64) + MAX_HANDED_ROWS_BYTES + MAX_REQUEST_BYTES;
const MAX_ANSWER_BYTES = 64;
const MAX_STREAMS = 2;
/** Of one hoster, those with the smallest lots: whoever hands over many changes nothing of which are looked at. */
const KEPT_PER_HOSTER = 32;
/** Between two audits: a signature takes half a millisecond to check. */
const HANDINGS_PER_CLIENT = 64;
const HANDINGS = 1_024;
/** Of all sessions between two audits. */
const ROWS_BYTES = 8 << 20;
/** Audits through which a receipt is kept: that of its own epoch and the next. */
const KEPT_ROUNDS = 2;

/** What entered the first hop. */
export interface HandedRows {
  /** The client's signed request to that hop. */
  readonly request: Uint8Array;
  /** Token ids from position 0 on, u32le. */
  readonly rows: Uint8Array;
}

export interface Handing {
  readonly receipts: readonly (Listed & { readonly peer: PeerId })[];
  readonly first?: HandedRows;
}

export function encodeHanding({ receipts, first }: Handing): Uint8Array {
  const l = receipts.slice(0, MAX_HANDED).map(({ peer, hop, receipt }) => [peerToBytes(peer), hop, receipt]);
  return encodeCbor({ v: 1, l, ...(first === undefined ? {} : { o: first.request, x: first.rows }) });
}

const RECEIPTS = list(tuple(peerId, uint(MAX_ROUTE_HOPS - 1), bytes(1, MAX_RECEIPT_BYTES)), MAX_HANDED, 1);

export function decodeHanding(body: Uint8Array): Parsed<Handing> {
  return parsing(() => {
    const value = readCbor(body, MAX_HANDING_BYTES);
    const hasRows = typeof value === 'object' && 'x' in value;
    const rows = { o: bytes(1, MAX_REQUEST_BYTES), x: bytes(4, MAX_HANDED_ROWS_BYTES) };
    const map = readMap(value, { v: exactly(1), l: RECEIPTS, ...(hasRows ? rows : {}) });
    const receipts = map.l.map(([peer, hop, receipt]) => ({ peer, hop, receipt: receipt.slice() }));
    if (map.o === undefined || map.x === undefined) return { receipts };
    return { receipts, first: { request: map.o.slice(), rows: map.x.slice() } };
  });
}

function encodeTaken(count: number): Uint8Array {
  return encodeCbor({ v: 1, n: count });
}

/** How many were new and are kept. */
export function decodeTaken(body: Uint8Array): Parsed<number> {
  return parsing(() => readMap(readCbor(body, MAX_ANSWER_BYTES), { v: exactly(1), n: uint(MAX_HANDED) }).n);
}

export interface Handed {
  /** Keeps what is signed by hosters of this subnet; how many those are. */
  take(from: PeerId, handing: Handing): number;
  /** Receipts of a hoster. */
  of(hoster: PeerId): readonly Listed[];
  /** What entered a session of this hoster, as its client says. */
  rowsOf(hoster: PeerId, session: SessionId): HandedRows | undefined;
  /** An audit is over: what has been there for two is forgotten. */
  turn(): void;
}

export interface HandedOptions {
  readonly manifest: ManifestHash;
  /** The auditor's. */
  readonly secret: Uint8Array;
}

export interface HandedDeps {
  /** Whether the peer is a node's of this subnet. */
  readonly isMember: (peer: PeerId) => boolean;
  readonly verify: Verify;
}

interface Entry extends Listed {
  readonly hash: string;
  readonly lot: bigint;
  readonly round: number;
}

export function createHanded({ manifest, secret }: HandedOptions, { isMember, verify }: HandedDeps): Handed {
  /** Ascending by lot. */
  const entries = new Map<PeerId, readonly Entry[]>();
  const rows = new Map<string, HandedRows & { readonly round: number }>();
  let handings = new Map<PeerId, number>();
  let count = 0;
  let rowsBytes = 0;
  let round = 0;

  function mayHand(from: PeerId): boolean {
    const own = handings.get(from) ?? 0;
    if (own >= HANDINGS_PER_CLIENT || count >= HANDINGS) return false;
    handings.set(from, own + 1);
    count += 1;
    return true;
  }

  /** The session that it speaks of, when it is kept. */
  function keep({ peer, hop, receipt }: Handing['receipts'][number]): SessionId | undefined {
    const parsed = decodeReceipt(receipt);
    if (!parsed.ok || !isMember(peer) || parsed.value.value.manifest !== manifest) return undefined;
    const before = entries.get(peer) ?? [];
    const bytesHash = receiptHash(receipt);
    const entry: Entry = { hop, receipt, hash: toHex(bytesHash), lot: lotOf(secret, bytesHash), round };
    const last = before.at(-1);
    const isFull = before.length >= KEPT_PER_HOSTER && last !== undefined && entry.lot >= last.lot;
    if (isFull || before.some(({ hash }) => hash === entry.hash)) return undefined;
    if (!verify(peer, parsed.value.message, parsed.value.signature)) return undefined;
    entries.set(peer, [...before, entry].sort((a, b) => (a.lot < b.lot ? -1 : 1)).slice(0, KEPT_PER_HOSTER));
    return parsed.value.value.session;
  }

  return {
    take(from, { receipts, first }) {
      if (!mayHand(from)) return 0;
      const kept = receipts
        .map((one) => ({ ...one, session: keep(one) }))
        .filter(({ session }) => session !== undefined);
      const entering = kept.find(({ hop }) => hop === 0);
      if (entering?.session !== undefined && first !== undefined && rowsBytes + first.rows.length <= ROWS_BYTES) {
        rowsBytes += first.rows.length;
        rows.set(nameOf(entering.peer, entering.session), { ...first, round });
      }
      return kept.length;
    },
    of: (hoster) => entries.get(hoster) ?? [],
    rowsOf: (hoster, session) => rows.get(nameOf(hoster, session)),
    turn() {
      round += 1;
      const isOld = (one: { readonly round: number }): boolean => round - one.round >= KEPT_ROUNDS;
      for (const [peer, all] of entries) {
        const young = all.filter((one) => !isOld(one));
        if (young.length === 0) entries.delete(peer);
        else entries.set(peer, young);
      }
      for (const [name, one] of rows) if (isOld(one)) rows.delete(name);
      rowsBytes = [...rows.values()].reduce((sum, one) => sum + one.rows.length, 0);
      handings = new Map();
      count = 0;
    },
  };
}

function nameOf(hoster: PeerId, session: SessionId): string {
  return `${hoster}/${session}`;
}

/** Takes what clients hand over, from now on; only from those that the access policy lets ask for inference. */
export async function serveHanded(
  handed: Pick<Handed, 'take'>,
  {
    overlay,
    mayAsk,
    log,
  }: {
    readonly overlay: Pick<Overlay, 'handleRequest'>;
    readonly mayAsk: (peer: PeerId) => boolean;
    readonly log: Log;
  },
): Promise<void> {
  const options = { maxFrameBytes: MAX_HANDING_BYTES, admit: mayAsk, maxStreamsPerPeer: MAX_STREAMS };
  await overlay.handleRequest(HANDED_PROTOCOL, options, async (body, from) => {
    const handing = decodeHanding(body);
    if (!handing.ok) throw new Error(`nothing that can be handed over, from ${from}: ${handing.why}`);
    const taken = handed.take(from, handing.value);
    log.debug('receipts were handed over', { from, taken, of: handing.value.receipts.length });
    return encodeTaken(taken);
  });
}
