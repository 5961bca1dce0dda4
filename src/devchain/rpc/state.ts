// state_*: storage, keys, runtime calls, metadata, at any block whose state is kept.

import { equalBytes } from '../../util/bytes.ts';
import type { Block } from '../block.ts';
import type { Chain, ChainEvent } from '../chain.ts';
import { blake2b256 } from '../hashing.ts';
import { type Hex, hex, type Key, keyToHex } from '../hex.ts';
import { HistoryError } from '../history.ts';
import type { RuntimeVersion } from '../runtime.ts';
import { createReader } from '../scale.ts';
import { firstKeys, type Trie, trieGet } from '../trie.ts';
import { trieProof } from '../trie-proof.ts';
import { type StateVersion, trieRoot } from '../trie-root.ts';
import { blockAt } from './blocks.ts';
import { RPC, RpcError } from './errors.ts';
import { asBytes, asInteger, asKey, asList, asText, isAbsent, type Params } from './params.ts';
import type { Methods, Subscription, Subscriptions } from './types.ts';

/** As in a node: more keys per page are refused. */
const MAX_PAGE = 1000;
/** A history query over more blocks than this would hold up everybody else. */
const MAX_QUERIED_BLOCKS = 1000;
/** Keys of one query or subscription, for the same reason: a storage subscription reads all of them in every block. */
const MAX_KEYS = 4096;

export function stateMethods(chain: Chain): Methods {
  const read = (key: unknown, hash: unknown) =>
    trieGet(chain.stateAfter(blockAt(chain, hash)), asKey(key, 'storage key'));
  const orNull = <T>(value: Uint8Array | undefined, of: (value: Uint8Array) => T) =>
    value === undefined ? null : of(value);

  const getStorage = ([key, at]: Params) => orNull(read(key, at), hex);

  function keysPaged([prefix, count, start, at]: Params): readonly Hex[] {
    const limit = asInteger(count, Number.MAX_SAFE_INTEGER, 'count');
    if (limit > MAX_PAGE)
      throw new RpcError(RPC.invalidCount, `count exceeds maximum value. value: ${limit}, max: ${MAX_PAGE}`);
    return keys(prefix, limit, isAbsent(start) ? undefined : asKey(start, 'start key'), at);
  }

  function keys(prefix: unknown, limit: number, after: Key | undefined, at: unknown): readonly Hex[] {
    const trie = chain.stateAfter(blockAt(chain, at));
    return firstKeys(trie, isAbsent(prefix) ? '' : asKey(prefix, 'prefix'), limit, after).map(keyToHex);
  }

  function call([method, data, at]: Params): Hex {
    const args = isAbsent(data) ? new Uint8Array() : asBytes(data, 'call data');
    return hex(chain.call(blockAt(chain, at), asText(method, 'method'), args));
  }

  function readProof([list, at]: Params): { readonly at: Hex; readonly proof: readonly Hex[] } {
    const keys = asKeys(list).map(([, key]) => key);
    const block = blockAt(chain, at);
    const trie = chain.stateAfter(block);
    return { at: block.hash, proof: trieProof(trie, keys, versionOfRoot(trie, block)).map(hex) };
  }

  const queryAt = ([list, at]: Params) => [changeSet(chain, blockAt(chain, at), asKeys(list))];
  const version = ([at]: Params) => chain.runtimeAt(blockAt(chain, at)).version;
  return {
    state_getStorage: getStorage,
    state_getStorageAt: getStorage,
    state_getStorageHash: ([key, at]) => orNull(read(key, at), (value) => hex(blake2b256(value))),
    state_getStorageSize: ([key, at]) => orNull(read(key, at), (value) => value.length),
    state_queryStorageAt: queryAt,
    state_queryStorage: ([list, from, to]) =>
      queryStorage(chain, asKeys(list), blockAt(chain, from), blockAt(chain, to)),
    state_getKeys: ([prefix, at]) => keys(prefix, Number.POSITIVE_INFINITY, undefined, at),
    state_getKeysPaged: keysPaged,
    state_getKeysPagedAt: keysPaged,
    state_call: call,
    state_callAt: call,
    state_getReadProof: readProof,
    state_getMetadata: ([at]) => hex(createReader(chain.call(blockAt(chain, at), 'Metadata_metadata')).vec()),
    state_getRuntimeVersion: version,
    chain_getRuntimeVersion: version,
  };
}

