// The chain itself: one author who builds on his own head, the pool, the history, and the file that keeps them. Everything here is
// synchronous, so no other code runs in the middle of a block. Listeners hear of every new head, of finality and of each transaction's fate.

import { fromHex } from '../util/bytes.ts';
import { CodedError, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { type Block, type BuiltBlock, buildBlock } from './block.ts';
import { blake2b256 } from './hashing.ts';
import { type Header, headerHash, ZERO_HASH } from './header.ts';
import { type Hex, hex, hexToKey, keyToHex } from './hex.ts';
import { createHistory, type History } from './history.ts';
import { createPool, POOL_LIMITS, type PoolEntry } from './pool.ts';
import { createRuntimes, type Runtime } from './runtime.ts';
import { createState } from './state.ts';
import { openStore, type Store, type StoredChanges, StoreError } from './store.ts';
import { createBans, type SubmitResult, submitTransaction, validationArguments } from './transactions.ts';
import { type Trie, trieDelete, trieDiff, trieSet } from './trie.ts';
import { orderedRoot, trieRoot } from './trie-root.ts';
import { decodeValidity, isRefusal, type Refusal, type ValidTransaction } from './validity.ts';

/** The words of author_extrinsicUpdate, less `finalized`: that follows from the block a transaction is in. */
export type TransactionStatus =
  | 'ready'
  | 'future'
  | 'dropped'
  | 'invalid'
  | { readonly inBlock: Hex }
  | { readonly retracted: Hex }
  | { readonly usurped: Hex };

export type ChainEvent =
  | { readonly type: 'best'; readonly block: Block }
  | { readonly type: 'finalized'; readonly block: Block }
  /** The head's state was changed from outside. */
  | { readonly type: 'patched'; readonly block: Block }
  | { readonly type: 'transaction'; readonly hash: Hex; readonly status: TransactionStatus };

export interface ChainStats {
  readonly blocks: number;
  readonly transactions: number;
  readonly pool: number;
  readonly poolBytes: number;
  readonly buildMs: number;
}

export interface Reorg {
  readonly depth: number;
  /** Blocks to build in their place. */
  readonly blocks: number;
  /** Hashes of transactions that do not return to the pool. */
  readonly drop: readonly string[];
  /** Also below the finalized head. */
  readonly force: boolean;
}

export interface Chain {
  readonly head: () => Block;
  readonly finalized: () => Block;
  readonly genesis: () => Block;
  byNumber(number: number): Block | undefined;
  byHash(hash: string): Block | undefined;
  /** State after a block; throws HistoryError. */
  stateAfter(block: Block): Trie;
  runtimeAt(block: Block): Runtime;
  /** Calls a runtime function on the state after a block; its changes are thrown away. */
  call(block: Block, method: string, args?: Uint8Array): Uint8Array;
  submit(extrinsic: Uint8Array): SubmitResult;
  /** Waiting transactions in order of arrival. */
  pending(): readonly PoolEntry[];
  isReady(hash: Hex): boolean;
  /** Whether a waiting transaction provides this tag. */
  providesTag(tag: string): boolean;
  /** Throws RuntimeError, BlockError or StoreError; then nothing has changed. */
  newBlock(): Block;
  setStorage(changes: StoredChanges): Block;
  reorg(plan: Reorg): Block;
  setFinalityLag(blocks: number): void;
  stats(): ChainStats;
  /** Answers how to stop listening. */
  onEvent(listener: (event: ChainEvent) => void): () => void;
  close(): void;
}

export interface ChainOptions {
  /** Genesis state. */
  readonly genesis: Trie;
  /** `finalized` is the best block less so many. */
  readonly finalityLag: number;
  readonly dbFile: string | undefined;
  readonly fsync: boolean;
}

class ReorgError extends CodedError<{ code: 'REORG_BELOW_FINALIZED'; depth: number }> {}

/** Waiting transactions that the runtime judges again after each block; the others follow in turn. */
const REVALIDATED_PER_BLOCK = 64;

export function createChain(options: ChainOptions, deps: { readonly log: Log }): Chain {
  const runtimeOf = createRuntimes(deps);
  const genesis = genesisBlock(options.genesis, runtimeOf(options.genesis).version.stateVersion);
  const history = createHistory(genesis, options.genesis);
  const store = openAndReplay(options, history);
  const pool = createPool(POOL_LIMITS);
  const bans = createBans();
  const listeners = new Set<(event: ChainEvent) => void>();
  const counts = { blocks: 0, transactions: 0, buildMs: 0 };
  let { finalityLag } = options;
  history.finalize(history.head().number - finalityLag);

  const headState = () => history.stateAfter(history.head());
  const next = () => history.head().number + 1;

  function emit(event: ChainEvent): void {
    for (const listener of [...listeners]) {
      try {
        listener(event);
      } catch (error) {
        deps.log.error('listener failed', { error: errorMessage(error) });
      }
    }
  }

  const tell = (hash: Hex, status: TransactionStatus) => emit({ type: 'transaction', hash, status });

  function call(block: Block, method: string, args?: Uint8Array): Uint8Array {
    const trie = history.stateAfter(block);
    return runtimeOf(trie).call(createState(trie), method, args);
  }

  function validate(extrinsic: Uint8Array): ValidTransaction | Refusal {
    const head = history.head();
    const args = validationArguments(extrinsic, fromHex(head.hash));
    return decodeValidity(call(head, 'TaggedTransactionQueue_validate_transaction', args));
  }

  function submit(extrinsic: Uint8Array): SubmitResult {
    const result = submitTransaction(extrinsic, next(), { pool, bans, validate });
    if (!result.ok) return result;
    for (const { hash } of result.added.usurped) tell(hash, { usurped: result.hash });
    tell(result.hash, result.added.state);
    for (const hash of result.added.promoted) tell(hash, 'ready');
    return result;
  }

  function newBlock(skipSlots = 0): Block {
    const started = performance.now();
    const trie = headState();
    const built = buildBlock({
      parent: history.head(),
      trie,
      runtime: runtimeOf(trie),
      candidates: pool.candidates(),
      skipSlots,
    });
    const { block } = built;
    store?.append({ h: block.hash, d: block.header, x: block.extrinsics, s: changesBetween(trie, built.trie) });
    history.append(block, built.trie);
    counts.blocks++;
    counts.transactions += built.included.length;
    counts.buildMs += performance.now() - started;
    adopt(built);
    return block;
  }

  /** What follows from a new head, for the pool and the listeners. */
  function adopt({ block, included, refused }: BuiltBlock): void {
    for (const { entry, trapped } of refused) if (trapped) bans.add(entry.hash, block.number);
    pool.remove(refused.map(({ entry }) => entry.hash));
    const settled = pool.settle(included, next());
    emit({ type: 'best', block });
    for (const { hash } of included) tell(hash, { inBlock: block.hash });
    for (const { entry, reason, trapped } of refused) {
      deps.log.warn('transaction refused in block', { hash: entry.hash, reason });
      tell(entry.hash, trapped ? 'dropped' : 'invalid');
    }
    for (const { hash } of [...settled.outdated, ...settled.expired]) tell(hash, 'invalid');
    for (const hash of settled.promoted) tell(hash, 'ready');
    revalidate(turn(pool.entries(), block.number));
    finalize();
  }

  function finalize(): void {
    for (const block of history.finalize(history.head().number - finalityLag)) emit({ type: 'finalized', block });
  }

  function revalidate(entries: readonly PoolEntry[]): void {
    for (const { hash, bytes } of entries) {
      const verdict = verdictOf(bytes, validate);
      if (verdict !== undefined) {
        pool.refresh(hash, verdict, next());
        continue;
      }
      pool.remove([hash]);
      tell(hash, 'invalid');
    }
  }

  function setStorage(changes: StoredChanges): Block {
    const trie = applyChanges(headState(), changes);
    runtimeOf(trie);
    store?.append({ o: changes });
    history.replaceHeadState(trie);
    emit({ type: 'patched', block: history.head() });
    revalidate(pool.entries());
    return history.head();
  }

  function reorg(plan: Reorg): Block {
    const floor = history.finalized().number;
    const target = history.head().number - plan.depth;
    if (target < floor && !plan.force) {
      const facts = { code: 'REORG_BELOW_FINALIZED', depth: plan.depth } as const;
      throw new ReorgError(facts, `block ${floor} is finalized: a rollback of ${plan.depth} blocks needs force`);
    }
    // Before it is on disk: a file that goes back to a state nobody has could not be opened again.
    history.assertRetractable(plan.depth);
    store?.append({ r: plan.depth });
    const retracted = history.retract(plan.depth);
    history.unfinalize(target);
    revalidate(pool.entries());
    returnTransactions(retracted, new Set(plan.drop.map((hash) => hash.toLowerCase())));
    for (let built = 0; built < plan.blocks; built++) newBlock(built === 0 ? 1 : 0);
    if (plan.blocks === 0) emit({ type: 'best', block: history.head() });
    return history.head();
  }

  /** Inherents and what has become invalid are refused by the runtime; that is right. */
  function returnTransactions(retracted: readonly Block[], dropped: ReadonlySet<string>): void {
    for (const block of retracted.toReversed()) {
      for (const extrinsic of block.extrinsics) {
        const bytes = fromHex(extrinsic);
        const hash = hex(blake2b256(bytes));
        tell(hash, { retracted: block.hash });
        if (dropped.has(hash)) tell(hash, 'dropped');
        else submit(bytes);
      }
    }
  }

  return {
    head: history.head,
    finalized: history.finalized,
    genesis: history.genesis,
    byNumber: history.byNumber,
    byHash: history.byHash,
    stateAfter: history.stateAfter,
    runtimeAt: (block) => runtimeOf(history.stateAfter(block)),
    call,
    submit,
    pending: pool.entries,
    isReady: pool.isReady,
    providesTag: pool.provides,
    newBlock: () => newBlock(),
    setStorage,
    reorg,
    setFinalityLag: (blocks) => {
      finalityLag = blocks;
      finalize();
    },
    stats: () => ({ ...counts, pool: pool.size(), poolBytes: pool.bytes() }),
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => store?.close(),
  };
}

function genesisBlock(trie: Trie, stateVersion: 0 | 1): Block {
  const header: Header = {
    parentHash: ZERO_HASH,
    number: 0,
    stateRoot: hex(trieRoot(trie, stateVersion)),
    extrinsicsRoot: hex(orderedRoot([], 0)),
    logs: [],
  };
  return { number: 0, hash: headerHash(header), header, extrinsics: [] };
}

/** Undefined: the transaction has no future. */
function verdictOf(
  bytes: Uint8Array,
  validate: (extrinsic: Uint8Array) => ValidTransaction | Refusal,
): ValidTransaction | undefined {
  try {
    const validity = validate(bytes);
    return isRefusal(validity) ? undefined : validity;
  } catch {
    return undefined;
  }
}

/** A window over the entries that moves on with each block. */
function turn(entries: readonly PoolEntry[], block: number): readonly PoolEntry[] {
  if (entries.length <= REVALIDATED_PER_BLOCK) return entries;
  const start = (block * REVALIDATED_PER_BLOCK) % entries.length;
  return [...entries, ...entries].slice(start, start + REVALIDATED_PER_BLOCK);
}

function changesBetween(before: Trie, after: Trie): StoredChanges {
  return Array.from(
    trieDiff(before, after),
    ([key, value]) => [keyToHex(key), value === undefined ? null : hex(value)] as const,
  );
}

function applyChanges(before: Trie, changes: StoredChanges): Trie {
  let trie = before;
  for (const [key, value] of changes) {
    trie = value === null ? trieDelete(trie, hexToKey(key)) : trieSet(trie, hexToKey(key), fromHex(value));
  }
  return trie;
}

function openAndReplay(options: ChainOptions, history: History): Store | undefined {
  if (options.dbFile === undefined) return undefined;
  const store = openStore({ file: options.dbFile, genesis: history.genesis().hash, fsync: options.fsync });
  try {
    replay(store, history);
    return store;
  } catch (error) {
    store.close();
    throw error instanceof StoreError ? error : store.damaged(errorMessage(error));
  }
}

/** Brings the history to where the file ends. Links and hashes must be right, and so must the state root of the last block. */
function replay(store: Store, history: History): void {
  let unproven: { readonly block: Block; readonly trie: Trie } | undefined;
  for (const record of store.records()) {
    const trie = () => history.stateAfter(history.head());
    if ('r' in record) history.retract(record.r);
    else if ('o' in record) history.replaceHeadState(applyChanges(trie(), record.o));
    else if ('h' in record) {
      const block: Block = { number: record.d.number, hash: record.h, header: record.d, extrinsics: record.x };
      if (!follows(block, history.head())) throw store.damaged('the block does not follow the one before');
      unproven = { block, trie: applyChanges(trie(), record.s) };
      history.append(block, unproven.trie);
    }
  }
  if (unproven !== undefined && !hasStateRoot(unproven.block, unproven.trie))
    throw store.damaged('the state is not the one of the block');
}

function follows(block: Block, parent: Block): boolean {
  return (
    block.header.parentHash === parent.hash &&
    block.number === parent.number + 1 &&
    headerHash(block.header) === block.hash
  );
}

/** Under either version: which one the runtime uses does not matter here. */
function hasStateRoot({ header }: Block, trie: Trie): boolean {
  return ([1, 0] as const).some((version) => hex(trieRoot(trie, version)) === header.stateRoot);
}
