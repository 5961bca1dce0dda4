// The client's look at the receipts of its session (protocol.md 13): each is signed by its hop, they follow each other without a gap, and
// what one hop says it gave is what the next says it took, from the tokens sent to the tokens drawn. Whether the outputs are right is for
// auditors.

import { chainNext, chainStart, drawsNext, drawsStart, SEGMENT_POSITIONS } from '../consensus/receipt.ts';
import type { PeerId, ShardIndex } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { equalBytes } from '../util/bytes.ts';
import type { Verify } from '../wire/envelope.ts';
import type { SessionId } from '../wire/infer.ts';
import { decodeReceipt, type Receipt, type Signed } from '../wire/receipt.ts';
import { idsToBytes, type RowCodec } from '../wire/tensor.ts';
import type { Listed } from './protocol.ts';

export interface CheckedRoute {
  readonly session: SessionId;
  readonly manifest: ManifestHash;
  readonly codec: RowCodec;
  readonly route: readonly { readonly peer: PeerId; readonly from: ShardIndex; readonly to: ShardIndex }[];
}

/** What does not fit, and the places of the route of which one must be at fault. */
export interface ReceiptFault {
  readonly hops: readonly number[];
  readonly why: string;
}

export interface ReceiptCheck {
  /** Tokens sent to hop 0 from `position` on; what was sent from there before is taken back. */
  sent(position: number, ids: readonly number[]): void;
  /** The token that the last hop drew for a position. */
  drew(position: number, id: number): void;
  /** A receipt of this hop; what is wrong with it, if anything. */
  take(hop: number, bytes: Uint8Array): ReceiptFault | undefined;
  /** Hops that have not given receipts for all that was computed when the last token came. */
  owing(): readonly number[];
  /** Rows sent, and tokens drawn. */
  usage(): { readonly positions: number; readonly tokens: number };
  /** All that fit, hop by hop. */
  listed(): readonly Listed[];
}

export function createReceiptCheck({ session, manifest, codec, route }: CheckedRoute, verify: Verify): ReceiptCheck {
  const last = route.length - 1;
  const first = route[0];
  const start = chainStart({ session, manifest, codec, from: first?.from ?? 0, to: first?.to ?? 0 });
  /** After each row sent. */
  const links: Uint8Array[] = [];
  /** Token by position. */
  const drawn = new Map<number, number>();
  /** Of each hop by the position where the segment ends. */
  const taken = route.map(() => new Map<number, Signed<Receipt>>());
  const ends = route.map(() => 0);
  /** Rows that every hop has had when the last token came. */
  let computed = 0;
  /** Chain over the tokens drawn behind the rows of the segments so far. */
  let draws = drawsStart(session);

  function misfit(signed: Signed<Receipt>, hop: number): string | undefined {
    const { value: receipt } = signed;
    const why = foreign(signed, hop, { session, manifest, codec, route }, verify);
    if (why !== undefined) return why;
    const before = ends[hop] ?? 0;
    if (receipt.position !== before || before % SEGMENT_POSITIONS !== 0) return 'it does not follow the one before';
    return before + receipt.count > links.length ? 'for more rows than were sent' : undefined;
  }

  /** After the tokens drawn behind rows [position, position + count). */
  function drawsAfter({ position, count }: Receipt): Uint8Array {
    let chain = draws;
    for (let at = position + 1; at <= position + count; at += 1) {
      const id = drawn.get(at);
      if (id !== undefined) chain = drawsNext(chain, at, id);
    }
    return chain;
  }

  /** Both hops of a border that tell different stories about it. */
  function brokenBorder(hop: number, { value: receipt }: Signed<Receipt>): readonly number[] | undefined {
    const end = receipt.position + receipt.count;
    if (hop === 0 && !equalBytes(receipt.taken, links[end - 1] ?? start)) return [0];
    if (hop === last && !equalBytes(receipt.given, drawsAfter(receipt))) return [last];
    const before = taken[hop - 1]?.get(end);
    if (before !== undefined && !equalBytes(before.value.given, receipt.taken)) return [hop - 1, hop];
    const after = taken[hop + 1]?.get(end);
    return after !== undefined && !equalBytes(receipt.given, after.value.taken) ? [hop, hop + 1] : undefined;
  }

  return {
    sent(position, ids) {
      links.length = Math.min(links.length, position);
      for (const id of ids) links.push(chainNext(links.at(-1) ?? start, idsToBytes([id])));
    },
    drew(position, id) {
      drawn.set(position, id);
      computed = position;
    },
    take(hop, bytes) {
      const parsed = decodeReceipt(bytes);
      if (!parsed.ok) return { hops: [hop], why: parsed.why };
      const why = misfit(parsed.value, hop);
      if (why !== undefined) return { hops: [hop], why };
      const hops = brokenBorder(hop, parsed.value);
      if (hops !== undefined) return { hops, why: 'rows given and rows taken differ' };
      const { value: receipt } = parsed.value;
      const end = receipt.position + receipt.count;
      if (hop === last) draws = drawsAfter(receipt);
      taken[hop]?.set(end, parsed.value);
      ends[hop] = end;
      return undefined;
    },
    owing: () => ends.flatMap((end, hop) => (end < computed ? [hop] : [])),
    usage: () => ({ positions: links.length, tokens: drawn.size }),
    listed: () => taken.flatMap((ofHop, hop) => [...ofHop.values()].map(({ bytes }) => ({ hop, receipt: bytes }))),
  };
}

/** Why a receipt is not one of this hop for this session, if it is not. */
export function foreign(
  { value: receipt, message, signature }: Signed<Receipt>,
  hop: number,
  { session, manifest, codec, route }: CheckedRoute,
  verify: Verify,
): string | undefined {
  const place = route[hop];
  if (place === undefined || !verify(place.peer, message, signature)) return 'badly signed';
  if (receipt.session !== session || receipt.manifest !== manifest || receipt.codec !== codec)
    return 'of another session';
  return receipt.from === place.from && receipt.to === place.to ? undefined : 'of another run';
}
