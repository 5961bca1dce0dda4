// Serves shards to others: streams of `/tessera/infer/1` in, sessions behind them (protocol.md 12). A stream that opens with OPEN is a
// client's, one that opens with STEP comes from the hop before us. Trusts nobody: whatever a peer sends is answered or broken off.

import type { Chain } from '../chain/types.ts';
import type { ClockParams } from '../consensus/phase.ts';
import type { Engine, KvSession, Rows } from '../engine/types.ts';
import type { FrameStream, Identity, Overlay } from '../p2p/types.ts';
import { createAuditLedger } from '../receipts/ledger.ts';
import { rowBytes } from '../receipts/replay.ts';
import { createRunTranscript, type RunTranscript } from '../receipts/run-transcript.ts';
import { serveAudits } from '../receipts/serve.ts';
import { createTranscript, type Run, type Transcript, type TranscriptOptions } from '../receipts/transcript.ts';
import type { BlockNumber, NodeId, PeerId, ShardIndex, SubnetId } from '../types/ids.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { createNonceCache, NONCE_LIMITS, type Verify } from '../wire/envelope.ts';
import { MAX_FRAME_BYTES } from '../wire/frame.ts';
import {
  decodeMessages,
  encodeMessage,
  INFER_PROTOCOL,
  type InferCode,
  type InferMessage,
  MAX_STEP_ROWS,
  type RunFrame,
  type SessionId,
  type Step,
} from '../wire/infer.ts';
import { decodeUsage, type Receipt, type Signed, signReceipt } from '../wire/receipt.ts';
import { type AdmittedOpen, admitOpen, type ServedModel } from './admission.ts';
import { type AnnounceBoard, createAnnouncer } from './announce.ts';
import { createChallengeGuard } from './challenge-guard.ts';
import { codeOfEngineError, lacking, waitFor } from './codes.ts';
import { createHostedFunction, type FunctionFacts, type HostedFunction } from './function-session.ts';
import type { Fault, HopSession, HopSessionDeps } from './hop-session.ts';
import { HOSTER_LIMITS, type HosterLimits } from './limits.ts';
import { createMeter } from './meter.ts';
import { type Arrival, createPatience } from './patience.ts';
import { createSeats } from './seats.ts';
import { createHostedSession, type HostedSession } from './session.ts';
import { createTurnstile } from './turnstile.ts';

export interface HosterOptions {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  /** Genesis hash, 32 bytes. */
  readonly genesis: Uint8Array;
  readonly clock: ClockParams;
  readonly model: ServedModel;
  /** Shards of the cut that this node serves; loaded in the engine already. */
  readonly shards: readonly ShardIndex[];
  /** Of this program, for the announce. */
  readonly version: string;
  /** What this node gives to weights and caches, MiB; 0 when its shards do not follow from that. */
  readonly memoryMiB: number;
  readonly limits?: HosterLimits;
}

