// Transactions that wait for a block. Knows tags and priorities, not what a transaction says: the runtime's answer comes with each of them.
// Ready = everything it requires is provided by ready transactions; the others are kept as future.

import type { Hex } from './hex.ts';
import type { Tag, ValidTransaction } from './validity.ts';

export interface PoolEntry {
  readonly hash: Hex;
  readonly bytes: Uint8Array;
  readonly validity: ValidTransaction;
  /** Order of arrival. */
  readonly arrival: number;
  /** Number of the first block in which the runtime's answer no longer holds. */
  readonly expires: number;
}

export type AddResult =
  | {
      readonly ok: true;
      readonly state: 'ready' | 'future';
      readonly usurped: readonly PoolEntry[];
      readonly promoted: readonly Hex[];
    }
  | { readonly ok: false; readonly code: 'LOW_PRIORITY'; readonly old: bigint; readonly new: bigint }
  | { readonly ok: false; readonly code: 'FULL' };

/** What a new best block means for the pool. */
export interface SettleResult {
  /** Left behind by the block: something else provided what they provide. */
  readonly outdated: readonly PoolEntry[];
  readonly expired: readonly PoolEntry[];
  readonly promoted: readonly Hex[];
}

export interface Pool {
  /** `next` is the number of the next block. */
  add(transaction: { hash: Hex; bytes: Uint8Array; validity: ValidTransaction }, next: number): AddResult;
  /** Replaces the runtime's answer of an entry. */
  refresh(hash: Hex, validity: ValidTransaction, next: number): void;
  remove(hashes: Iterable<Hex>): void;
  /** Takes the block's transactions out; `next` is the number of the block after it. */
  settle(included: readonly PoolEntry[], next: number): SettleResult;
  has(hash: Hex): boolean;
  isReady(hash: Hex): boolean;
  /** All entries in order of arrival. */
  entries(): readonly PoolEntry[];
  /**
   * Ready entries, highest priority first, then first come; one that requires another comes only after `next(true)` told that the other is
   * in the block.
   */
  candidates(): Generator<PoolEntry, void, boolean>;
  provides(tag: Tag): boolean;
  readonly size: () => number;
  readonly bytes: () => number;
}

export interface PoolLimits {
  readonly entries: number;
  readonly bytes: number;
}

/** As in Substrate's default pool: 8192 transactions, 20 MB. */
export const POOL_LIMITS: PoolLimits = { entries: 8192, bytes: 20 * 2 ** 20 };

export function createPool(limits: PoolLimits): Pool {
  const entries = new Map<Hex, PoolEntry>();
  const providers = new Map<Tag, PoolEntry>();
  let ready = new Set<Hex>();
  let arrivals = 0;
  let bytes = 0;

  function drop(entry: PoolEntry): void {
    entries.delete(entry.hash);
    bytes -= entry.bytes.length;
    for (const tag of entry.validity.provides) if (providers.get(tag) === entry) providers.delete(tag);
  }

  function put(entry: PoolEntry): void {
    entries.set(entry.hash, entry);
    bytes += entry.bytes.length;
    for (const tag of entry.validity.provides) providers.set(tag, entry);
  }

  /** Recomputes who is ready; answers who has become it. */
  function classify(): readonly Hex[] {
    const before = ready;
    ready = readyAmong(entries.values());
    return [...ready].filter((hash) => !before.has(hash));
  }

  /** `classify` for one new entry, without looking at all others where none of them waits. */
  function admit({ hash, validity }: { hash: Hex; validity: ValidTransaction }): readonly Hex[] {
    const isProvided = (tag: Tag) => ready.has(providers.get(tag)?.hash ?? hash);
    if (!validity.requires.every(isProvided)) return [];
    if (entries.size - 1 > ready.size) return classify().filter((other) => other !== hash);
    ready.add(hash);
    return [];
  }

  function replaced(validity: ValidTransaction): readonly PoolEntry[] {
    const found = validity.provides.map((tag) => providers.get(tag)).filter((entry) => entry !== undefined);
    return [...new Set(found)];
  }

  function add(transaction: { hash: Hex; bytes: Uint8Array; validity: ValidTransaction }, next: number): AddResult {
    const usurped = replaced(transaction.validity);
    const strongest = usurped.find(({ validity }) => validity.priority >= transaction.validity.priority);
    if (strongest !== undefined) {
      return { ok: false, code: 'LOW_PRIORITY', old: strongest.validity.priority, new: transaction.validity.priority };
    }
    const freed = usurped.reduce((sum, entry) => sum + entry.bytes.length, 0);
    const full =
      entries.size - usurped.length >= limits.entries || bytes - freed + transaction.bytes.length > limits.bytes;
    if (full) return { ok: false, code: 'FULL' };
    for (const entry of usurped) drop(entry);
    put({ ...transaction, arrival: arrivals++, expires: expiry(transaction.validity, next) });
    const promoted = usurped.length === 0 ? admit(transaction) : classify().filter((hash) => hash !== transaction.hash);
    return { ok: true, state: ready.has(transaction.hash) ? 'ready' : 'future', usurped, promoted };
  }

  function settle(included: readonly PoolEntry[], next: number): SettleResult {
    const provided = new Set(included.flatMap(({ validity }) => validity.provides));
    for (const entry of included) drop(entry);
    const outdated = [...entries.values()].filter(({ validity }) => validity.provides.some((tag) => provided.has(tag)));
    for (const entry of outdated) drop(entry);
    const expired = [...entries.values()].filter(({ expires }) => expires <= next);
    for (const entry of expired) drop(entry);
    for (const entry of [...entries.values()]) satisfy(entry, provided);
    return { outdated, expired, promoted: classify() };
  }

  /** What a block has provided is required no longer. */
  function satisfy(entry: PoolEntry, provided: ReadonlySet<Tag>): void {
    if (!entry.validity.requires.some((tag) => provided.has(tag))) return;
    const requires = entry.validity.requires.filter((tag) => !provided.has(tag));
    replace(entry, { ...entry, validity: { ...entry.validity, requires } });
  }

  function replace(old: PoolEntry, entry: PoolEntry): void {
    drop(old);
    put(entry);
  }

  return {
    add,
    refresh: (hash, validity, next) => {
      const entry = entries.get(hash);
      if (entry === undefined) return;
      replace(entry, { ...entry, validity, expires: expiry(validity, next) });
      classify();
    },
    remove: (hashes) => {
      for (const hash of hashes) {
        const entry = entries.get(hash);
        if (entry !== undefined) drop(entry);
      }
      classify();
    },
    settle,
    has: (hash) => entries.has(hash),
    isReady: (hash) => ready.has(hash),
    entries: () => [...entries.values()].sort((a, b) => a.arrival - b.arrival),
    candidates: () => inOrder([...entries.values()].filter(({ hash }) => ready.has(hash))),
    provides: (tag) => providers.has(tag),
    size: () => entries.size,
    bytes: () => bytes,
  };
}

