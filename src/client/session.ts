// One session over the hops of a route (protocol.md 12): opens each hop with a signed request, sends rows to hop 1, takes tokens from the
// last hop. Trusts no hop: what does not fit is a failure that names the peer. Failures are values; only the caller's signal throws.

import { createReceiptCheck } from '../receipts/check.ts';
import type { RoutedHop } from '../routing/route.ts';
import { createSerial, raceSignal, withDeadline } from '../util/async.ts';
import type { Verify } from '../wire/envelope.ts';
import { type DrawnToken, encodeMessage, type InferMessage, type Sampling, type SessionId } from '../wire/infer.ts';
import { idsToBytes } from '../wire/tensor.ts';
import { hearHops } from './farewell.ts';
import type { SessionTranscript } from './handover.ts';
import {
  failed,
  type Hop,
  type HopFailure,
  type OpenDeps,
  type OpenRequest,
  type Outcome,
  openHops,
  silence,
} from './hops.ts';
import type { Paces } from './paces.ts';
import type { Call } from './pattern.ts';

const US_PER_MS = 1_000;

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
  const lapHops = route.map(({ peer, from, to }) => ({ peer, shards: to - from }));
  const last = route.length - 1;
  /** Draws that were sent and not answered yet, in order. */
  const expected: Expected[] = [];
  const inTurn = createSerial();
  /** Tokens sent, by position. */
  const entered: number[] = [];

  /** Hands a token over; false when it is not the one that was asked for. */
  function take(message: InferMessage, hop: number): boolean {
    if (message.type !== 'TOKENS') return false;
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

  const { broken, close } = hearHops({ session, route, hops, deadlines }, { identity, check, take });

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
    close,
  };
}
