// A development chain: executes the runtime of a raw chain spec in this process, builds blocks and serves JSON-RPC to unmodified clients.
// One author, no peers, no seals; `finalized` is the best block less a fixed number.

import { performance } from 'node:perf_hooks';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { Block } from './block.ts';
import { type Chain, createChain } from './chain.ts';
import { hashingReady } from './hashing.ts';
import type { Hex } from './hex.ts';
import { newBlocks } from './rpc/dev.ts';
import { createStall, type Stall } from './rpc/stall.ts';
import { createRpc } from './rpc/tables.ts';
import { startServer } from './server.ts';
import { genesisState, type RawSpec, readSpec, withGenesisTime } from './spec.ts';

export interface DevChainOptions {
  /** A raw spec, or the file that contains one. */
  readonly spec: string | RawSpec;
  /** Blocks come on request only, with each ready transaction, or every `blockMs`. */
  readonly mode: 'manual' | 'instant' | 'tick';
  /** Wall-clock milliseconds between blocks in tick mode (default 1000). The chain's own clock steps 6 s per block in every mode. */
  readonly blockMs?: number;
  /** Blocks between the best and the finalized head (default 2). */
  readonly finalityLag?: number;
  /** Where the chain is kept; without it, it lives in memory only. */
  readonly dbFile?: string;
  /** Wait for the disk after each block. */
  readonly fsync?: boolean;
  /** Default 127.0.0.1; dev_* methods answer loopback clients only. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Milliseconds since 1970 at which the chain's clock starts; default what the spec says. */
  readonly genesisTime?: number;
}

export interface Head {
  readonly number: number;
  readonly hash: Hex;
}

export interface DevChain {
  /** ws://host:port */
  readonly endpoint: string;
  /** http://host:port */
  readonly httpEndpoint: string;
  readonly genesisHash: Hex;
  head(): Head;
  finalizedHead(): Head;
  /** Builds blocks now, in every mode (default one); answers the last one. Throws when the runtime refuses. */
  newBlock(count?: number): Promise<Head>;
  /** Builds a block in each turn in which a transaction became ready, in every mode, until the answer is called. */
  authorOnDemand(): () => void;
  /** Calls `listener` with each new best head; answers how to stop. */
  onHead(listener: (head: Head) => void): () => void;
  /** Stops making blocks, closes the port, flushes the file. */
  close(): Promise<void>;
}

const DEFAULT_BLOCK_MS = 1000;
const DEFAULT_FINALITY_LAG = 2;

/**
 * Resolves when the port is open; block 1 exists then. Throws SpecError, RuntimeError, StoreError (`DEVCHAIN_FOREIGN_GENESIS`, `DEVCHAIN_DB_LOCKED`,
 * `DEVCHAIN_DB_DAMAGED`) or ServerError (`DEVCHAIN_PORT_BUSY`).
 */
export async function createDevChain(options: DevChainOptions, deps: { readonly log: Log }): Promise<DevChain> {
  await hashingReady();
  const spec = specOf(options);
  const chain = createChain(
    {
      genesis: genesisState(spec),
      finalityLag: options.finalityLag ?? DEFAULT_FINALITY_LAG,
      dbFile: options.dbFile,
      fsync: options.fsync ?? false,
    },
    deps,
  );
  try {
    return await serve(chain, spec, options, deps);
  } catch (error) {
    chain.close();
    throw error;
  }
}

function specOf({ spec, genesisTime }: DevChainOptions): RawSpec {
  const raw = typeof spec === 'string' ? readSpec(spec) : spec;
  return genesisTime === undefined ? raw : withGenesisTime(raw, genesisTime);
}

async function serve(
  chain: Chain,
  spec: RawSpec,
  options: DevChainOptions,
  deps: { readonly log: Log },
): Promise<DevChain> {
  if (chain.head().number === 0) chain.newBlock();
  const stall = createStall(() => performance.now());
  const host = options.host ?? '127.0.0.1';
  const server = await startServer({ host, port: options.port ?? 0 }, createRpc(chain, spec, stall), deps);
  const stopAuthor = startAuthor(chain, options, stall, deps);
  const authority = `${host.includes(':') ? `[${host}]` : host}:${server.port}`;

  let closing: Promise<void> | undefined;
  async function closeAll(): Promise<void> {
    stopAuthor();
    await server.close();
    chain.close();
  }

  return {
    endpoint: `ws://${authority}`,
    httpEndpoint: `http://${authority}`,
    genesisHash: chain.genesis().hash,
    head: () => toHead(chain.head()),
    finalizedHead: () => toHead(chain.finalized()),
    newBlock: async (count = 1) => toHead(await newBlocks(chain, count)),
    authorOnDemand: () => onReadyTransactions(chain, createAuthor(chain, stall, deps)),
    onHead: (listener) =>
      chain.onEvent((event) => {
        if (event.type === 'best') listener(toHead(event.block));
      }),
    close: () => {
      closing ??= closeAll();
      return closing;
    },
  };
}

function toHead({ number, hash }: Block): Head {
  return { number, hash };
}

/** Makes one block unless a test forbids it; a refusal of the runtime is logged. */
function createAuthor(chain: Chain, stall: Stall, deps: { readonly log: Log }): () => void {
  return () => {
    if (!stall.blocksAllowed()) return;
    try {
      chain.newBlock();
    } catch (error) {
      deps.log.error('no block', { parent: chain.head().number, error: errorMessage(error) });
    }
  };
}

/** Makes blocks as the mode says; answers how to stop. */
function startAuthor(chain: Chain, options: DevChainOptions, stall: Stall, deps: { readonly log: Log }): () => void {
  const author = createAuthor(chain, stall, deps);
  switch (options.mode) {
    case 'manual':
      return () => undefined;
    case 'instant':
      return onReadyTransactions(chain, author);
    case 'tick':
      return every(options.blockMs ?? DEFAULT_BLOCK_MS, author);
  }
}

/** Once per turn of the event loop in which a transaction became ready. */
function onReadyTransactions(chain: Chain, author: () => void): () => void {
  let planned: NodeJS.Immediate | undefined;
  const stop = chain.onEvent((event) => {
    if (event.type !== 'transaction' || event.status !== 'ready') return;
    planned ??= setImmediate(() => {
      planned = undefined;
      author();
    });
  });
  return () => {
    stop();
    clearImmediate(planned);
  };
}

/** Calls at fixed times from the start on, so that slow calls do not shift the later ones; calls that are overdue are left out. */
function every(ms: number, action: () => void): () => void {
  let due = performance.now() + ms;
  let timer = setTimeout(tick, ms);
  function tick(): void {
    action();
    const now = performance.now();
    due = Math.max(due + ms, now);
    timer = setTimeout(tick, due - now);
  }
  return () => clearTimeout(timer);
}
