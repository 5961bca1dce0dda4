// Tokens from the network: a route over fresh offers, a session over its hops, and when a hop fails another route on which the recorded
// calls are repeated, so that the tokens stay the same (protocol.md 12). Trusts the directory for who is who, no hop for anything.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Chain } from '../chain/types.ts';
import type { Identity, Overlay } from '../p2p/types.ts';
import { cheapestRoute, type RoutedHop, type RouteResult } from '../routing/route.ts';
import type { BlockNumber, PeerId, ShardIndex } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import type { Log } from '../util/log.ts';
import type { Verify } from '../wire/envelope.ts';
import type { DrawnToken } from '../wire/infer.ts';
import type { RowCodec } from '../wire/tensor.ts';
import { createAhead, type Guesses, rowsPaid } from './ahead.ts';
import type { Directory } from './directory.ts';
import type { DraftTable } from './draft-table.ts';
import { type FunctionCall, openFunction, type RemoteFunction } from './function-session.ts';
import {
  ClientError,
  drawTokens,
  type FinishReason,
  type GeneratedToken,
  type GenerateOptions,
  type GenerationPlan,
  planGeneration,
} from './generation.ts';
import type { Handover } from './handover.ts';
import { type HopFailure, type OpenRequest, SESSION_DEADLINES, type SessionDeadlines } from './hops.ts';
import { createMarks } from './marks.ts';
import { createPaces } from './paces.ts';
import { callsFromStart, nextCall } from './pattern.ts';
import { openSession, type RemoteSession } from './session.ts';

/** Routes tried for one token before giving up: more than a small network has peers to lose. */
const MAX_ATTEMPTS = 8;
/** Heads waited for while no route is complete: two announce periods. */
const ROUTE_WAIT_BLOCKS = 10;
/** The same in time, for a chain that stands still: ten blocks of 6 s, twice. */
const ROUTE_WAIT_MS = 120_000;
/** Whatever a full hop says, it is asked again then: its sessions end after seconds. */
const MAX_FULL_MS = 10_000;
/** A suspect costs a minute per lap: taken when nobody else is there. */
const SUSPICION_US = 60_000_000;

export interface ClientOptions {
  readonly model: {
    readonly hash: ManifestHash;
    readonly vocab: number;
    /** Positions. */
    readonly maxContext: number;
    /** Shards of the cut. */
    readonly shardCount: number;
  };
  /** How rows travel between hops; f16 unless told otherwise. */
  readonly codec?: RowCodec;
  readonly deadlines?: SessionDeadlines;
  /** Most guesses sent along with a row; by what they are worth unless given, 0 for none. */
  readonly drafts?: number | undefined;
  /** What the model mostly says: guesses where the text itself gives none. */
  readonly draft?: DraftTable | undefined;
  /** Longest wait for a route; two minutes unless told otherwise. */
  readonly routeWaitMs?: number;
}

export interface ClientDeps {
  readonly overlay: Overlay;
  readonly chain: Pick<Chain, 'heads'>;
  readonly directory: Pick<Directory, 'offers' | 'refresh'>;
  readonly identity: Identity;
  /** Checks a signature under a peer id (p2p/identity.ts). */
  readonly verify: Verify;
  /** Monotonic milliseconds; those of the process unless given. */
  readonly now?: () => number;
  /** Resolves after so many milliseconds of `now`. */
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Told of each session that has ended. */
  readonly handover?: Pick<Handover, 'give'>;
  readonly log: Log;
}

/** Iterate once. Breaking out of the loop, or the signal, ends the session at every hop. */
export interface Generation extends AsyncIterable<GeneratedToken> {
  /** The hops in use; empty before the first token. */
  readonly route: readonly RoutedHop[];
  /** Known when the iteration has ended. */
  readonly finish: FinishReason | undefined;
  /** Sessions that failed and were replaced. */
  readonly failovers: number;
  /** How good the guesses were so far. */
  readonly guesses: Guesses;
  /** What the hops in use have signed for (protocol.md 13), as it travels; whole when the iteration has ended. */
  readonly receipts: readonly Uint8Array[];
}

export interface Client {
  /**
   * Generates over the network.
   *
   * @param prompt token ids, at least one
   * @throws ClientError PROMPT_EMPTY, PROMPT_TOO_LONG at once; NO_ROUTE, GENERATION_FAILED and the signal's reason while iterating
   */
  generate(prompt: readonly number[], options: GenerateOptions, signal: AbortSignal): Generation;
  /**
   * Runs a stateless model, call after call, and gives each one's outputs in order. Iterate once; leaving the loop, or the signal, ends it at every hop.
   *
   * @throws ClientError NO_ROUTE, GENERATION_FAILED and the signal's reason while iterating
   */
  run(calls: Iterable<FunctionCall>, signal: AbortSignal): FunctionRun;
}

