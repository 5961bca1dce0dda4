// One session over the hops of a route (protocol.md 12): opens each hop with a signed request, sends rows to hop 1, takes tokens from the
// last hop. Trusts no hop: what does not fit is a failure that names the peer. Failures are values; only the caller's signal throws.

import { randomBytes } from 'node:crypto';
import type { FrameStream, Identity, Overlay } from '../p2p/types.ts';
import { createReceiptCheck } from '../receipts/check.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { BlockNumber, PeerId } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { createSerial, raceSignal, withDeadline } from '../util/async.ts';
import { toHex } from '../util/bytes.ts';
import { signRequest, type Verify } from '../wire/envelope.ts';
import { MAX_FRAME_BYTES } from '../wire/frame.ts';
import {
  type DrawnToken,
  decodeMessages,
  encodeMessage,
  encodeOpen,
  INFER_PROTOCOL,
  type InferCode,
  type InferMessage,
  OPEN_METHOD,
  type OpenBody,
  type Sampling,
  type SessionId,
  type SessionSalt,
  sessionIdOf,
} from '../wire/infer.ts';
import { signUsage } from '../wire/receipt.ts';
import { idsToBytes, type RowCodec } from '../wire/tensor.ts';
import type { Paces } from './paces.ts';
import type { Call } from './pattern.ts';

/** Why a hop is not used any more. 'suspected': it may be the one, nobody can tell. */
export interface HopFailure {
  readonly peer: PeerId;
  readonly hop: number;
  readonly reason: InferCode | 'UNREACHABLE' | 'RESET' | 'DEADLINE' | 'BAD_RECEIPT';
  readonly suspected: boolean;
  /** Not at fault, only full: after so many milliseconds it may have room. */
  readonly retryAfterMs?: number;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failures: readonly HopFailure[] };

export interface SessionDeadlines {
  /** From dialling a hop to its ACCEPT. */
  readonly openMs: number;
  /** From sending the last row to its token, whatever the load. */
  readonly stepMs: number;
  /** Added for each call that is sent at once: a replay has many. */
  readonly callMs: number;
}

/** A stopped peer is noticed by the transport after 2-4 s (network.md 4); these are for hops that live and do not answer. */
export const SESSION_DEADLINES: SessionDeadlines = { openMs: 10_000, stepMs: 30_000, callMs: 500 };
const US_PER_MS = 1_000;
/** Saying goodbye takes no longer; then the streams are broken off. */
const CLOSE_MS = 1_000;

export interface SessionRequest {
  readonly route: readonly RoutedHop[];
  readonly manifest: ManifestHash;
  readonly vocab: number;
  readonly codec: RowCodec;
  /** Positions to reserve at every hop. */
  readonly positions: number;
  readonly sampling: Sampling;
  /** Best head, which dates the signed requests. */
  readonly head: BlockNumber;
  readonly deadlines: SessionDeadlines;
}

export interface SessionDeps {
  readonly overlay: Overlay;
  readonly identity: Identity;
  /** Checks a signature under a peer id (p2p/identity.ts). */
  readonly verify: Verify;
  readonly paces: Pick<Paces, 'answered' | 'lap'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface RemoteSession {
  readonly route: readonly RoutedHop[];
  /** Sends the calls in order, behind those of earlier draws, and answers the token that the last one draws. */
  draw(calls: readonly Call[], signal: AbortSignal): Promise<Outcome<DrawnToken>>;
  /** Signed by the hops for what they served (protocol.md 13), as they travel. */
  receipts(): readonly Uint8Array[];
  /** Ends the session at every hop: politely, which tells what is wrong with the last receipts, or at once. */
  close(how: 'done' | 'broken'): Promise<readonly HopFailure[]>;
}

interface Hop {
  readonly stream: FrameStream;
  readonly inbox: AsyncIterator<InferMessage | 'malformed'>;
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
  const salt = toHex(new Uint8Array(randomBytes(16))) as SessionSalt;
  const session = sessionIdOf(deps.identity.peer, salt);
  const opened = await Promise.all(
    request.route.map((_, hop) => openHop({ salt, session }, hop, request, deps, signal)),
  );
  const failures = opened.flatMap((outcome) => (outcome.ok ? [] : outcome.failures));
  const hops = opened.flatMap((outcome) => (outcome.ok ? [outcome.value] : []));
  if (failures.length === 0 && !signal.aborted) return { ok: true, value: runSession(session, hops, request, deps) };
  for (const hop of hops) hop.stream.abort(new Error('another hop failed'));
  signal.throwIfAborted();
  return { ok: false, failures };
}

async function openHop(
  { salt, session }: { readonly salt: SessionSalt; readonly session: SessionId },
  hop: number,
  request: SessionRequest,
  deps: SessionDeps,
  signal: AbortSignal,
): Promise<Outcome<Hop>> {
  const { peer } = hopAt(request.route, hop);
  const deadline = withDeadline(signal, request.deadlines.openMs);
  const open = signOpen(openBody(salt, hop, request), peer, request.head, deps);
  let stream: FrameStream;
  try {
    stream = await deps.overlay.openStream(peer, INFER_PROTOCOL, { maxFrameBytes: MAX_FRAME_BYTES, signal: deadline });
  } catch {
    return failed(request.route, hop, 'UNREACHABLE');
  }
  const inbox = decodeMessages(stream.frames());
  const askedAt = deps.now();
  const answer = await ask(stream, inbox, open, deadline);
  if (answer !== undefined) deps.paces.answered(peer, (deps.now() - askedAt) * US_PER_MS);
  if (answer !== undefined && isAccept(answer, session, request.positions))
    return { ok: true, value: { stream, inbox } };
  stream.abort(new Error('the hop was not opened'));
  return notOpened(request.route, hop, answer);
}

function openBody(salt: SessionSalt, hop: number, request: SessionRequest): OpenBody {
  const { manifest, codec, route, positions, sampling } = request;
  const isLast = hop === route.length - 1;
  return { salt, manifest, codec, maxTokens: positions, route, hop, ...(isLast ? { sampling } : {}) };
}

function signOpen(body: OpenBody, to: PeerId, issuedAt: BlockNumber, { identity }: SessionDeps): Uint8Array {
  const facts = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, from: identity.peer, to, issuedAt };
  return signRequest({ ...facts, body: encodeOpen(body) }, identity.sign);
}

