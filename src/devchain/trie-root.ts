// The Merkle root of a trie as Substrate defines it: base-16, blake2-256, node headers of the Polkadot specification (appendix "State
// storage"); version 1 puts the hash of a value of 33 bytes or more into the node instead of the value.

import { concatBytes } from '../util/bytes.ts';
import { blake2b256 } from './hashing.ts';
import { bytesToKey, keyToBytes } from './hex.ts';
import { compact, vec } from './scale.ts';
import { nibbleAt, type Trie, type TrieNode, trieSet } from './trie.ts';

export type StateVersion = 0 | 1;

/** Values from this size on are stored by hash in version 1. */
const HASHED_VALUE_BYTES = 33;
const HASH_BYTES = 32;
const EMPTY_TRIE: Uint8Array = Uint8Array.of(0);

/** 32 bytes. Encodes only nodes that have changed since their last root of this version. */
export function trieRoot(trie: Trie, version: StateVersion): Uint8Array {
  return blake2b256(trie === undefined ? EMPTY_TRIE : encodeNode(trie, 0, version));
}

/** Root of a list: the key of item i is the compact form of i (extrinsics roots). */
export function orderedRoot(items: readonly Uint8Array[], version: StateVersion): Uint8Array {
  let trie: Trie;
  items.forEach((item, index) => {
    trie = trieSet(trie, bytesToKey(compact(index)), item);
  });
  return trieRoot(trie, version);
}

/** Whether the node contains the hash of its value instead of the value. */
export function hasHashedValue({ value }: TrieNode, version: StateVersion): boolean {
  return version === 1 && value !== undefined && value.length >= HASHED_VALUE_BYTES;
}

/** Whether a parent contains the node itself instead of its hash. */
export function isInline(encoded: Uint8Array): boolean {
  return encoded.length < HASH_BYTES;
}

/** @param from where the node's partial key begins: 0 for the root, otherwise behind the nibble that its parent's bitmap has of it */
export function encodeNode(node: TrieNode, from: number, version: StateVersion): Uint8Array {
  const { value } = node;
  const hashed = hasHashedValue(node, version);
  const branch = node.children.length > 0;
  return concatBytes(
    nodeHeader(node, from, hashed, branch),
    partialKey(node, from),
    branch ? Uint8Array.of(node.bitmap & 255, node.bitmap >> 8) : EMPTY,
    value === undefined ? EMPTY : hashed ? hashOfValue(value) : vec(value),
    ...node.children.map((child) => merkleValue(child, version)),
  );
}

const EMPTY = new Uint8Array();

/** What a parent holds of a child: its encoding, or the hash of it where that is shorter; both with their length. */
function merkleValue(node: TrieNode, version: StateVersion): Uint8Array {
  if (node.merkle !== undefined && node.merkleVersion === version) return node.merkle;
  const encoded = encodeNode(node, node.start + 1, version);
  node.merkle = vec(isInline(encoded) ? encoded : blake2b256(encoded));
  node.merkleVersion = version;
  return node.merkle;
}

/** Hashes of large values (the code) are remembered: the value is the same object in every later state. */
const REMEMBERED_VALUE_BYTES = 4096;
const valueHashes = new WeakMap<Uint8Array, Uint8Array>();

function hashOfValue(value: Uint8Array): Uint8Array {
  if (value.length < REMEMBERED_VALUE_BYTES) return blake2b256(value);
  const known = valueHashes.get(value);
  if (known !== undefined) return known;
  const hash = blake2b256(value);
  valueHashes.set(value, hash);
  return hash;
}

function nodeHeader(node: TrieNode, from: number, hashed: boolean, branch: boolean): Uint8Array {
  const length = node.end - from;
  if (hashed) return branch ? header(0b0001_0000, 4, length) : header(0b0010_0000, 5, length);
  if (!branch) return header(0b0100_0000, 6, length);
  return header(node.value === undefined ? 0b1000_0000 : 0b1100_0000, 6, length);
}

/** A kind in the top bits, then the partial key's length in nibbles: `bits` bits, then bytes of 255, then one below 255. */
function header(kind: number, bits: number, length: number): Uint8Array {
  const max = (1 << bits) - 1;
  if (length < max) return Uint8Array.of(kind | length);
  const out = [kind | max];
  let rest = length - max;
  for (; rest >= 255; rest -= 255) out.push(255);
  out.push(rest);
  return Uint8Array.from(out);
}

/** The node's nibbles, two per byte; an odd number begins with a zero nibble. */
function partialKey({ key, end }: TrieNode, start: number): Uint8Array {
  if (start % 2 === 0 && end % 2 === 0) return keyToBytes(key.slice(start >> 1, end >> 1));
  const odd = (end - start) & 1;
  const out = new Uint8Array((end - start + odd) >> 1);
  for (let index = start; index < end; index++) {
    const at = index - start + odd;
    out[at >> 1] = (out[at >> 1] as number) | (nibbleAt(key, index) << (at & 1 ? 0 : 4));
  }
  return out;
}
