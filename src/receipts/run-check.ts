// The client's look at the receipts of a session with a stateless model (protocol.md 13): one of each hop for each run, signed, in order, and
// what one hop says it gave is what the next says it took, from the tensors sent to the result that came.

import type { ShardIndex } from '../types/ids.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { equalBytes } from '../util/bytes.ts';
import type { Verify } from '../wire/envelope.ts';
import { encodeTensors } from '../wire/named-tensors.ts';
import { decodeReceipt, type Receipt, type Signed } from '../wire/receipt.ts';
import { type CheckedRoute, foreign, type ReceiptFault } from './check.ts';
import type { Listed } from './protocol.ts';
import { linkOf, startsOf } from './run-transcript.ts';

export interface RunCheck {
  /** The tensors of the next run. */
  sent(tensors: readonly NamedTensor[]): void;
  /** The result of the last run that was sent. */
  got(tensors: readonly NamedTensor[]): void;
  /** A receipt of this hop; what is wrong with it, if anything. */
  take(hop: number, bytes: Uint8Array): ReceiptFault | undefined;
  /** Hops that have not given a receipt for each result. */
  owing(): readonly number[];
  /** Runs sent, and results that came. */
  usage(): { readonly positions: number; readonly tokens: number };
  /** All that fit, hop by hop. */
  listed(): readonly Listed[];
}

export function createRunCheck(of: CheckedRoute, verify: Verify): RunCheck {
  const { session, manifest, codec, route } = of;
  const last = route.length - 1;
  const run = route[0] ?? { from: 0 as ShardIndex, to: 0 as ShardIndex };
  const [start, end] = startsOf({ session, manifest, codec, run, next: undefined });
  /** After each run. */
  const sent: Uint8Array[] = [];
  const got: Uint8Array[] = [];
  /** Of each hop, by run. */
  const taken = route.map((): Signed<Receipt>[] => []);

  /** Both hops of a border that tell different stories about it. */
  function brokenBorder(hop: number, { position, ...receipt }: Receipt): readonly number[] | undefined {
    if (hop === 0 && !isSame(receipt.taken, sent[position])) return [0];
    // The result comes before the receipt for it.
    if (hop === last && !isSame(receipt.given, got[position])) return [last];
    const before = taken[hop - 1]?.[position];
    if (before !== undefined && !isSame(receipt.taken, before.value.given)) return [hop - 1, hop];
    const after = taken[hop + 1]?.[position];
    return after !== undefined && !isSame(receipt.given, after.value.taken) ? [hop, hop + 1] : undefined;
  }

  function misfit(receipt: Signed<Receipt>, hop: number): string | undefined {
    const { position, count } = receipt.value;
    const why = foreign(receipt, hop, of, verify);
    if (why !== undefined) return why;
    if (position !== taken[hop]?.length || count !== 1) return 'it does not follow the one before';
    return position < sent.length ? undefined : 'for more runs than were sent';
  }

  return {
    sent(tensors) {
      sent.push(linkOf({ before: sent.at(-1) ?? start, ...encodeTensors(tensors) }));
    },
    got(tensors) {
      got.push(linkOf({ before: got.at(-1) ?? end, ...encodeTensors(tensors) }));
    },
    take(hop, bytes) {
      const parsed = decodeReceipt(bytes);
      if (!parsed.ok) return { hops: [hop], why: parsed.why };
      const why = misfit(parsed.value, hop);
      if (why !== undefined) return { hops: [hop], why };
      const hops = brokenBorder(hop, parsed.value.value);
      if (hops !== undefined) return { hops, why: 'tensors given and tensors taken differ' };
      taken[hop]?.push(parsed.value);
      return undefined;
    },
    owing: () => taken.flatMap((receipts, hop) => (receipts.length < got.length ? [hop] : [])),
    usage: () => ({ positions: sent.length, tokens: got.length }),
    listed: () => taken.flatMap((receipts, hop) => receipts.map(({ bytes }) => ({ hop, receipt: bytes }))),
  };
}

function isSame(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && equalBytes(a, b);
}