/** The first answer of a hop; undefined when the stream broke or time was up. */
async function ask(
  stream: FrameStream,
  inbox: AsyncIterator<InferMessage | 'malformed'>,
  request: Uint8Array,
  deadline: AbortSignal,
): Promise<InferMessage | 'malformed' | undefined> {
  try {
    await stream.send(encodeMessage({ type: 'OPEN', request }), deadline);
    const { value, done } = await raceSignal(inbox.next(), deadline);
    return done === true ? undefined : value;
  } catch {
    return undefined;
  }
}

function isAccept(answer: InferMessage | 'malformed', session: SessionId, positions: number): boolean {
  if (answer === 'malformed' || answer.type !== 'ACCEPT') return false;
  return answer.session === session && answer.tokensGranted >= positions;
}

function notOpened(
  route: readonly RoutedHop[],
  hop: number,
  answer: InferMessage | 'malformed' | undefined,
): Outcome<never> {
  if (answer === undefined) return failed(route, hop, 'RESET');
  if (answer === 'malformed') return failed(route, hop, 'BAD_FRAME');
  if (answer.type === 'ERROR') return failed(route, hop, answer.code);
  if (answer.type !== 'REFUSE') return failed(route, hop, 'BAD_FRAME');
  const { code, retryAfterMs } = answer;
  if (retryAfterMs === 0) return failed(route, hop, code);
  const { peer } = hopAt(route, hop);
  return { ok: false, failures: [{ peer, hop, reason: code, suspected: false, retryAfterMs }] };
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
  const broken = Promise.withResolvers<Outcome<never>>();
  /** Draws that were sent and not answered yet, in order. */
  const expected: Expected[] = [];
  const inTurn = createSerial();

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
    const failures = fault.hops.map((place) => unreceipted(place, fault.hops.length > 1));
    badReceipts.push(...failures);
    return { ok: false, failures };
  }

  function unreceipted(hop: number, suspected: boolean): HopFailure {
    return { peer: hopAt(route, hop).peer, hop, reason: 'BAD_RECEIPT', suspected };
  }

  async function listen({ inbox }: Hop, hop: number): Promise<void> {
    try {
      for (let next = await inbox.next(); next.done !== true; next = await inbox.next()) {
        const failure = failureIn(next.value, hop);
        if (failure !== undefined) broken.resolve(failure);
      }
    } finally {
      broken.resolve(failed(route, hop, 'RESET'));
    }
  }

  // A failure is in `broken`.
  const listening = hops.map((hop, i) => listen(hop, i).catch(() => undefined));

  /** Says goodbye with what is acknowledged, and hears the last receipts. */
  async function leave({ stream }: Hop, hop: number): Promise<readonly HopFailure[]> {
    try {
      const deadline = AbortSignal.timeout(CLOSE_MS);
      const { bytes: usage } = signUsage({ session, hop, peer: stream.peer, ...check.usage() }, identity);
      await stream.send(encodeMessage({ type: 'CLOSE', session, usage }), deadline);
      await raceSignal(Promise.all([listening[hop], stream.close()]), deadline);
      return check.owing().includes(hop) ? [unreceipted(hop, false)] : [];
    } catch {
      // Slow is no offence.
      await breakOff(stream);
      return [];
    }
  }

  async function send(calls: readonly Call[], signal: AbortSignal): Promise<void> {
    for (const { position, ids, draw } of calls) {
      check.sent(position, ids);
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
        return await raceSignal(Promise.race([drawn, broken.promise]), deadline);
      } catch {
        signal.throwIfAborted();
        return deadline.aborted ? { ok: false, failures: silence(route) } : failed(route, 0, 'RESET');
      }
    },
    receipts: check.receipts,
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

/** The peer that a hop accuses when it is a neighbour, else the hop itself; an accuser is suspected, for it may lie. */
function blame(route: readonly RoutedHop[], hop: number, error: InferMessage & { type: 'ERROR' }): Outcome<never> {
  const accused = error.hop;
  if (accused === hop || accused >= route.length || Math.abs(accused - hop) > 1) return failed(route, hop, error.code);
  const accuser = { peer: hopAt(route, hop).peer, hop, reason: error.code, suspected: true };
  const peer = hopAt(route, accused).peer;
  return { ok: false, failures: [{ peer, hop: accused, reason: error.code, suspected: false }, accuser] };
}

function failed(route: readonly RoutedHop[], hop: number, reason: HopFailure['reason']): Outcome<never> {
  return { ok: false, failures: [{ peer: hopAt(route, hop).peer, hop, reason, suspected: false }] };
}

function silence(route: readonly RoutedHop[]): readonly HopFailure[] {
  return route.map(({ peer }, hop) => ({ peer, hop, reason: 'DEADLINE', suspected: true }));
}

function hopAt(route: readonly RoutedHop[], hop: number): RoutedHop {
  const found = route[hop];
  if (found === undefined) throw new RangeError(`no hop ${hop} in a route of ${route.length}`);
  return found;
}

async function breakOff(stream: FrameStream): Promise<void> {
  stream.abort(new Error('the session has ended'));
}
