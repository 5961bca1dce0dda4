// An immutable base-16 radix trie from storage keys to values. A change copies the path to it and shares the rest, so a snapshot is a
// reference, a roll-back is an assignment, thousands of past states cost what they changed, and hashes stay cached in untouched nodes.

import { equalBytes } from '../util/bytes.ts';
import type { Key } from './hex.ts';

/** The nibbles [start, end) of `key` are this node's own; those before `start` lead to it. */
export interface TrieNode {
  /** A key at or below this node: its first `end` nibbles are the node's. With a value, its first `end / 2` bytes are the value's key. */
  readonly key: Key;
  readonly start: number;
  readonly end: number;
  readonly value: Uint8Array | undefined;
  /** Bit n: there is a child that begins with nibble n. `children` holds them in ascending order. */
  readonly bitmap: number;
  readonly children: readonly TrieNode[];
  /** What the parent contains of this node, and for which state version: written once by trie-root.ts. */
  merkle: Uint8Array | undefined;
  merkleVersion: number;
}

/** `undefined` is the empty trie. Values must never be modified and own their memory. */
export type Trie = TrieNode | undefined;

const NO_CHILDREN: readonly TrieNode[] = [];

export function nibbleAt(key: Key, index: number): number {
  const byte = key.charCodeAt(index >> 1);
  return index & 1 ? byte & 15 : byte >> 4;
}

function makeNode(
  key: Key,
  start: number,
  end: number,
  value: Uint8Array | undefined,
  bitmap: number,
  children: readonly TrieNode[],
): TrieNode {
  return { key, start, end, value, bitmap, children, merkle: undefined, merkleVersion: -1 };
}

function withStart(node: TrieNode, start: number): TrieNode {
  return makeNode(node.key, start, node.end, node.value, node.bitmap, node.children);
}

function popCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

function childIndex(node: TrieNode, nibble: number): number {
  return popCount(node.bitmap & ((1 << nibble) - 1));
}

function childAt(node: TrieNode, nibble: number): TrieNode | undefined {
  return node.bitmap & (1 << nibble) ? node.children[childIndex(node, nibble)] : undefined;
}

/** The first nibble index in [from, limit) where the keys differ, else `limit`. */
function divergence(a: Key, b: Key, from: number, limit: number): number {
  let index = from;
  while (index < limit && nibbleAt(a, index) === nibbleAt(b, index)) index++;
  return index;
}

export function trieGet(trie: Trie, key: Key): Uint8Array | undefined {
  const length = key.length * 2;
  let node = trie;
  while (node !== undefined) {
    if (node.end > length || divergence(node.key, key, node.start, node.end) < node.end) return undefined;
    if (node.end === length) return node.value;
    node = childAt(node, nibbleAt(key, node.end));
  }
  return undefined;
}

/** The nodes that one passes on the way from the root towards `key`: the last has it, or shows that it is not there. */
export function* triePath(trie: Trie, key: Key): Generator<TrieNode> {
  const length = key.length * 2;
  let node = trie;
  while (node !== undefined) {
    yield node;
    if (node.end >= length || divergence(node.key, key, node.start, node.end) < node.end) return;
    node = childAt(node, nibbleAt(key, node.end));
  }
}

/** The trie with `value` at `key`; the same trie when these bytes are there already. */
export function trieSet(trie: Trie, key: Key, value: Uint8Array): TrieNode {
  return trie === undefined ? makeNode(key, 0, key.length * 2, value, 0, NO_CHILDREN) : setBelow(trie, key, value);
}

function setBelow(node: TrieNode, key: Key, value: Uint8Array): TrieNode {
  const length = key.length * 2;
  const split = divergence(node.key, key, node.start, Math.min(node.end, length));
  if (split < node.end) return splitNode(node, split, key, value);
  if (split === length) {
    if (node.value !== undefined && equalBytes(node.value, value)) return node;
    return makeNode(key, node.start, node.end, value, node.bitmap, node.children);
  }
  const nibble = nibbleAt(key, node.end);
  const child = childAt(node, nibble);
  if (child === undefined) return withChild(node, nibble, makeNode(key, node.end, length, value, 0, NO_CHILDREN));
  const changed = setBelow(child, key, value);
  return changed === child ? node : withChild(node, nibble, changed);
}

/** A branch at nibble `split` above `node` and, unless the key ends there, above a new leaf. */
function splitNode(node: TrieNode, split: number, key: Key, value: Uint8Array): TrieNode {
  const length = key.length * 2;
  const lower = withStart(node, split);
  const branch = makeNode(
    key,
    node.start,
    split,
    split === length ? value : undefined,
    1 << nibbleAt(node.key, split),
    [lower],
  );
  return split === length
    ? branch
    : withChild(branch, nibbleAt(key, split), makeNode(key, split, length, value, 0, NO_CHILDREN));
}

function withChild(node: TrieNode, nibble: number, child: TrieNode): TrieNode {
  const index = childIndex(node, nibble);
  const children =
    node.bitmap & (1 << nibble) ? node.children.with(index, child) : node.children.toSpliced(index, 0, child);
  return makeNode(node.key, node.start, node.end, node.value, node.bitmap | (1 << nibble), children);
}

/** The trie without `key`; the same trie when it has none. */
export function trieDelete(trie: Trie, key: Key): Trie {
  return trie === undefined ? undefined : deleteBelow(trie, key);
}

