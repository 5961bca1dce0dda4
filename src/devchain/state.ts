// The state a runtime works on: a trie that changes, with nested transactions. A transaction is the trie it began with, so opening one is
// free and rolling back is an assignment.

import assert from 'node:assert/strict';
import type { Key } from './hex.ts';
import { type Trie, trieDelete, trieGet, trieKeys, trieNextKey, trieSet } from './trie.ts';

export interface State {
  /** The state as it is now; later changes do not touch it. */
  readonly trie: () => Trie;
  get(key: Key): Uint8Array | undefined;
  /** Keeps `value` itself: the caller hands over memory that nobody else writes. */
  set(key: Key, value: Uint8Array): void;
  delete(key: Key): void;
  nextKey(key: Key): Key | undefined;
  /** Deletes up to `limit` keys that start with `prefix`; tells how many it deleted and whether some are left. */
  clearPrefix(prefix: Key, limit: number): { readonly deleted: number; readonly more: boolean };
  begin(): void;
  /** Closes the newest transaction; the caller knows that one is open. */
  commit(): void;
  rollback(): void;
  /** Open transactions. */
  readonly depth: () => number;
}

export function createState(initial: Trie): State {
  let trie = initial;
  const opened: Trie[] = [];

  function clearPrefix(prefix: Key, limit: number): { deleted: number; more: boolean } {
    let deleted = 0;
    for (const key of trieKeys(trie, prefix)) {
      if (deleted === limit) return { deleted, more: true };
      trie = trieDelete(trie, key);
      deleted++;
    }
    return { deleted, more: false };
  }

  return {
    trie: () => trie,
    get: (key) => trieGet(trie, key),
    set: (key, value) => {
      trie = trieSet(trie, key, value);
    },
    delete: (key) => {
      trie = trieDelete(trie, key);
    },
    nextKey: (key) => trieNextKey(trie, key),
    clearPrefix,
    begin: () => {
      opened.push(trie);
    },
    commit: () => {
      assert(opened.length > 0);
      opened.pop();
    },
    rollback: () => {
      assert(opened.length > 0);
      trie = opened.pop();
    },
    depth: () => opened.length,
  };
}
