// Keeps a connection to the chain: endpoints in order of preference, a new connection as soon as one is lost, the same chain for ever. Heads
// survive all of that. Trusts an endpoint to be the chain whose genesis it names.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Hash } from '../../types/ids.ts';
import { withDeadline } from '../../util/async.ts';
import { errorCode, errorMessage } from '../../util/errors.ts';
import type { Log } from '../../util/log.ts';
import { chainFault, chainTimeout, stateDiscarded, unreachable } from '../errors.ts';
import { createHeadFeed, type HeadFeed } from '../heads.ts';
import { ChainError } from '../types.ts';
import { type Connection, openConnection } from './connection.ts';
import { RpcFault, type RpcSocket } from './rpc-socket.ts';

export interface Link {
  readonly best: HeadFeed;
  readonly finalized: HeadFeed;
  readonly genesis: Hash;
  /** Aborts when the link is closed. */
  readonly closed: AbortSignal;
  /** The connection now, or the next one if it comes within the deadline. Errors: CHAIN_UNREACHABLE, the signal's reason. */
  connection(signal?: AbortSignal): Promise<Connection>;
  /**
   * One request with its deadline; repeated once on a new connection when the old one is lost meanwhile.
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

/** Deadlines of chain.md 10.2. */
const READ_MS = 5_000;

/** Between two rounds over all endpoints. */
const RETRY_MS = { first: 500, most: 30_000 } as const;

/** Without a message for this long the endpoint is asked for a sign of life; without a new head it is left where there is another one. */
const SILENCE_MS = 30_000;

/** JSON-RPC codes of a state that is not there (any more): unknown block, state discarded (chain.md 9). */
const NO_STATE: readonly number[] = [4001, 4003];

/**
 * Connects to the first endpoint that answers.
 *
 * Errors when none does: CHAIN_WRONG_GENESIS or CHAIN_UNSUPPORTED if one of them answered so, else CHAIN_UNREACHABLE.
 */
export async function createLink(
  options: { readonly endpoints: readonly string[]; readonly genesis?: Hash; readonly silenceMs?: number },
  deps: { readonly log: Log },
  signal?: AbortSignal,
): Promise<Link> {
  const { log } = deps;
  const { endpoints, silenceMs = SILENCE_MS } = options;
  const closing = new AbortController();
  const best = createHeadFeed();
  const finalized = createHeadFeed();
  const first = await connectAny(endpoints, options.genesis, deps, signal ?? closing.signal);
  const { genesis } = first.runtime;
  let current: Connection | undefined;
  let arrival = Promise.withResolvers<Connection>();
  let progressed = performance.now();
  let stalled: string | undefined;
  await follow(first);
  const watch = setInterval(() => void checkLife(), silenceMs / 3).unref();

  async function follow(connection: Connection): Promise<void> {
    const { socket, runtime } = connection;
    const stop = AbortSignal.any([closing.signal, AbortSignal.timeout(READ_MS)]);
    const onBest = (header: unknown) => publishBest(runtime.head(header));
    const onFinalized = (header: unknown) => publishFinalized(runtime.head(header));
    try {
      await socket.subscribe('chain_subscribeFinalizedHeads', [], onFinalized, stop);
      await socket.subscribe('chain_subscribeNewHeads', [], onBest, stop);
      await firstHeads(stop);
    } catch (error) {
      socket.close();
      throw error;
    }
    current = connection;
    socket.lost.addEventListener('abort', () => void replace(connection), { once: true });
    if (socket.lost.aborted) void replace(connection);
    arrival.resolve(connection);
    log.info('chain connected', { endpoint: socket.endpoint, genesis });
  }

  /** The first notice of a subscription comes right behind its answer. */
  async function firstHeads(stop: AbortSignal): Promise<void> {
    await best.until(() => true, stop);
    await finalized.until(() => true, stop);
  }

  function publishBest(head: { number: number; hash: Hash } & Parameters<HeadFeed['publish']>[0]): void {
    if (best.last?.hash === head.hash) return;
    progressed = performance.now();
    best.publish(head);
  }

  function publishFinalized(head: Parameters<HeadFeed['publish']>[0]): void {
    if (finalized.last === undefined || head.number > finalized.last.number) finalized.publish(head);
  }

  async function replace(old: Connection): Promise<void> {
    if (current !== old || closing.signal.aborted) return;
    current = undefined;
    arrival = Promise.withResolvers();
    log.warn('chain connection lost', { endpoint: old.socket.endpoint });
    for (let round = 0; current === undefined && !closing.signal.aborted; round++) {
      if (round > 0) await pause(round);
      try {
        await follow(await connectAny(inOrder(), genesis, deps, closing.signal));
        progressed = performance.now();
      } catch (error) {
        log.debug('chain not reachable', { code: errorCode(error), message: errorMessage(error) });
      }
    }
  }

  /** 0.5 s, doubled up to 30 s, half of it by chance, so that many nodes do not come back at once. */
  async function pause(round: number): Promise<void> {
    const ms = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** (round - 1));
    await sleep(ms * (0.5 + Math.random() / 2), undefined, { signal: closing.signal, ref: false }).catch(
      () => undefined,
    );
  }

