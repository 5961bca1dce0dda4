// The hops of a route, opened side by side with a signed request each (protocol.md 12), and what is said of one that fails. Trusts no hop: failures are
// values; only the caller's signal throws.

import { randomBytes } from 'node:crypto';
import type { FrameStream, Identity, Overlay } from '../p2p/types.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { BlockNumber, PeerId } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import { toHex } from '../util/bytes.ts';
import { signRequest } from '../wire/envelope.ts';
import { MAX_FRAME_BYTES } from '../wire/frame.ts';
import {
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
import type { RowCodec } from '../wire/tensor.ts';
import type { Paces } from './paces.ts';

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
  /** From CLOSE to the last receipts; then the streams are broken off. A second unless told otherwise. */
  readonly closeMs?: number;
}

/** A stopped peer is noticed by the transport after 2-4 s (network.md 4); these are for hops that live and do not answer. */
export const SESSION_DEADLINES: SessionDeadlines = { openMs: 10_000, stepMs: 30_000, callMs: 500 };
const US_PER_MS = 1_000;

export interface OpenRequest {
  readonly route: readonly RoutedHop[];
  readonly manifest: ManifestHash;
  readonly codec: RowCodec;
  /** Positions to reserve at every hop. */
  readonly positions: number;
  /** Of models that write text. */
  readonly sampling?: Sampling;
  /** Best head, which dates the signed requests. */
  readonly head: BlockNumber;
  readonly deadlines: SessionDeadlines;
}

export interface OpenDeps {
  readonly overlay: Overlay;
  readonly identity: Identity;
  readonly paces: Pick<Paces, 'answered'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface Hop {
  readonly stream: FrameStream;
  readonly inbox: AsyncIterator<InferMessage | 'malformed'>;
  /** As this client signed it. */
  readonly request: Uint8Array;
}

export interface OpenedHops {
  readonly session: SessionId;
  readonly hops: readonly Hop[];
}

/** Opens all hops side by side; when one fails all are given up and every failure is named. */
export async function openHops(
  request: OpenRequest,
  deps: OpenDeps,
  signal: AbortSignal,
): Promise<Outcome<OpenedHops>> {
  const salt = toHex(new Uint8Array(randomBytes(16))) as SessionSalt;
  const session = sessionIdOf(deps.identity.peer, salt);
  const opened = await Promise.all(
    request.route.map((_, hop) => openHop({ salt, session }, hop, request, deps, signal)),
  );
  const failures = opened.flatMap((outcome) => (outcome.ok ? [] : outcome.failures));
  const hops = opened.flatMap((outcome) => (outcome.ok ? [outcome.value] : []));
  if (failures.length === 0 && !signal.aborted) return { ok: true, value: { session, hops } };
  for (const hop of hops) hop.stream.abort(new Error('another hop failed'));
  signal.throwIfAborted();
  return { ok: false, failures };
}

async function openHop(
  { salt, session }: { readonly salt: SessionSalt; readonly session: SessionId },
  hop: number,
  request: OpenRequest,
  deps: OpenDeps,
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
    return { ok: true, value: { stream, inbox, request: open } };
  stream.abort(new Error('the hop was not opened'));
  return notOpened(request.route, hop, answer);
}

function openBody(salt: SessionSalt, hop: number, request: OpenRequest): OpenBody {
  const { manifest, codec, route, positions, sampling } = request;
  const isLast = hop === route.length - 1;
  return {
    salt,
    manifest,
    codec,
    maxTokens: positions,
    route,
    hop,
    ...(isLast && sampling !== undefined ? { sampling } : {}),
  };
}

function signOpen(body: OpenBody, to: PeerId, issuedAt: BlockNumber, { identity }: OpenDeps): Uint8Array {
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

export interface Listening {
  /** The first failure, or the end of a stream. */
  readonly broken: Promise<Outcome<never>>;
  /** Of each hop: when nothing more comes from it. */
  readonly ended: readonly Promise<void>[];
}

/** Hears all hops out. */
export function listenTo(
  hops: readonly Hop[],
  route: readonly RoutedHop[],
  failureIn: (message: InferMessage | 'malformed', hop: number) => Outcome<never> | undefined,
): Listening {
  const broken = Promise.withResolvers<Outcome<never>>();

  async function listen({ inbox }: Hop, hop: number): Promise<void> {
    try {
      for (let next = await inbox.next(); next.done !== true; next = await inbox.next()) {
        const failure = failureIn(next.value, hop);
        if (failure !== undefined) broken.resolve(failure);
      }
    } catch {
      // Broken off: an end as any other.
    }
    broken.resolve(failed(route, hop, 'RESET'));
  }

  return { broken: broken.promise, ended: hops.map(listen) };
}

/** The peer that a hop accuses when it is a neighbour, else the hop itself; an accuser is suspected, for it may lie. */
export function blame(
  route: readonly RoutedHop[],
  hop: number,
  error: InferMessage & { type: 'ERROR' },
): Outcome<never> {
  const accused = error.hop;
  if (accused === hop || accused >= route.length || Math.abs(accused - hop) > 1) return failed(route, hop, error.code);
  const accuser = { peer: hopAt(route, hop).peer, hop, reason: error.code, suspected: true };
  const peer = hopAt(route, accused).peer;
  return { ok: false, failures: [{ peer, hop: accused, reason: error.code, suspected: false }, accuser] };
}

export function failed(route: readonly RoutedHop[], hop: number, reason: HopFailure['reason']): Outcome<never> {
  return { ok: false, failures: [{ peer: hopAt(route, hop).peer, hop, reason, suspected: false }] };
}

export function unreceipted(route: readonly RoutedHop[], hop: number, suspected: boolean): HopFailure {
  return { peer: hopAt(route, hop).peer, hop, reason: 'BAD_RECEIPT', suspected };
}

export function silence(route: readonly RoutedHop[]): readonly HopFailure[] {
  return route.map(({ peer }, hop) => ({ peer, hop, reason: 'DEADLINE', suspected: true }));
}

function hopAt(route: readonly RoutedHop[], hop: number): RoutedHop {
  const found = route[hop];
  if (found === undefined) throw new RangeError(`no hop ${hop} in a route of ${route.length}`);
  return found;
}

export async function breakOff(stream: FrameStream): Promise<void> {
  stream.abort(new Error('the session has ended'));
}
