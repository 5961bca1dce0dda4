// One connection to one endpoint: the socket, and the runtime that its metadata describes. Lives until the socket is lost, or the chain has
// another runtime: then it ends, and the next connection reads the metadata anew.

import { z } from 'zod';
import type { Hash } from '../../types/ids.ts';
import { raceSignal } from '../../util/async.ts';
import type { Log } from '../../util/log.ts';
import type { Timers } from '../../util/timers.ts';
import { createDialect } from '../dialects/choose.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { unreachable } from '../errors.ts';
import { ChainError } from '../types.ts';
import { createProvider } from './provider.ts';
import { divertPolkadotLines } from './quiet.ts';
import { openSocket, type RpcSocket } from './rpc-socket.ts';
import { createRuntime, type Runtime } from './runtime.ts';

export interface Connection {
  readonly socket: RpcSocket;
  readonly runtime: Runtime;
  readonly dialect: Dialect;
}

const OPEN_MS = 5_000;
/** Metadata is some 100 KB, and takes 0.2 s of computing where nothing else runs. */
const METADATA_MS = 15_000;

export interface ConnectionDeps {
  readonly log: Log;
  readonly timers: Timers;
}

/**
 * Errors: CHAIN_UNREACHABLE (also when it takes too long), CHAIN_WRONG_GENESIS when another chain than `genesis` answers, CHAIN_UNSUPPORTED,
 * RpcFault, the signal's reason.
 */
export async function openConnection(
  endpoint: string,
  genesis: Hash | undefined,
  deps: ConnectionDeps,
  signal: AbortSignal,
): Promise<Connection> {
  // Loaded here and not above: it takes over a second (many on a busy machine, so no deadline), which only who has a chain should wait for.
  const { ApiPromise } = await import('@polkadot/api/promise');
  const socket = await openProven(endpoint, genesis, deps.timers, signal);
  const late = deps.timers.timeout(METADATA_MS);
  try {
    const stop = AbortSignal.any([signal, late, socket.lost]);
    await endWithRuntime(socket, deps, stop);
    divertPolkadotLines(deps.log);
    const api = new ApiPromise({ provider: createProvider(socket), noInitWarn: true, initWasm: false });
    const runtime = createRuntime(await raceSignal(api.isReadyOrError, stop));
    return { socket, runtime, dialect: createDialect(runtime) };
  } catch (error) {
    socket.close();
    signal.throwIfAborted();
    throw late.aborted ? unreachable([endpoint], error) : error;
  }
}

/**
 * Where the chain at an endpoint ends now. Leaves no connection behind.
 *
 * Errors: as `openConnection`.
 */
export async function readTips(
  endpoint: string,
  genesis: Hash,
  timers: Timers,
  signal: AbortSignal,
): Promise<{ readonly best: number; readonly finalized: number }> {
  const late = timers.timeout(OPEN_MS);
  const stop = AbortSignal.any([signal, late]);
  const socket = await openProven(endpoint, genesis, timers, stop);
  try {
    const numberOf = async (...params: readonly unknown[]) =>
      Number(TIP.parse(await socket.send('chain_getHeader', params, stop)).number);
    const finalized = await socket.send('chain_getFinalizedHead', [], stop);
    return { best: await numberOf(), finalized: await numberOf(finalized) };
  } finally {
    socket.close();
  }
}

const TIP = z.object({ number: z.string() });

async function openProven(
  endpoint: string,
  genesis: Hash | undefined,
  timers: Timers,
  signal: AbortSignal,
): Promise<RpcSocket> {
  const late = timers.timeout(OPEN_MS);
  const stop = AbortSignal.any([signal, late]);
  let socket: RpcSocket | undefined;
  try {
    socket = await openSocket(endpoint, stop);
    if (genesis !== undefined) await checkGenesis(socket, genesis, stop);
    return socket;
  } catch (error) {
    socket?.close();
    signal.throwIfAborted();
    throw late.aborted ? unreachable([endpoint], error) : error;
  }
}

/** Subscribed before the metadata is read, so that no change falls between the two. */
async function endWithRuntime(socket: RpcSocket, { log }: ConnectionDeps, signal: AbortSignal): Promise<void> {
  let first: string | undefined;
  const onVersion = (value: unknown) => {
    const { specName, specVersion, transactionVersion } = VERSION.parse(value);
    const found = `${specName} ${specVersion}.${transactionVersion}`;
    first ??= found;
    if (found === first) return;
    log.info('the chain has another runtime', { endpoint: socket.endpoint, was: first, now: found });
    socket.close();
  };
  await socket.subscribe('state_subscribeRuntimeVersion', [], onVersion, signal);
}

const VERSION = z.object({ specName: z.string(), specVersion: z.number(), transactionVersion: z.number() });

async function checkGenesis(socket: RpcSocket, expected: Hash, signal: AbortSignal): Promise<void> {
  const found = String(await socket.send('chain_getBlockHash', [0], signal)) as Hash;
  if (found === expected) return;
  throw new ChainError(
    { code: 'CHAIN_WRONG_GENESIS', expected, found },
    `${socket.endpoint} is on the chain with genesis ${found}, this node belongs to ${expected}: check --rpc`,
  );
}