/** The results of a run as they come. */
export interface FunctionRun extends AsyncIterable<readonly NamedTensor[]> {
  /** The hops in use; empty before the first result. */
  readonly route: readonly RoutedHop[];
  /** Sessions that failed and were replaced. */
  readonly failovers: number;
  /** What the hops in use have signed for (protocol.md 13), as it travels; whole when the iteration has ended. */
  readonly receipts: readonly Uint8Array[];
}

interface Found {
  readonly hops: readonly RoutedHop[];
  readonly head: BlockNumber;
}

export function createClient(options: ClientOptions, deps: ClientDeps): Client {
  const { model } = options;
  const { directory } = deps;
  const marks = createMarks();
  const paces = createPaces();
  const { now = () => performance.now(), wait = pause } = deps;

  function routeNow({ positions, penalties }: Attempt) {
    const offers = directory.offers();
    const routeWithout = (excluded: ReadonlySet<PeerId>) =>
      cheapestRoute({ offers, shardCount: model.shardCount, positions, excluded, penalties, paces: paces.all() });
    const route = routeWithout(marks.excluded(offers, now(), true));
    // Better a peer that has failed often than none: it may have been mended.
    return route.ok ? route : routeWithout(marks.excluded(offers, now(), false));
  }

  /** A route now, or as soon as one who is full may have room. */
  async function routeWhenRoom(attempt: Attempt, signal: AbortSignal): Promise<RouteResult> {
    for (;;) {
      const route = routeNow(attempt);
      const room = marks.soonest(now());
      if (route.ok || room === undefined || signal.aborted) return route;
      await raceSignal(wait(room - now()), signal).catch(() => undefined);
    }
  }

  /** Waits some heads for a complete route, asking peers meanwhile. */
  async function findRoute(attempt: Attempt, signal: AbortSignal): Promise<Found> {
    const stop = withDeadline(signal, options.routeWaitMs ?? ROUTE_WAIT_MS);
    let missing: readonly ShardIndex[] = [];
    let waited = 0;
    for await (const { number: head } of deps.chain.heads('best', stop)) {
      const known = await routeWhenRoom(attempt, stop);
      if (known.ok) return { hops: known.hops, head };
      // Ends with the signal alone: a peer that does not answer has a deadline of its own.
      await directory.refresh(signal);
      const asked = routeNow(attempt);
      if (asked.ok) return { hops: asked.hops, head };
      missing = asked.missing;
      waited += 1;
      if (waited > ROUTE_WAIT_BLOCKS) break;
    }
    signal.throwIfAborted();
    throw noRoute(missing, attempt.failures);
  }

  /** A failed peer stays out until it announces anew: what it announced before its failure does not count. */
  function note(failures: readonly HopFailure[], attempt: Attempt): void {
    const offers = directory.offers();
    for (const { peer, hop, reason, suspected, retryAfterMs } of failures) {
      deps.log.info('hop failed', { peer, hop, reason, suspected });
      attempt.failures.push(`${reason} at hop ${hop} (${peer})`);
      if (retryAfterMs !== undefined) marks.full(peer, now() + Math.min(MAX_FULL_MS, retryAfterMs));
      else if (suspected) attempt.penalties.set(peer, (attempt.penalties.get(peer) ?? 0) + SUSPICION_US);
      else marks.fail(peer, offers.find((offer) => offer.peer === peer)?.block ?? 0);
    }
  }

  async function open(plan: GenerationPlan, { hops: route, head }: Found, signal: AbortSignal) {
    const { positions, sampling } = plan;
    deps.log.debug('route', { nodes: route.map(({ node }) => node) });
    const request = { ...openRequest({ hops: route, head }, positions), vocab: model.vocab, sampling };
    return openSession(request, { ...deps, paces, now }, signal);
  }

  async function leave(
    session: RemoteSession | RemoteFunction,
    how: 'done' | 'broken',
  ): Promise<readonly HopFailure[]> {
    const failures = await session.close(how);
    deps.handover?.give(session.transcript());
    return failures;
  }

  function openRequest({ hops: route, head }: Found, positions: number): OpenRequest {
    const { codec = 'f16', deadlines = SESSION_DEADLINES } = options;
    return { route, manifest: model.hash, codec, positions, head, deadlines };
  }

  function run(calls: Iterable<FunctionCall>, signal: AbortSignal): FunctionRun {
    const attempt: Attempt = { positions: 1, failures: [], penalties: new Map() };
    let session: RemoteFunction | undefined;
    let failovers = 0;

    /** One try for a result: on the open session, or on a fresh one. */
    async function tryRun(call: FunctionCall): Promise<readonly NamedTensor[] | undefined> {
      if (session === undefined) {
        const found = await findRoute(attempt, signal);
        const opened = await openFunction(openRequest(found, attempt.positions), { ...deps, paces, now }, signal);
        if (!opened.ok) {
          note(opened.failures, attempt);
          return undefined;
        }
        session = opened.value;
      }
      const done = await session.run(call, signal);
      if (done.ok) return done.value;
      note(done.failures, attempt);
      await leave(session, 'broken');
      session = undefined;
      failovers += 1;
      return undefined;
    }

    async function runNext(call: FunctionCall): Promise<readonly NamedTensor[]> {
      if (session?.isFull === true) {
        note(await leave(session, 'done'), attempt);
        session = undefined;
      }
      for (let tries = 0; tries < MAX_ATTEMPTS; tries += 1) {
        const outputs = await tryRun(call);
        if (outputs !== undefined) return outputs;
      }
      throw givenUp(attempt.failures);
    }

    async function* results(): AsyncGenerator<readonly NamedTensor[]> {
      try {
        for (const call of calls) yield await runNext(call);
        for (const { peer } of session?.route ?? []) marks.clear(peer);
      } finally {
        if (session !== undefined) note(await leave(session, signal.aborted ? 'broken' : 'done'), attempt);
      }
    }

    return {
      [Symbol.asyncIterator]: results,
      get route() {
        return session?.route ?? [];
      },
      get receipts() {
        return session?.transcript().receipts.map(({ receipt }) => receipt) ?? [];
      },
      get failovers() {
        return failovers;
      },
    };
  }

  function generate(prompt: readonly number[], wanted: GenerateOptions, signal: AbortSignal): Generation {
    const plan = planGeneration(prompt, wanted, model.maxContext);
    const attempt: Attempt = { positions: plan.positions, failures: [], penalties: new Map() };
    let session: RemoteSession | undefined;
    const paid = () => rowsPaid(session?.route ?? [], paces.all());
    const ahead = createAhead(plan, { most: options.drafts, paid, draft: options.draft });
    let finish: FinishReason | undefined;
    let failovers = 0;

    /** One try for the next token: on the open session, or on a fresh one that repeats all calls. */
    async function tryDraw(generated: readonly number[]): Promise<DrawnToken | undefined> {
      const isFresh = session === undefined;
      if (session === undefined) {
        const found = await findRoute(attempt, signal);
        const opened = await open(plan, found, signal);
        if (!opened.ok) {
          note(opened.failures, attempt);
          return undefined;
        }
        session = opened.value;
      }
      const calls = isFresh ? callsFromStart(prompt, generated) : [nextCall(prompt, generated)];
      const drawn = await ahead.next(session, calls, generated, signal);
      if (drawn.ok) return drawn.value;
      note(drawn.failures, attempt);
      await leave(session, 'broken');
      ahead.clear();
      session = undefined;
      failovers += 1;
      return undefined;
    }

    async function drawNext(generated: readonly number[]): Promise<DrawnToken> {
      for (let tries = 0; tries < MAX_ATTEMPTS; tries += 1) {
        const token = await tryDraw(generated);
        if (token !== undefined) return token;
      }
      throw givenUp(attempt.failures);
    }

    async function* run(): AsyncGenerator<GeneratedToken> {
      try {
        yield* drawTokens(plan, drawNext, (reason) => {
          finish = reason;
        });
        for (const { peer } of session?.route ?? []) marks.clear(peer);
      } finally {
        if (session !== undefined) note(await leave(session, signal.aborted ? 'broken' : 'done'), attempt);
      }
    }

    return {
      [Symbol.asyncIterator]: run,
      get route() {
        return session?.route ?? [];
      },
      get guesses() {
        return ahead.guesses;
      },
      get finish() {
        return finish;
      },
      get receipts() {
        return session?.transcript().receipts.map(({ receipt }) => receipt) ?? [];
      },
      get failovers() {
        return failovers;
      },
    };
  }

  return { generate, run };
}

/** Keeps no process alive. */
function pause(ms: number): Promise<unknown> {
  return sleep(ms, undefined, { ref: false });
}

/** What went wrong so far in one generation. */
interface Attempt {
  /** To reserve at each hop. */
  readonly positions: number;
  readonly failures: string[];
  /** Extra cost of peers that may have been at fault, microseconds. */
  readonly penalties: Map<PeerId, number>;
}

function noRoute(missing: readonly number[], failures: readonly string[]): ClientError {
  const why = missing.length > 0 ? `nobody serves shard ${missing.join(', ')}` : 'the chain gives no heads';
  const after = failures.length > 0 ? ` after ${failures.join('; ')}` : '';
  return new ClientError(
    { code: 'NO_ROUTE', missing, failures },
    `no route through the model: ${why}${after}; wait for hosters to announce, or start more`,
  );
}

function givenUp(failures: readonly string[]): ClientError {
  return new ClientError(
    { code: 'GENERATION_FAILED', attempts: MAX_ATTEMPTS, failures },
    `no answer after ${MAX_ATTEMPTS} routes: ${failures.slice(-MAX_ATTEMPTS).join('; ')}`,
  );
}