function deleteBelow(node: TrieNode, key: Key): Trie {
  const length = key.length * 2;
  if (node.end > length || divergence(node.key, key, node.start, node.end) < node.end) return node;
  if (node.end === length) {
    return node.value === undefined
      ? node
      : collapse(makeNode(node.key, node.start, node.end, undefined, node.bitmap, node.children));
  }
  const nibble = nibbleAt(key, node.end);
  const child = childAt(node, nibble);
  if (child === undefined) return node;
  const changed = deleteBelow(child, key);
  if (changed === child) return node;
  return changed === undefined ? collapse(withoutChild(node, nibble)) : withChild(node, nibble, changed);
}

function withoutChild(node: TrieNode, nibble: number): TrieNode {
  const children = node.children.toSpliced(childIndex(node, nibble), 1);
  return makeNode(node.key, node.start, node.end, node.value, node.bitmap & ~(1 << nibble), children);
}

/** A node that has neither value nor two children does not exist: it vanishes or joins its only child. */
function collapse(node: TrieNode): Trie {
  if (node.value !== undefined || node.children.length > 1) return node;
  const [only] = node.children;
  return only === undefined ? undefined : withStart(only, node.start);
}

/** The keys that start with `prefix` in ascending order, from the first one above `after` (exclusive) on. */
export function* trieKeys(trie: Trie, prefix: Key, after?: Key): Generator<Key> {
  const node = subtree(trie, prefix);
  if (node !== undefined) yield* keysBelow(node, after);
}

function subtree(trie: Trie, prefix: Key): Trie {
  const length = prefix.length * 2;
  let node = trie;
  while (node !== undefined) {
    const limit = Math.min(node.end, length);
    if (divergence(node.key, prefix, node.start, limit) < limit) return undefined;
    if (node.end >= length) return node;
    node = childAt(node, nibbleAt(prefix, node.end));
  }
  return undefined;
}

function* keysBelow(node: TrieNode, after: Key | undefined): Generator<Key> {
  const bound = after === undefined ? 'all' : compareToPath(node, after);
  if (bound === 'none') return;
  if (node.value !== undefined && bound === 'all') yield node.key.slice(0, node.end >> 1);
  const first = after === undefined || bound === 'all' || node.end >= after.length * 2 ? 0 : nibbleAt(after, node.end);
  for (let index = childIndex(node, first); index < node.children.length; index++) {
    yield* keysBelow(node.children[index] as TrieNode, bound === 'all' ? undefined : after);
  }
}

/** Which keys at and below the node are greater than `after`: all, none, or some of the children's. */
function compareToPath(node: TrieNode, after: Key): 'all' | 'none' | 'some' {
  const length = after.length * 2;
  const limit = Math.min(node.end, length);
  const split = divergence(node.key, after, 0, limit);
  if (split < limit) return nibbleAt(node.key, split) > nibbleAt(after, split) ? 'all' : 'none';
  if (node.end > length) return 'all';
  if (node.end < length) return 'some';
  return node.children.length > 0 ? 'some' : 'none';
}

/** The first `limit` keys of `trieKeys`. */
export function firstKeys(trie: Trie, prefix: Key, limit: number, after?: Key): readonly Key[] {
  const found: Key[] = [];
  for (const key of trieKeys(trie, prefix, after)) {
    if (found.length >= limit) break;
    found.push(key);
  }
  return found;
}

/** The smallest key above `key`. */
export function trieNextKey(trie: Trie, key: Key): Key | undefined {
  return trieKeys(trie, '', key).next().value ?? undefined;
}

/** Keys whose values differ, in ascending order, with the value in `after` (undefined = gone). Costs what differs. */
export function* trieDiff(before: Trie, after: Trie): Generator<readonly [Key, Uint8Array | undefined]> {
  if (before === after) return;
  if (before !== undefined && after !== undefined && sameStretch(before, after)) {
    yield* diffAligned(before, after);
    return;
  }
  yield* diffByKeys(before, after);
}

function sameStretch(a: TrieNode, b: TrieNode): boolean {
  return a.start === b.start && a.end === b.end && divergence(a.key, b.key, a.start, a.end) === a.end;
}

function* diffAligned(before: TrieNode, after: TrieNode): Generator<readonly [Key, Uint8Array | undefined]> {
  if (!sameValue(before.value, after.value)) {
    yield [(after.value === undefined ? before : after).key.slice(0, after.end >> 1), after.value];
  }
  for (let nibble = 0; nibble < 16; nibble++) {
    yield* trieDiff(childAt(before, nibble), childAt(after, nibble));
  }
}

/** For subtrees of different shape: a merge of their two sorted key lists. */
function* diffByKeys(before: Trie, after: Trie): Generator<readonly [Key, Uint8Array | undefined]> {
  const old = new Map(entriesBelow(before));
  const now = new Map(entriesBelow(after));
  for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
    const value = now.get(key);
    if (!sameValue(old.get(key), value)) yield [key, value];
  }
}

function* entriesBelow(node: Trie): Generator<readonly [Key, Uint8Array]> {
  if (node === undefined) return;
  if (node.value !== undefined) yield [node.key.slice(0, node.end >> 1), node.value];
  for (const child of node.children) yield* entriesBelow(child);
}

function sameValue(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && equalBytes(a, b));
}