/** Longevity may be "for ever" (2^64 - 1). */
function expiry(validity: ValidTransaction, next: number): number {
  return next + Math.min(Number(validity.longevity), Number.MAX_SAFE_INTEGER - next);
}

function readyAmong(entries: Iterable<PoolEntry>): Set<Hex> {
  const walk = createUnlocker([...entries]);
  const ready = new Set<Hex>();
  for (let batch = walk.free; batch.length > 0; ) {
    for (const entry of batch) ready.add(entry.hash);
    batch = batch.flatMap((entry) => walk.unlock(entry));
  }
  return ready;
}

interface Unlocker {
  /** Entries that require nothing. */
  readonly free: readonly PoolEntry[];
  /** Entries for which `entry` was the last one they waited for. */
  unlock(entry: PoolEntry): readonly PoolEntry[];
}

function createUnlocker(entries: readonly PoolEntry[]): Unlocker {
  const waiting = new Map<Tag, PoolEntry[]>();
  const missing = new Map<PoolEntry, Set<Tag>>();
  for (const entry of entries) {
    missing.set(entry, new Set(entry.validity.requires));
    for (const tag of entry.validity.requires) waiting.set(tag, [...(waiting.get(tag) ?? []), entry]);
  }
  return {
    free: entries.filter(({ validity }) => validity.requires.length === 0),
    unlock: (entry) =>
      entry.validity.provides.flatMap((tag) =>
        (waiting.get(tag) ?? []).filter((other) => isLast(missing.get(other), tag)),
      ),
  };
}

function isLast(missing: Set<Tag> | undefined, tag: Tag): boolean {
  return missing?.delete(tag) === true && missing.size === 0;
}

function* inOrder(entries: readonly PoolEntry[]): Generator<PoolEntry, void, boolean> {
  const walk = createUnlocker(entries);
  const queue = [...walk.free].sort(byRank);
  for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
    const applied = yield entry;
    if (!applied) continue;
    for (const unlocked of walk.unlock(entry)) queue.splice(insertionPoint(queue, unlocked), 0, unlocked);
  }
}

/** Ascending rank: the next candidate is the last. */
function byRank(a: PoolEntry, b: PoolEntry): number {
  if (a.validity.priority !== b.validity.priority) return a.validity.priority < b.validity.priority ? -1 : 1;
  return b.arrival - a.arrival;
}

function insertionPoint(sorted: readonly PoolEntry[], entry: PoolEntry): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (byRank(sorted[middle] as PoolEntry, entry) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
