// Keeps a connection to the chain: endpoints in order of preference, a new connection as soon as one is lost, the same chain for ever. Heads
// survive all of that. Trusts an endpoint to be the chain whose genesis it names.

import type { Hash } from '../../types/ids.ts';
import { errorCode, errorMessage } from '../../util/errors.ts';
import type { Log } from '../../util/log.ts';
import { pause, systemTimers, type Timers } from '../../util/timers.ts';
import { chainFault, chainTimeout, stateDiscarded, unreachable } from '../errors.ts';
import { createHeadFeed, type HeadFeed } from '../heads.ts';
import { ChainError, type Head } from '../types.ts';
import { type Connection, openConnection, readTips } from './connection.ts';
import { type FollowedHeads, followHeads, type HeadKind } from './follow.ts';
import { RpcFault, type RpcSocket } from './rpc-socket.ts';
import { createStandings } from './standings.ts';

export interface Link {
  readonly best: HeadFeed;
  readonly finalized: HeadFeed;
  readonly genesis: Hash;
  /** Aborts when the link is closed. */
  readonly closed: AbortSignal;
  /** The connection now, or the next one if it comes within the deadline. Errors: CHAIN_UNREACHABLE, the signal's reason. */
  connection(signal?: AbortSignal): Promise<Connection>;
  /**
   * One request within 5 s; repeated once on a new connection, with as much time again, when the old one is lost or falls silent meanwhile.
   *
   * Errors: CHAIN_UNREACHABLE, CHAIN_TIMEOUT, CHAIN_STATE_DISCARDED, RpcFault, the signal's reason.
   */
  request(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown>;
  /** As `request`, but never repeated: a second answer to what had an effect already would mislead. */
  requestOnce(
    method: string,
    params: readonly unknown[],
    signal: AbortSignal | undefined,
    ms: number,
  ): Promise<unknown>;
  /** One read at a block (default the best one). Errors: as `request`, but CHAIN_FAULT for RpcFault. */
  ask(method: string, params: readonly unknown[], at?: Hash, signal?: AbortSignal): Promise<unknown>;
  close(): void;
}

export interface LinkOptions {
  /** The preferred one first; at least one. */
  readonly endpoints: readonly string[];
  readonly genesis?: Hash;
  /** An endpoint whose finalized head stands still for this long is left for one where it does not; default 30 s. */
  readonly silenceMs?: number;
}

export interface LinkDeps {
  readonly log: Log;
  readonly timers?: Timers;
}

/** Deadline of chain.md 10.2. */
const READ_MS = 5_000;

const SILENCE_MS = 30_000;

/** Looks around per `silenceMs`. */
const LOOKS = 3;

/** An endpoint this far behind another one is left; one no further behind in finality counts as well (chain.md 10.2). */
const BEHIND_BLOCKS = { best: 20, finalized: 5 } as const;

/** JSON-RPC codes of a state that is not there (any more): unknown block, state discarded (chain.md 9). */
const NO_STATE: readonly number[] = [4001, 4003];

/** A connection whose heads are followed. */
interface Attached {
  readonly endpoint: string;
  readonly connection: Connection;
  readonly heads: FollowedHeads;
}

/**
 * Connects to the first endpoint that answers.
 *
 * Errors when none does: CHAIN_WRONG_GENESIS or CHAIN_UNSUPPORTED if one of them answered so, else CHAIN_UNREACHABLE.
 */
export async function createLink(options: LinkOptions, deps: LinkDeps, signal?: AbortSignal): Promise<Link> {
  const { log, timers = systemTimers } = deps;
  const { endpoints, silenceMs = SILENCE_MS } = options;
  const closing = new AbortController();
  const feeds: Readonly<Record<HeadKind, HeadFeed>> = { best: createHeadFeed(), finalized: createHeadFeed() };
  const standings = createStandings(endpoints, { now: timers.now, chance: Math.random });
  let current: Attached | undefined;
  let arrival = Promise.withResolvers<Connection>();
  let isRejoining = false;
  let progressed = timers.now();
  let heard = 0;
  let silentLooks = 0;
  const first = await tryAll(options.genesis, signal ?? closing.signal);
  const { genesis } = first.connection.runtime;
  adopt(first);
  void watch();

  /** One try of every endpoint that does not rest: the first that is not behind what is known, else the one that is furthest. */
  async function tryAll(chain: Hash | undefined, stop: AbortSignal): Promise<Attached> {
    const failures: unknown[] = [];
    const behind: Attached[] = [];
    const close = (others: readonly Attached[]) => {
      for (const { connection } of others) connection.socket.close();
    };
    for (const endpoint of standings.ready()) {
      try {
        const attached = await attach(endpoint, chain, stop);
        if (!isBehind(attached)) {
          close(behind);
          return attached;
        }
        behind.push(attached);
      } catch (error) {
        standings.failed(endpoint);
        failures.push(error);
        log.debug('chain endpoint refused', { endpoint, message: errorMessage(error) });
        if (stop.aborted) close(behind);
        stop.throwIfAborted();
      }
    }
    const [furthest, ...others] = behind.sort((a, b) => b.heads.best().number - a.heads.best().number);
    close(others);
    if (furthest !== undefined) return furthest;
    const told = failures.find((error) => error instanceof ChainError && error.code !== 'CHAIN_UNREACHABLE');
    throw told ?? unreachable(endpoints, failures[0]);
  }

  function isBehind({ heads }: Attached): boolean {
    return heads.best().number + BEHIND_BLOCKS.best < (feeds.best.last?.number ?? 0);
  }

  async function attach(endpoint: string, chain: Hash | undefined, stop: AbortSignal): Promise<Attached> {
    const connection = await openConnection(endpoint, chain, { log, timers }, stop);
    const tell = (kind: HeadKind, head: Head) => {
      if (current?.connection === connection) publish(kind, head);
    };
    try {
      return { endpoint, connection, heads: await followHeads(connection, { log, timers, tell }, stop) };
    } catch (error) {
      connection.socket.close();
      throw error;
    }
  }

  function adopt(next: Attached): void {
    const { endpoint, connection, heads } = next;
    const old = current;
    current = next;
    standings.joined(endpoint);
    progressed = timers.now();
    silentLooks = 0;
    publish('finalized', heads.finalized());
    publish('best', heads.best());
    log.info('chain connected', { endpoint, genesis: connection.runtime.genesis });
    old?.connection.socket.close();
    const { lost } = connection.socket;
    lost.addEventListener('abort', () => lose(next), { once: true });
    if (lost.aborted) lose(next);
    else arrival.resolve(connection);
  }

  /** The best head may go back with a fork; finality only goes on. */
  function publish(kind: HeadKind, head: Head): void {
    const { last } = feeds[kind];
    if (kind === 'finalized' ? head.number <= (last?.number ?? -1) : head.hash === last?.hash) return;
    if (kind === 'finalized') progressed = timers.now();
    feeds[kind].publish(head);
  }

  function lose(lost: Attached): void {
    if (current !== lost || closing.signal.aborted) return;
    current = undefined;
    arrival = Promise.withResolvers();
    standings.failed(lost.endpoint);
    log.warn('chain connection lost', { endpoint: lost.endpoint });
    void rejoin();
  }

  async function rejoin(): Promise<void> {
    if (isRejoining) return;
    isRejoining = true;
    while (current === undefined && !closing.signal.aborted) {
      try {
        await pause(timers, standings.restMs(), closing.signal);
        const next = await tryAll(genesis, closing.signal);
        if (current === undefined && !closing.signal.aborted) adopt(next);
        else next.connection.socket.close();
      } catch (error) {
        log.debug('chain not reachable', { code: errorCode(error), message: errorMessage(error) });
      }
    }
    isRejoining = false;
  }

  async function watch(): Promise<void> {
    while (!closing.signal.aborted) {
      await pause(timers, silenceMs / LOOKS, closing.signal);
      if (current === undefined || closing.signal.aborted) continue;
      await checkLife(current.connection.socket);
      if (endpoints.length > 1 && current !== undefined) await lookAround(current);
    }
  }

  /** One that has said nothing for so long is asked for a sign of life. */
  async function checkLife(socket: RpcSocket): Promise<void> {
    silentLooks = socket.received() === heard ? silentLooks + 1 : 0;
    heard = socket.received();
    if (silentLooks < LOOKS) return;
    try {
      await socket.send('system_health', [], timers.timeout(READ_MS));
    } catch (error) {
      if (!(error instanceof RpcFault)) leave(socket, 'chain endpoint silent');
    }
  }

  function leave(socket: RpcSocket, why: string): void {
    if (!socket.lost.aborted) log.warn(why, { endpoint: socket.endpoint });
    socket.close();
  }

  /** Asks the other endpoints how far they are, and goes to one that is better, or preferred and well again. */
  async function lookAround(at: Attached): Promise<void> {
    const others = standings.ready().filter((endpoint) => endpoint !== at.endpoint);
    const seen = await Promise.all(others.map(async (endpoint) => ({ endpoint, tips: await tipsOf(endpoint) })));
    if (current !== at) return;
    const [best, finalized] = [at.heads.best().number, at.heads.finalized().number];
    const isStill = timers.now() - progressed >= silenceMs;
    for (const { endpoint, tips } of seen) {
      const isWell = tips !== undefined && tips.best + BEHIND_BLOCKS.best >= best;
      standings.looked(endpoint, isWell && tips.finalized + BEHIND_BLOCKS.finalized >= finalized);
    }
    const ahead = seen.find(
      ({ tips }) =>
        tips !== undefined && (tips.best > best + BEHIND_BLOCKS.best || (isStill && tips.finalized > finalized)),
    );
    if (ahead !== undefined) log.warn('chain endpoint stalled', { endpoint: at.endpoint, best, finalized });
    const target = ahead?.endpoint ?? standings.recovered(at.endpoint);
    if (target !== undefined) await moveTo(target);
  }

  async function tipsOf(endpoint: string) {
    return readTips(endpoint, genesis, timers, closing.signal).catch(() => undefined);
  }

  /** The old connection serves until the new one does. */
  async function moveTo(endpoint: string): Promise<void> {
    try {
      const next = await attach(endpoint, genesis, closing.signal);
      if (closing.signal.aborted) next.connection.socket.close();
      else adopt(next);
    } catch (error) {
      standings.failed(endpoint);
      log.debug('chain endpoint refused', { endpoint, message: errorMessage(error) });
    }
  }

  async function connection(caller?: AbortSignal): Promise<Connection> {
    caller?.throwIfAborted();
    closing.signal.throwIfAborted();
    if (current !== undefined) return current.connection;
    const stop = AbortSignal.any([timers.timeout(READ_MS), closing.signal, ...(caller === undefined ? [] : [caller])]);
    const stopped = Promise.withResolvers<never>();
    const onStop = () => stopped.reject(caller?.aborted ? caller.reason : unreachable(endpoints));
    stop.addEventListener('abort', onStop, { once: true });
    try {
      return await Promise.race([arrival.promise, stopped.promise]);
    } finally {
      stop.removeEventListener('abort', onStop);
    }
  }

  async function requestOnce(method: string, params: readonly unknown[], caller: AbortSignal | undefined, ms: number) {
    const late = timers.timeout(ms);
    const { socket } = await connection(caller);
    const before = socket.received();
    const stop = AbortSignal.any([late, closing.signal, ...(caller === undefined ? [] : [caller])]);
    try {
      return await socket.send(method, params, stop);
    } catch (error) {
      if (caller?.aborted || closing.signal.aborted || !late.aborted) throw error;
      if (socket.received() === before) leave(socket, 'chain endpoint silent');
      throw chainTimeout(method, ms);
    }
  }

  async function request(method: string, params: readonly unknown[], caller?: AbortSignal) {
    const used = current?.connection.socket;
    try {
      return await requestOnce(method, params, caller, READ_MS);
    } catch (error) {
      if (used === undefined || !used.lost.aborted || caller?.aborted || closing.signal.aborted) throw error;
      return requestOnce(method, params, caller, READ_MS);
    }
  }

  async function ask(method: string, params: readonly unknown[], at?: Hash, caller?: AbortSignal): Promise<unknown> {
    try {
      return await request(method, at === undefined ? params : [...params, at], caller);
    } catch (error) {
      if (!(error instanceof RpcFault)) throw error;
      if (at !== undefined && NO_STATE.includes(error.rpc)) throw stateDiscarded(at);
      throw chainFault(method, error.rpc, error.message);
    }
  }

  return {
    ...feeds,
    genesis,
    closed: closing.signal,
    connection,
    request,
    requestOnce,
    ask,
    close() {
      closing.abort(unreachable(endpoints));
      current?.connection.socket.close();
      feeds.best.close();
      feeds.finalized.close();
    },
  };
}