export function stateSubscriptions(chain: Chain): Subscriptions {
  return {
    state_subscribeStorage: storageSubscription(chain),
    state_subscribeRuntimeVersion: versionSubscription(
      chain,
      'state_runtimeVersion',
      'state_unsubscribeRuntimeVersion',
    ),
    chain_subscribeRuntimeVersion: versionSubscription(
      chain,
      'chain_runtimeVersion',
      'chain_unsubscribeRuntimeVersion',
    ),
  };
}

type NamedKey = readonly [Hex, Key];
type Change = readonly [Hex, Hex | null];

interface ChangeSet {
  readonly block: Hex;
  readonly changes: readonly Change[];
}

function asKeys(list: unknown): readonly NamedKey[] {
  const keys = asList(list, 'keys');
  if (keys.length > MAX_KEYS)
    throw new RpcError(RPC.invalidCount, `${keys.length} keys; at most ${MAX_KEYS} are allowed`);
  return keys.map((text) => [text as Hex, asKey(text, 'storage key')]);
}

/** A runtime that brought another version is in force from the block after the one whose root it did not make yet. */
const STATE_VERSIONS: readonly StateVersion[] = [1, 0];

/** The version whose root stands in the block's header. */
function versionOfRoot(trie: Trie, { hash, header }: Block): StateVersion {
  const version = STATE_VERSIONS.find((one) => hex(trieRoot(trie, one)) === header.stateRoot);
  if (version !== undefined) return version;
  throw new RpcError(
    RPC.internal,
    `Internal error: the state of ${hash} was changed by dev_setStorage, so the root in its header proves nothing of it`,
  );
}

function changeSet(chain: Chain, block: Block, keys: readonly NamedKey[]): ChangeSet {
  const trie = chain.stateAfter(block);
  return { block: block.hash, changes: keys.map(([name, key]) => change(name, trieGet(trie, key))) };
}

function change(name: Hex, value: Uint8Array | undefined): Change {
  return [name, value === undefined ? null : hex(value)];
}

/** All values at `from`, then what each later block changed. */
function queryStorage(chain: Chain, keys: readonly NamedKey[], from: Block, to: Block): readonly ChangeSet[] {
  const count = to.number - from.number + 1;
  if (count < 1 || count > MAX_QUERIED_BLOCKS)
    throw new RpcError(RPC.invalidCount, `a range of ${count} blocks; 1 to ${MAX_QUERIED_BLOCKS} are allowed`);
  const watch = createWatch(chain, keys);
  const sets = Array.from({ length: count }, (_, index) => watch(numbered(chain, from.number + index)));
  return sets.filter((set, index) => index === 0 || set.changes.length > 0);
}

function numbered(chain: Chain, number: number): Block {
  const block = chain.byNumber(number);
  if (block === undefined)
    throw new HistoryError({ code: 'BLOCK_UNKNOWN', block: String(number) }, `block ${number} not found`);
  return block;
}

/** Compares keys with what it saw last: the first call answers all of them, later ones what differs. */
function createWatch(chain: Chain, keys: readonly NamedKey[]): (block: Block) => ChangeSet {
  const seen = new Map<Key, Uint8Array | undefined>();
  return (block) => {
    const trie = chain.stateAfter(block);
    const changes: Change[] = [];
    for (const [name, key] of keys) {
      const value = trieGet(trie, key);
      if (seen.has(key) && same(seen.get(key), value)) continue;
      seen.set(key, value);
      changes.push(change(name, value));
    }
    return { block: block.hash, changes };
  };
}

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && equalBytes(a, b));
}

function storageSubscription(chain: Chain): Subscription {
  return {
    notice: 'state_storage',
    unsubscribe: 'state_unsubscribeStorage',
    open: ([list], notify) => {
      const watch = createWatch(chain, asKeys(list));
      notify(watch(chain.head()));
      return onHead(chain, (block) => {
        const set = watch(block);
        if (set.changes.length > 0) notify(set);
      });
    },
  };
}

function versionSubscription(chain: Chain, notice: string, unsubscribe: string): Subscription {
  return {
    notice,
    unsubscribe,
    open: (_params, notify) => {
      let last: RuntimeVersion = chain.runtimeAt(chain.head()).version;
      notify(last);
      return onHead(chain, (block) => {
        const { version } = chain.runtimeAt(block);
        if (version === last) return;
        last = version;
        notify(version);
      });
    },
  };
}

function onHead(chain: Chain, listener: (block: Block) => void): () => void {
  return chain.onEvent((event: ChainEvent) => {
    if (event.type === 'best' || event.type === 'patched') listener(event.block);
  });
}
