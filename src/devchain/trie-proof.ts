// What a Substrate node hands over as proof of storage (`state_getReadProof`): the nodes of the state trie on the way to each key, as they
// are encoded for its root, and the values that those contain by hash only. Nodes that are part of their parent do not stand alone.

import { compareBytes, toHex } from '../util/bytes.ts';
import type { Key } from './hex.ts';
import { type Trie, type TrieNode, triePath } from './trie.ts';
import { encodeNode, hasHashedValue, isInline, type StateVersion } from './trie-root.ts';

const EMPTY_TRIE: Uint8Array = Uint8Array.of(0);

/** Each once, in the order of their bytes, as a node answers. Keys that are not there are proven too, by where the way to them ends. */
export function trieProof(trie: Trie, keys: readonly Key[], version: StateVersion): readonly Uint8Array[] {
  const found = new Map<string, Uint8Array>();
  const seen = new Set<TrieNode>();
  const add = (bytes: Uint8Array) => void found.set(toHex(bytes), bytes);
  if (trie === undefined) add(EMPTY_TRIE);
  for (const key of keys) {
    for (const node of triePath(trie, key)) {
      if (node.end === key.length * 2 && isAt(node, key) && node.value !== undefined && hasHashedValue(node, version)) {
        add(node.value);
      }
      if (seen.has(node)) continue;
      seen.add(node);
      const encoded = encodeNode(node, node === trie ? 0 : node.start + 1, version);
      if (node === trie || !isInline(encoded)) add(encoded);
    }
  }
  return [...found.values()].sort(compareBytes);
}

/** The node's way is the key's as far as both go. */
function isAt({ key, end }: TrieNode, wanted: Key): boolean {
  return key.slice(0, end >> 1) === wanted;
}