  /** The one that stalled is tried last. */
  function inOrder(): readonly string[] {
    return [
      ...endpoints.filter((endpoint) => endpoint !== stalled),
      ...endpoints.filter((endpoint) => endpoint === stalled),
    ];
  }

  async function checkLife(): Promise<void> {
    const socket = current?.socket;
    if (socket === undefined) return;
    if (endpoints.length > 1 && performance.now() - progressed > silenceMs) leave(socket);
    else if (performance.now() - socket.lastHeard() > silenceMs) await ping(socket);
  }

  function leave(socket: RpcSocket): void {
    log.warn('chain endpoint stalled', { endpoint: socket.endpoint });
    stalled = socket.endpoint;
    socket.close();
  }

  async function ping(socket: RpcSocket): Promise<void> {
    try {
      await socket.send('system_health', [], AbortSignal.timeout(READ_MS));
    } catch (error) {
      if (error instanceof RpcFault) return;
      log.warn('chain endpoint silent', { endpoint: socket.endpoint });
      socket.close();
    }
  }

  async function connection(caller?: AbortSignal): Promise<Connection> {
    caller?.throwIfAborted();
    closing.signal.throwIfAborted();
    if (current !== undefined) return current;
    const wait = [AbortSignal.timeout(READ_MS), closing.signal, ...(caller === undefined ? [] : [caller])];
    const stop = AbortSignal.any(wait);
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
    const { socket } = await connection(caller);
    const stop = AbortSignal.any([withDeadline(caller, ms), closing.signal]);
    try {
      return await socket.send(method, params, stop);
    } catch (error) {
      if (caller?.aborted || closing.signal.aborted) throw error;
      if (stop.aborted) throw chainTimeout(method, ms);
      throw error;
    }
  }

  async function request(method: string, params: readonly unknown[], caller?: AbortSignal) {
    try {
      return await requestOnce(method, params, caller, READ_MS);
    } catch (error) {
      if (errorCode(error) !== 'CHAIN_UNREACHABLE' || closing.signal.aborted) throw error;
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
    best,
    finalized,
    genesis,
    closed: closing.signal,
    connection,
    request,
    requestOnce,
    ask,
    close() {
      clearInterval(watch);
      closing.abort(unreachable(endpoints));
      current?.socket.close();
      best.close();
      finalized.close();
    },
  };
}

async function connectAny(
  endpoints: readonly string[],
  genesis: Hash | undefined,
  deps: { readonly log: Log },
  signal: AbortSignal,
): Promise<Connection> {
  const failures: unknown[] = [];
  for (const endpoint of endpoints) {
    try {
      return await openConnection(endpoint, genesis, deps, signal);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
      deps.log.debug('chain endpoint refused', { endpoint, message: errorMessage(error) });
    }
  }
  const told = failures.find((error) => error instanceof ChainError && error.code !== 'CHAIN_UNREACHABLE');
  throw told ?? unreachable(endpoints, failures[0]);
}
