// The heads that one endpoint tells. A head that follows the one before is taken as it is; any other (the first, a gap, a fork) is asked for by
// the hash that we compute from it, so that numbers and hashes that the endpoint made up do not pass. What a wholly invented chain says about
// itself cannot be told from the truth here.

import { z } from 'zod';
import type { Hash } from '../../types/ids.ts';
import { raceSignal } from '../../util/async.ts';
import { errorMessage } from '../../util/errors.ts';
import type { Log } from '../../util/log.ts';
import type { Timers } from '../../util/timers.ts';
import { chainTimeout } from '../errors.ts';
import type { Head } from '../types.ts';
import type { Connection } from './connection.ts';

export type HeadKind = 'best' | 'finalized';

/** The newest ones that passed. */
export type FollowedHeads = Readonly<Record<HeadKind, () => Head>>;

interface FollowDeps {
  readonly log: Log;
  readonly timers: Timers;
  tell(kind: HeadKind, head: Head): void;
}

/** Deadline of an answer (chain.md 10.2). */
const ANSWER_MS = 5_000;

const METHODS = { best: 'chain_subscribeNewHeads', finalized: 'chain_subscribeFinalizedHeads' } as const;

const LINKED = z.object({ parentHash: z.string() });

/**
 * Resolves when both first heads are known; ends the connection later when one does not pass.
 *
 * Errors: CHAIN_TIMEOUT, CHAIN_UNREACHABLE (also for an endpoint that invents heads), RpcFault, the signal's reason.
 */
export async function followHeads(
  connection: Connection,
  deps: FollowDeps,
  signal: AbortSignal,
): Promise<FollowedHeads> {
  const late = deps.timers.timeout(ANSWER_MS);
  const stop = AbortSignal.any([signal, late, connection.socket.lost]);
  try {
    const finalized = await followKind('finalized', connection, deps, stop);
    const best = await followKind('best', connection, deps, stop);
    return { best, finalized };
  } catch (error) {
    signal.throwIfAborted();
    connection.socket.lost.throwIfAborted();
    throw late.aborted ? chainTimeout('first heads', ANSWER_MS) : error;
  }
}

async function followKind(
  kind: HeadKind,
  { socket, runtime }: Connection,
  { log, timers, tell }: FollowDeps,
  stop: AbortSignal,
): Promise<() => Head> {
  const first = Promise.withResolvers<void>();
  let last: Head | undefined;
  /** The newest head that has not been asked for yet; older ones are skipped. */
  let next: Head | undefined;
  let isAsking = false;

  function take(header: unknown): void {
    const head = runtime.head(header);
    if (head.hash === last?.hash) return;
    const follows = LINKED.parse(header).parentHash === last?.hash && head.number === last.number + 1;
    if (follows && !isAsking) {
      accept(head);
      return;
    }
    next = head;
    if (!isAsking) void askForNext();
  }

  function accept(head: Head): void {
    last = head;
    first.resolve();
    tell(kind, head);
  }

  async function askForNext(): Promise<void> {
    isAsking = true;
    try {
      for (let head = next; head !== undefined; head = next) {
        next = undefined;
        await assertKnown(head.hash);
        accept(head);
      }
    } catch (error) {
      if (socket.lost.aborted) return;
      const facts = { endpoint: socket.endpoint, kind, message: errorMessage(error) };
      log.warn('chain endpoint tells of a head that it does not have', facts);
      socket.close();
    } finally {
      isAsking = false;
    }
  }

  async function assertKnown(hash: Hash): Promise<void> {
    const header = await socket.send('chain_getHeader', [hash], timers.timeout(ANSWER_MS));
    if (header === null || runtime.head(header).hash !== hash) throw new RangeError(`no block ${hash}`);
  }

  await socket.subscribe(METHODS[kind], [], take, stop);
  await raceSignal(first.promise, stop);
  return () => last as Head;
}
