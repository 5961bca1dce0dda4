// What both kinds of session share between opening and end: hears all hops, holds their receipts against what the client saw itself, and says
// goodbye with what it acknowledges (protocol.md 12, 13). Trusts no hop.

import type { Identity } from '../p2p/types.ts';
import type { createReceiptCheck } from '../receipts/check.ts';
import type { RoutedHop } from '../routing/route.ts';
import { raceSignal } from '../util/async.ts';
import { encodeMessage, type InferMessage, type SessionId } from '../wire/infer.ts';
import { signUsage } from '../wire/receipt.ts';
import {
  blame,
  breakOff,
  failed,
  type Hop,
  type HopFailure,
  listenTo,
  type Outcome,
  type SessionDeadlines,
  unreceipted,
} from './hops.ts';

export interface SessionHops {
  readonly session: SessionId;
  readonly route: readonly RoutedHop[];
  readonly hops: readonly Hop[];
  readonly deadlines: Pick<SessionDeadlines, 'closeMs'>;
}

export interface HeardDeps {
  readonly identity: Identity;
  readonly check: Pick<ReturnType<typeof createReceiptCheck>, 'take' | 'owing' | 'usage'>;
  /** Hands an answer over; false when it is not what was asked for. */
  readonly take: (message: InferMessage, hop: number) => boolean;
}

export interface Heard {
  /** The first failure, or the end of a stream. */
  readonly broken: Promise<Outcome<never>>;
  /** Ends the session at every hop: politely, which tells what is wrong with the last receipts, or at once. */
  close(how: 'done' | 'broken'): Promise<readonly HopFailure[]>;
}

/** Nobody waits longer for the last receipts. */
const CLOSE_MS = 1_000;

export function hearHops(
  { session, route, hops, deadlines }: SessionHops,
  { identity, check, take }: HeardDeps,
): Heard {
  /** Known only after the goodbye. */
  const badReceipts: HopFailure[] = [];

  function failureIn(message: InferMessage | 'malformed', hop: number): Outcome<never> | undefined {
    if (message !== 'malformed' && message.type === 'ERROR') return blame(route, hop, message);
    if (message !== 'malformed' && message.type === 'RECEIPT') return misfit(message.receipt, hop);
    return message !== 'malformed' && take(message, hop) ? undefined : failed(route, hop, 'BAD_FRAME');
  }

  function misfit(receipt: Uint8Array, hop: number): Outcome<never> | undefined {
    const fault = check.take(hop, receipt);
    if (fault === undefined) return undefined;
    const failures = fault.hops.map((place) => unreceipted(route, place, fault.hops.length > 1));
    badReceipts.push(...failures);
    return { ok: false, failures };
  }

  const { broken, ended } = listenTo(hops, route, failureIn);

  /** Says goodbye with what is acknowledged, and hears the last receipts. */
  async function leave({ stream }: Hop, hop: number): Promise<readonly HopFailure[]> {
    try {
      const deadline = AbortSignal.timeout(deadlines.closeMs ?? CLOSE_MS);
      const { bytes: usage } = signUsage({ session, hop, peer: stream.peer, ...check.usage() }, identity);
      await stream.send(encodeMessage({ type: 'CLOSE', session, usage }), deadline);
      await raceSignal(Promise.all([ended[hop], stream.close()]), deadline);
      return check.owing().includes(hop) ? [unreceipted(route, hop, false)] : [];
    } catch {
      // Slow is no offence.
      await breakOff(stream);
      return [];
    }
  }

  return {
    broken,
    async close(how) {
      if (how === 'broken') {
        await Promise.all(hops.map(({ stream }) => breakOff(stream)));
        return [];
      }
      const owed = await Promise.all(hops.map(leave));
      return [...badReceipts, ...owed.flat()];
    },
  };
}