export interface HosterDeps {
  readonly overlay: Overlay;
  readonly engine: Pick<Engine, 'run' | 'openSession' | 'stats'>;
  readonly identity: Identity;
  readonly chain: Pick<Chain, 'heads'>;
  /** Where announces are held; without it nobody is told of this node. */
  readonly board: AnnounceBoard | undefined;
  /** Checks a signature under a peer id (p2p/identity.ts). */
  readonly verify: Verify;
  /** Whether the subnet's access policy lets this peer ask for inference (protocol.md 10). */
  readonly mayAsk: (peer: PeerId) => boolean | Promise<boolean>;
  /** What the peer's node has at stake: who has more comes first, strangers last. Nobody has any unless given. */
  readonly stakeOf?: (peer: PeerId) => bigint;
  /** Whether the peer may look at what was served lately: a validator's. Nobody unless given. */
  readonly mayAudit?: (peer: PeerId) => boolean;
  /** The input of the open challenge of a shard within the commit window, else undefined. */
  readonly openChallenge?: (shard: ShardIndex) => Rows | undefined;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface HosterStats {
  readonly sessions: number;
  readonly opened: number;
  /** Refusals and failed sessions by code. */
  readonly refused: Readonly<Partial<Record<InferCode, number>>>;
}

export interface Hoster {
  /** Serves and announces until the signal aborts; then every session is freed. Throws only what the chain's heads throw. */
  run(signal: AbortSignal): Promise<void>;
  /** Takes no new sessions and says so to the network; resolves when the last session has ended, or the signal aborts. Once. */
  drain(signal: AbortSignal): Promise<void>;
  /** From now on sessions are opened for these shards alone; the network is told with the next head, also which shards are coming. */
  serve(shards: readonly ShardIndex[], coming: readonly ShardIndex[]): void;
  /** Resolves when no session has any of these shards; those that have one when the signal aborts are broken off. */
  free(shards: readonly ShardIndex[], signal: AbortSignal): Promise<void>;
  stats(): HosterStats;
}

/** A dead next hop is known by then; the client's own deadline for a step is longer. */
const OPEN_NEXT_MS = 5_000;
/** Type and header of a frame: a u16 gives the header's length (protocol.md 12). */
const MAX_HEAD_BYTES = 3 + 0xffff;
/** f32, the widest codec. */
const BYTES_PER_VALUE = 4;
/** Those in which a session may be audited: its own and the next. */
const AUDITED_EPOCHS = 2;
/** Tensors of one session that are kept for auditors; what comes after is not, so that others have room. */
const RUNS_AUDIT_BYTES = 32 << 20;
/** No head is known before the first session. */
const NEVER = 0 as BlockNumber;
/** A client that does not read is not told why its session ended. */
const GOODBYE_MS = 1_000;

export function createHoster(options: HosterOptions, deps: HosterDeps): Hoster {
  const limits = options.limits ?? HOSTER_LIMITS;
  const { stakeOf = () => 0n } = deps;
  const seats = createSeats(limits, stakeOf);
  const patience = createPatience(limits, stakeOf, deps.now);
  const turnstile = createTurnstile(limits, stakeOf, deps.now);
  const nonces = createNonceCache(NONCE_LIMITS, stakeOf);
  const meter = createMeter(deps.now);
  const ledger = createAuditLedger();
  const { board } = deps;
  const announcer =
    board === undefined
      ? undefined
      : createAnnouncer({ ...options, cacheBytes: options.model.cacheBytes }, { ...deps, board, meter });
  const sessions = new Map<string, HostedSession | HostedFunction>();
  /** Sessions that take their work from a stream already. */
  const attached = new WeakSet<HopSession>();
  const refused: Partial<Record<InferCode, number>> = {};
  const emptied = Promise.withResolvers<void>();
  /** Looked at again whenever a session has ended. */
  const waiting = new Set<() => void>();
  let { shards } = options;
  let opened = 0;
  let leaving = false;
  let head: BlockNumber | undefined;

  function count(code: InferCode, facts: Readonly<Record<string, unknown>>): void {
    refused[code] = (refused[code] ?? 0) + 1;
    // Not louder: a stranger must not be able to fill the log. The counts tell the operator.
    deps.log.debug('refused', { code, ...facts });
  }

  async function handle(stream: FrameStream): Promise<void> {
    const inbox = decodeMessages(stream.frames());
    const first = await takeMessage(inbox, AbortSignal.timeout(limits.firstFrameMs));
    if (first === undefined) return;
    if (first === 'malformed') return turnAway(stream, 'BAD_FRAME', 0);
    if (first.type === 'OPEN') return serveClient(stream, inbox, first.request);
    if (first.type === 'STEP' || first.type === 'RUN') return serveHop(stream, inbox, first);
    await turnAway(stream, 'BAD_FRAME', 0);
  }

  /** Not a session's error: this peer, on this stream. */
  async function turnAway(stream: FrameStream, code: InferCode, hop: number): Promise<void> {
    count(code, { peer: stream.peer });
    await stream.send(encodeMessage({ type: 'ERROR', code, hop }));
  }

  /** @param retryAfterMs when to ask again; 0 where waiting does not help */
  async function refuse(asker: Asker, code: InferCode, why: string, retryAfterMs = 0): Promise<void> {
    const { stream, arrival } = asker;
    arrival.refused(retryAfterMs);
    count(code, { peer: stream.peer, why });
    await stream.send(encodeMessage({ type: 'REFUSE', code, retryAfterMs }));
  }

  function refuseBusy(asker: Asker, why: string): Promise<void> {
    return refuse(asker, 'BUSY', why, seats.soonestMs(asker.stream.peer, deps.now()));
  }

  async function serveClient(stream: FrameStream, inbox: Inbox, request: Uint8Array): Promise<void> {
    const deafMs = patience.deafMs(stream.peer);
    if (deafMs > 0) {
      count('BUSY', { peer: stream.peer, why: 'too many refusals' });
      return stream.send(encodeMessage({ type: 'REFUSE', code: 'BUSY', retryAfterMs: deafMs }));
    }
    const asker = { stream, inbox, arrival: patience.arrived(stream.peer) };
    if (head === undefined || leaving) return refuseBusy(asker, 'stopping');
    // The transport has proved the peer, so a crowd is turned away without a signature being checked.
    if (!seats.mayCome(stream.peer)) return refuseBusy(asker, 'no seat');
    const { overlay, verify, mayAsk } = deps;
    const known = { self: overlay.self, model: options.model, shards };
    const admitted = await admitOpen(request, stream.peer, head, known, { verify, mayAsk, nonces });
    if (!admitted.ok) {
      const { code, why } = admitted;
      return code === 'BUSY' ? refuseBusy(asker, why) : refuse(asker, code, why);
    }
    const { open } = admitted;
    const seat = await seats.take(stream.peer, keyOf(open.session, open.hop));
    if (seat === 'BUSY') return refuseBusy(asker, 'no seat');
    if (seat === 'NOT_YOURS') return refuse(asker, seat, 'the session is open');
    try {
      const { inputs } = options.model;
      if (!serves(open)) return await refuse(asker, 'NOT_SERVED', 'no longer');
      await (inputs === undefined ? hold(asker, open) : holdFunction(stream, inbox, open, inputs));
    } finally {
      seat.leave();
    }
  }

  /** Opens the session, lives with it, frees it: whichever way the client's stream ends. */
  async function hold(asker: Asker, open: AdmittedOpen): Promise<void> {
    const { stream, inbox } = asker;
    turnstile.expect(stream.peer);
    const kv = await reserve(open, stream.peer);
    if ('code' in kv) return refuse(asker, kv.code, 'the engine refuses', kv.retryAfterMs);
    if (head === undefined) {
      // Stopped meanwhile: nobody would free it.
      await kv.release();
      return refuseBusy(asker, 'stopping');
    }
    if (!serves(open)) {
      await kv.release();
      return refuse(asker, 'NOT_SERVED', 'no longer');
    }
    const auditBytes = open.maxTokens * rowBytes(runOf(open), open.codec, options.model.width);
    const keeps = deps.mayAudit !== undefined && ledger.reserve(auditBytes);
    const transcript = createTranscript(transcriptOf(open, keeps));
    const session = startSession(stream, open, kv, transcript);
    try {
      await live(session, stream, inbox);
    } finally {
      if (keeps) ledger.free(auditBytes);
      if (keeps) remember(session, transcript);
    }
  }

  /** From ACCEPT to the end of the client's stream, whichever way it comes. */
  async function live(session: HostedSession | HostedFunction, stream: FrameStream, inbox: Inbox): Promise<void> {
    const { open } = session;
    const key = keyOf(open.session, open.hop);
    const since = deps.now();
    sessions.set(key, session);
    opened += 1;
    try {
      await stream.send(encodeMessage({ type: 'ACCEPT', session: open.session, tokensGranted: open.maxTokens }));
      await takeWork(session, inbox, 'client');
    } finally {
      sessions.delete(key);
      await session.end();
      seats.lasted(deps.now() - since);
      settleLeaving();
      for (const look of waiting) look();
    }
  }

  /** A session of a stateless model: it has no cache. */
  async function holdFunction(
    stream: FrameStream,
    inbox: Inbox,
    open: AdmittedOpen,
    inputs: FunctionFacts['inputs'],
  ): Promise<void> {
    const run = runOf(open);
    const guard = () => createChallengeGuard(run.from, deps.openChallenge);
    let kept = 0;
    const hasRoom = (bytes: number): boolean => {
      const isKept = deps.mayAudit !== undefined && kept + bytes <= RUNS_AUDIT_BYTES && ledger.reserve(bytes);
      if (isKept) kept += bytes;
      return isKept;
    };
    const { session: id, manifest, codec, route, hop } = open;
    const transcript = createRunTranscript({ session: id, manifest, codec, run, next: route[hop + 1], hasRoom });
    const facts = { open, owner: stream.peer, ...run, inputs, transcript };
    const isChallenge = (rows: Rows): boolean => guard()(0, rows);
    const session = createHostedFunction(facts, {
      ...aroundSession(stream, open),
      isChallenge,
      meter,
      turnstile,
      engine: deps.engine,
      receiptFor: (taken, given) => signReceipt(transcript.add(taken, given, head ?? NEVER), deps.identity),
    });
    try {
      await live(session, stream, inbox);
    } finally {
      ledger.free(kept);
      if (deps.mayAudit !== undefined) rememberRuns(session, transcript);
    }
  }

  /** For auditors, until the audits of the next epoch are over. */
  function remember({ open, receipts, usage }: HostedSession, transcript: Transcript): void {
    const { session, hop, codec, request } = open;
    const { rows, drawn, length, bytes } = transcript;
    const served = { session, hop, codec, run: runOf(open), request, receipts, usage, block: head ?? NEVER };
    ledger.keep({ ...served, rows, drawn, length, bytes });
  }

  function rememberRuns({ open, receipts, usage }: HostedFunction, { runs, bytes }: RunTranscript): void {
    const { session, hop, codec, request } = open;
    const served = { session, hop, codec, run: runOf(open), request, receipts, usage, block: head ?? NEVER };
    const none = { rows: () => new Uint8Array(0), drawn: () => [] };
    ledger.keep({ ...served, ...none, runs, length: runs.length, bytes });
  }

  function transcriptOf(open: AdmittedOpen, keeps: boolean): TranscriptOptions {
    const { session, manifest, codec, route, hop } = open;
    const run = runOf(open);
    const rms = options.model.outputRms[run.to - 1] ?? 1;
    return { session, manifest, codec, run, next: route[hop + 1], rms, keeps };
  }

  function receiptsDue(transcript: Transcript, ended: boolean): readonly Signed<Receipt>[] {
    return transcript.due(head ?? NEVER, ended).map((receipt) => signReceipt(receipt, deps.identity));
  }

  /** Shards may go while an OPEN waits for its seat or its cache. */
  function serves(open: AdmittedOpen): boolean {
    return shardsOf(runOf(open)).every((shard) => shards.includes(shard));
  }

  function users(wanted: readonly ShardIndex[]): readonly (HostedSession | HostedFunction)[] {
    return [...sessions.values()].filter(({ open }) => shardsOf(runOf(open)).some((shard) => wanted.includes(shard)));
  }

  async function whenUnused(wanted: readonly ShardIndex[], signal: AbortSignal): Promise<void> {
    const unused = Promise.withResolvers<void>();
    const look = (): void => {
      if (users(wanted).length === 0) unused.resolve();
    };
    waiting.add(look);
    look();
    try {
      await raceSignal(unused.promise, signal);
    } finally {
      waiting.delete(look);
    }
  }

  function settleLeaving(): void {
    if (leaving && sessions.size === 0) emptied.resolve();
  }

  async function reserve(open: AdmittedOpen, owner: PeerId): Promise<KvSession | NoCache> {
    try {
      return await deps.engine.openSession(runOf(open), { maxTokens: open.maxTokens, owner, codec: open.codec });
    } catch (error) {
      deps.log.debug('engine refused a session', { error: errorMessage(error) });
      const code = codeOfEngineError(error);
      if (code === 'BUSY') return { code, retryAfterMs: seats.soonestMs(owner, deps.now()) };
      const wanted = lacking(error);
      const held = { lastsMs: seats.lastsMs, units: deps.engine.stats().kvBytes };
      return { code, retryAfterMs: wanted === undefined ? 0 : waitFor({ ...held, wanted }) };
    }
  }

  /** What a session needs of the rest of this node. */
  function aroundSession(stream: FrameStream, open: AdmittedOpen): HopSessionDeps {
    const reply = async (message: InferMessage): Promise<void> => {
      if (message.type !== 'ERROR') return stream.send(encodeMessage(message));
      count(message.code, { peer: stream.peer, session: open.session });
      await stream.send(encodeMessage(message), AbortSignal.timeout(GOODBYE_MS));
    };
    const openNext = (peer: PeerId, signal: AbortSignal): Promise<FrameStream> =>
      deps.overlay.openStream(peer, INFER_PROTOCOL, {
        maxFrameBytes: MAX_FRAME_BYTES,
        signal: withDeadline(signal, OPEN_NEXT_MS),
      });
    const { now, log } = deps;
    return { reply, openNext, now, log };
  }

  function startSession(stream: FrameStream, open: AdmittedOpen, kv: KvSession, transcript: Transcript): HostedSession {
    const isChallenge = createChallengeGuard(runOf(open).from, deps.openChallenge);
    const facts = { open, owner: stream.peer, kv, model: options.model, transcript };
    return createHostedSession(facts, { ...aroundSession(stream, open), isChallenge, receiptsDue, meter, turnstile });
  }

  async function serveHop(stream: FrameStream, inbox: Inbox, first: Step | RunFrame): Promise<void> {
    const session = sessions.get(keyOf(first.session, first.hop));
    if (session === undefined) return turnAway(stream, 'EXPIRED', first.hop);
    if (first.hop === 0 || session.previous !== stream.peer || attached.has(session)) {
      return turnAway(stream, 'NOT_YOURS', first.hop);
    }
    attached.add(session);
    if (!(await give(session, first))) return session.fail(badFrame(session, 'hop'));
    await takeWork(session, inbox, 'hop');
  }

  /** Until the session ends, the stream ends, or the client says CLOSE. */
  async function takeWork(session: HostedSession | HostedFunction, inbox: Inbox, from: Sender): Promise<void> {
    const { open } = session;
    for (;;) {
      const message = await takeMessage(inbox, session.signal);
      if (message === undefined) return;
      if (message === 'malformed') return session.fail(badFrame(session, from));
      if (message.type === 'CLOSE' && from === 'client') {
        return session.finish(usageOf(message.usage, session, deps.verify) ?? new Uint8Array(0));
      }
      const isWork = message.type === 'STEP' || message.type === 'RUN';
      if (!isWork || message.session !== open.session || message.hop !== open.hop)
        return session.fail(badFrame(session, from));
      if (from === 'client' && open.hop !== 0) {
        return session.fail({ code: 'NOT_YOURS', hop: open.hop, why: 'work from the client for a later hop' });
      }
      if (!(await give(session, message))) return session.fail(badFrame(session, from));
    }
  }

  /** Reads a little ahead of the engine; beyond that the sender waits. False for work that this session does not do. */
  async function give(session: HostedSession | HostedFunction, work: Step | RunFrame): Promise<boolean> {
    const done = startWork(session, work);
    if (done === undefined) return false;
    if (session.queued > limits.queuedSteps) await done;
    return true;
  }

  async function freeIdle(): Promise<void> {
    const limit = deps.now() - limits.idleMs;
    const idle = [...sessions.values()].filter((session) => session.touched < limit);
    await Promise.all(idle.map((session) => session.fail({ code: 'EXPIRED', hop: session.open.hop, why: 'idle' })));
  }

  async function serve(): Promise<void> {
    await announcer?.serve();
    const admission = {
      maxFrameBytes: longestFrame(options.model),
      maxStreamsPerPeer: limits.streamsPerPeer,
      // Who may ask stands behind the signed request; a hop is admitted by the route that a client signed.
      admit: () => head !== undefined,
    };
    await deps.overlay.handleStream(INFER_PROTOCOL, admission, handle);
    const { overlay, engine, mayAudit, log } = deps;
    if (mayAudit !== undefined) await serveAudits({ overlay, ledger, engine, model: options.model, mayAudit, log });
  }

  return {
    async run(signal) {
      try {
        for await (const next of deps.chain.heads('best', signal)) {
          const isFirst = head === undefined;
          head = next.number;
          if (isFirst) await serve();
          if (!leaving) await announcer?.onHead(head);
          await freeIdle();
          ledger.forgetBefore((head - AUDITED_EPOCHS * options.clock.epochLength) as BlockNumber);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        head = undefined;
        await Promise.all([...sessions.values()].map((session) => session.end()));
      }
    },
    async drain(signal) {
      leaving = true;
      settleLeaving();
      // The next block's, because a directory keeps the newest only, and this head's announce may be out already.
      if (head !== undefined) await announcer?.leave((head + 1) as BlockNumber);
      await raceSignal(emptied.promise, signal).catch(() => undefined);
    },
    serve(now, coming) {
      shards = now;
      announcer?.offer(now, coming);
    },
    async free(wanted, signal) {
      await whenUnused(wanted, signal).catch(() => undefined);
      const gone = users(wanted);
      const why = 'the shard is not served any more';
      await Promise.all(gone.map((session) => session.fail({ code: 'NOT_SERVED', hop: session.open.hop, why })));
      await Promise.all(gone.map((session) => session.end()));
    },
    stats: () => ({ sessions: seats.taken, opened, refused: { ...refused } }),
  };
}

/** No frame to this node is longer: what a stranger may have us hold follows from the model. Bytes. */
function longestFrame({ width, inputs }: ServedModel): number {
  if (inputs !== undefined) return MAX_FRAME_BYTES;
  return Math.min(MAX_FRAME_BYTES, MAX_HEAD_BYTES + MAX_STEP_ROWS * width * BYTES_PER_VALUE);
}

/** Why the engine opened no session. */
interface NoCache {
  readonly code: InferCode;
  readonly retryAfterMs: number;
}

/** A client whose OPEN is looked at. */
interface Asker {
  readonly stream: FrameStream;
  readonly inbox: Inbox;
  readonly arrival: Arrival;
}

type Inbox = AsyncIterator<InferMessage | 'malformed'>;
/** Whose stream work comes on. */
type Sender = 'client' | 'hop';

function badFrame({ open }: HopSession, from: Sender): Fault {
  return { code: 'BAD_FRAME', hop: from === 'client' ? open.hop : open.hop - 1, why: `a bad frame from the ${from}` };
}

function startWork(session: HostedSession | HostedFunction, work: Step | RunFrame): Promise<void> | undefined {
  if (work.type === 'STEP') return 'step' in session ? session.step(work) : undefined;
  return 'run' in session ? session.run(work) : undefined;
}

/** The next message; undefined when the stream ended or broke, or the signal aborted. */
async function takeMessage(inbox: Inbox, signal: AbortSignal): Promise<InferMessage | 'malformed' | undefined> {
  try {
    const { value, done } = await raceSignal(inbox.next(), signal);
    return done === true ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Signed by the session's client for this hop; undefined when it is not. */
function usageOf(bytes: Uint8Array, { open, owner }: HopSession, verify: Verify): Uint8Array | undefined {
  const parsed = decodeUsage(bytes);
  if (!parsed.ok) return undefined;
  const { value, message, signature } = parsed.value;
  const isOurs = value.session === open.session && value.hop === open.hop && value.peer === open.route[open.hop]?.peer;
  return isOurs && verify(owner, message, signature) ? bytes.slice() : undefined;
}

/** The run of the route that this node has; admitted, so it is there. */
function runOf({ route, hop }: AdmittedOpen): Run {
  const run = route[hop];
  if (run === undefined) throw new RangeError(`no hop ${hop} in a route of ${route.length}`);
  return run;
}

function shardsOf({ from, to }: Run): readonly ShardIndex[] {
  return Array.from({ length: to - from }, (_, i) => (from + i) as ShardIndex);
}

/** A route may visit a peer twice, so a session is known by its place in the route too. */
function keyOf(session: SessionId, hop: number): string {
  return `${session}/${hop}`;
}
