// One session over the hops of a route (protocol.md 12): opens each hop with a signed request, sends rows to hop 1, takes tokens from the
// last hop. Trusts no hop: what does not fit is a failure that names the peer. Failures are values; only the caller's signal throws.

import { createReceiptCheck } from '../receipts/check.ts';
import type { RoutedHop } from '../routing/route.ts';
import { createSerial, raceSignal, withDeadline } from '../util/async.ts';
import type { Verify } from '../wire/envelope.ts';
import { type DrawnToken, encodeMessage, type InferMessage, type Sampling, type SessionId } from '../wire/infer.ts';
import { signUsage } from '../wire/receipt.ts';
import { idsToBytes } from '../wire/tensor.ts';
import type { SessionTranscript } from './handover.ts';
import {
  blame,
  breakOff,
  failed,
  type Hop,
  type HopFailure,
  listenTo,
  type OpenDeps,
  type OpenRequest,
  type Outcome,
  openHops,
  silence,
  unreceipted,
} from './hops.ts';
import type { Paces } from './paces.ts';
import type { Call } from './pattern.ts';

const US_PER_MS = 1_000;
/** Saying goodbye takes no longer; then the streams are broken off. */
const CLOSE_MS = 1_000;

export interface SessionRequest extends OpenRequest {
  readonly vocab: number;
  readonly sampling: Sampling;
}

export interface SessionDeps extends OpenDeps {
  /** Checks a signature under a peer id (p2p/identity.ts). */
  readonly verify: Verify;
  readonly paces: Pick<Paces, 'answered' | 'lap'>;
}

export interface RemoteSession {
  readonly route: readonly RoutedHop[];
  /** Sends the calls in order, behind those of earlier draws, and answers the token that the last one draws. */
  draw(calls: readonly Call[], signal: AbortSignal): Promise<Outcome<DrawnToken>>;
  /** What the hops have signed for (protocol.md 13), and what entered. */
  transcript(): SessionTranscript;
  /** Ends the session at every hop: politely, which tells what is wrong with the last receipts, or at once. */
  close(how: 'done' | 'broken'): Promise<readonly HopFailure[]>;
}

/** The token that was asked for. */
interface Expected {
  readonly position: number;
  readonly resolve: (token: DrawnToken) => void;
  /** When its one row was sent; undefined for more rows or behind others, which say nothing of a lap. */
  readonly lapFrom: number | undefined;
}

/** Opens all hops side by side; when one fails all are given up and every failure is named. */
export async function openSession(
  request: SessionRequest,
  deps: SessionDeps,
  signal: AbortSignal,
): Promise<Outcome<RemoteSession>> {
  const opened = await openHops(request, deps, signal);
  if (!opened.ok) return opened;
  const { session, hops } = opened.value;
  return { ok: true, value: runSession(session, hops, request, deps) };
}

function runSession(
  session: SessionId,
  hops: readonly Hop[],
  request: SessionRequest,
  { identity, verify, paces, now }: SessionDeps,
): RemoteSession {
  const { route, deadlines, manifest, codec } = request;
  const check = createReceiptCheck({ session, manifest, codec, route }, verify);
  /** Known only after the goodbye. */
  const badReceipts: HopFailure[] = [];
  const lapHops = route.map(({ peer, from, to }) => ({ peer, shards: to - from }));
  const last = route.length - 1;
  /** Draws that were sent and not answered yet, in order. */
  const expected: Expected[] = [];
  const inTurn = createSerial();
  /** Tokens sent, by position. */
  const entered: number[] = [];

  /** Hands a token over; false when it is not the one that was asked for. */
  function take(message: InferMessage & { type: 'TOKENS' }, hop: number): boolean {
    const [token] = message.tokens;
    const fits = hop === last && message.session === session && message.tokens.length === 1;
    if (message.spentUs.length !== route.length) return false;
    const [asked] = expected;
    if (!fits || token === undefined || message.position !== asked?.position) return false;
    const told = [token, ...(token.alternatives ?? [])];
    if (told.length > 1 + (request.sampling.alternatives ?? 0) || told.some(({ id }) => id >= request.vocab))
      return false;
    expected.shift();
    check.drew(message.position, token.id);
    if (asked.lapFrom !== undefined) paces.lap(lapHops, (now() - asked.lapFrom) * US_PER_MS, message.spentUs);
    asked.resolve(token);
    return true;
  }

  function failureIn(message: InferMessage | 'malformed', hop: number): Outcome<never> | undefined {
    if (message !== 'malformed' && message.type === 'ERROR') return blame(route, hop, message);
    if (message !== 'malformed' && message.type === 'RECEIPT') return misfit(message.receipt, hop);
    const fits = message !== 'malformed' && message.type === 'TOKENS' && take(message, hop);
    return fits ? undefined : failed(route, hop, 'BAD_FRAME');
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
      const deadline = AbortSignal.timeout(CLOSE_MS);
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

  async function send(calls: readonly Call[], signal: AbortSignal): Promise<void> {
    for (const { position, ids, draw } of calls) {
      check.sent(position, ids);
      entered.length = Math.min(entered.length, position);
      entered.push(...ids);
      const step = {
        type: 'STEP',
        session,
        hop: 0,
        position,
        count: ids.length,
        codec: 'ids',
        draw,
        spentUs: [],
      } as const;
      await hops[0]?.stream.send(encodeMessage({ ...step, tensor: idsToBytes(ids) }), signal);
    }
  }

  return {
    route,
    async draw(calls, signal) {
      const call = calls.at(-1);
      if (call === undefined) throw new RangeError('nothing to send');
      const token = Promise.withResolvers<DrawnToken>();
      const isLap = calls.length === 1 && call.ids.length === 1 && expected.length === 0;
      const lapFrom = isLap ? now() : undefined;
      expected.push({ position: call.position + call.ids.length, resolve: token.resolve, lapFrom });
      const deadline = withDeadline(signal, deadlines.stepMs + deadlines.callMs * calls.length);
      const sent = inTurn(() => send(calls, deadline)).then(() => token.promise);
      const drawn = sent.then((value) => ({ ok: true, value }) as const);
      try {
        return await raceSignal(Promise.race([drawn, broken]), deadline);
      } catch {
        signal.throwIfAborted();
        return deadline.aborted ? { ok: false, failures: silence(route) } : failed(route, 0, 'RESET');
      }
    },
    transcript() {
      const request = hops[0]?.request;
      const first = request === undefined ? {} : { first: { request, rows: idsToBytes(entered) } };
      return { route, receipts: check.listed(), ...first };
    },
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
