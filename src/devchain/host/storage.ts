// Host functions on the state: ext_storage_*.

import { concatBytes, u32le } from '../../util/bytes.ts';
import { CodedError } from '../../util/errors.ts';
import { keyToBytes } from '../hex.ts';
import { compact, createReader, NONE, some, vec } from '../scale.ts';
import { type StateVersion, trieRoot } from '../trie-root.ts';
import type { HostContext, HostFunctions } from './context.ts';

/** KillStorageResult of ext_storage_clear_prefix_version_2. */
const ALL_REMOVED = 0;
const SOME_REMAINING = 1;

export function storageFunctions({ memory, state, floor }: HostContext): HostFunctions {
  return {
    ext_storage_get_version_1: (key: bigint) => {
      const value = state.get(memory.key(key));
      return memory.placeSpan(value === undefined ? NONE : some(vec(value)));
    },
    ext_storage_set_version_1: (key: bigint, value: bigint) => {
      state.set(memory.key(key), memory.copy(value));
      return undefined;
    },
    ext_storage_clear_version_1: (key: bigint) => {
      state.delete(memory.key(key));
      return undefined;
    },
    ext_storage_exists_version_1: (key: bigint) => (state.get(memory.key(key)) === undefined ? 0 : 1),
    ext_storage_read_version_1: (key: bigint, target: bigint, offset: number) => {
      const value = state.get(memory.key(key));
      if (value === undefined) return memory.placeSpan(NONE);
      const rest = value.subarray(Math.min(offset >>> 0, value.length));
      const out = memory.span(target);
      out.set(rest.subarray(0, out.length));
      return memory.placeSpan(some(u32le(rest.length)));
    },
    ext_storage_append_version_1: (key: bigint, item: bigint) => {
      const name = memory.key(key);
      state.set(name, append(state.get(name), memory.span(item)));
      return undefined;
    },
    ext_storage_next_key_version_1: (key: bigint) => {
      const next = state.nextKey(memory.key(key));
      return memory.placeSpan(next === undefined ? NONE : some(vec(keyToBytes(next))));
    },
    ext_storage_clear_prefix_version_2: (prefix: bigint, limit: bigint) => {
      const { deleted, more } = state.clearPrefix(memory.key(prefix), optionalU32(memory.span(limit)));
      return memory.placeSpan(concatBytes(Uint8Array.of(more ? SOME_REMAINING : ALL_REMOVED), u32le(deleted)));
    },
    ext_storage_root_version_2: (version: number) => memory.placeSpan(trieRoot(state.trie(), stateVersion(version))),
    ext_storage_start_transaction_version_1: () => {
      state.begin();
      return undefined;
    },
    ext_storage_commit_transaction_version_1: () => {
      if (state.depth() <= floor) throw new StorageTransactionError('commit');
      state.commit();
      return undefined;
    },
    ext_storage_rollback_transaction_version_1: () => {
      if (state.depth() <= floor) throw new StorageTransactionError('rollback');
      state.rollback();
      return undefined;
    },
  };
}

export function stateVersion(version: number): StateVersion {
  return version === 0 ? 0 : 1;
}

class StorageTransactionError extends CodedError<{ code: 'RUNTIME_TRANSACTION'; operation: string }> {
  constructor(operation: string) {
    super(
      { code: 'RUNTIME_TRANSACTION', operation },
      `the runtime wants to ${operation} a storage transaction, but none is open`,
    );
  }
}

/** A SCALE list with one item more; a value that is no list is replaced, as in Substrate. */
function append(old: Uint8Array | undefined, item: Uint8Array): Uint8Array {
  const { count, body } = splitList(old);
  return concatBytes(compact(count + 1), body, item);
}

function splitList(value: Uint8Array | undefined): { readonly count: number; readonly body: Uint8Array } {
  if (value === undefined || value.length === 0) return { count: 0, body: new Uint8Array() };
  try {
    const reader = createReader(value);
    const count = reader.compact();
    return { count, body: value.subarray(reader.at()) };
  } catch {
    return { count: 0, body: new Uint8Array() };
  }
}

function optionalU32(bytes: Uint8Array): number {
  const reader = createReader(bytes);
  return reader.u8() === 0 ? Number.POSITIVE_INFINITY : reader.u32();
}
