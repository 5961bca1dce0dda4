// One connection to one endpoint: the socket, and the runtime that its metadata describes. Lives until the socket is lost.

import type { Hash } from '../../types/ids.ts';
import { raceSignal, withDeadline } from '../../util/async.ts';
import type { Log } from '../../util/log.ts';
import { createTesseraDialect, type Dialect } from '../dialects/tessera.ts';
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

/**
 * Errors: CHAIN_UNREACHABLE, CHAIN_WRONG_GENESIS when another chain than `genesis` answers, CHAIN_UNSUPPORTED, the signal's reason.
 */
export async function openConnection(
  endpoint: string,
  genesis: Hash | undefined,
  deps: { readonly log: Log },
  signal: AbortSignal,
): Promise<Connection> {
  const socket = await openSocket(endpoint, withDeadline(signal, OPEN_MS));
  try {
    if (genesis !== undefined) await checkGenesis(socket, genesis, withDeadline(signal, OPEN_MS));
    const runtime = await loadRuntime(socket, deps, signal);
    return { socket, runtime, dialect: createTesseraDialect(runtime) };
  } catch (error) {
    socket.close();
    throw error;
  }
}

async function checkGenesis(socket: RpcSocket, expected: Hash, signal: AbortSignal): Promise<void> {
  const found = String(await socket.send('chain_getBlockHash', [0], signal)) as Hash;
  if (found === expected) return;
  throw new ChainError(
    { code: 'CHAIN_WRONG_GENESIS', expected, found },
    `${socket.endpoint} is on the chain with genesis ${found}, this node belongs to ${expected}: check --rpc`,
  );
}

async function loadRuntime(socket: RpcSocket, { log }: { readonly log: Log }, signal: AbortSignal): Promise<Runtime> {
  divertPolkadotLines(log);
  // Loaded here and not above: it takes over a second (many on a busy machine, so no deadline), which only who has a chain should wait for.
  const { ApiPromise } = await import('@polkadot/api/promise');
  const api = new ApiPromise({ provider: createProvider(socket), noInitWarn: true, initWasm: false });
  await raceSignal(api.isReadyOrError, AbortSignal.any([withDeadline(signal, METADATA_MS), socket.lost]));
  return createRuntime(api);
}
