// What a list of trie nodes proves of a Substrate state, by nothing but the root: base-16 Merkle trie over blake2-256 with the node headers of
// the Polkadot specification (appendix "State storage"), layouts 0 and 1. Trusts nobody: size, count, depth and steps are bounded, a node
// counts by its hash alone, and a list that lacks one or has one to spare is refused.

import { blake2b } from '@noble/hashes/blake2.js';
import { toHex } from '../util/bytes.ts';
import { MAX_PROOF_BYTES, MAX_PROOF_NODES, type TrieFault } from './types.ts';

/** The longest key below a prefix; those of this project have less than 100 bytes. */
const MAX_KEY_NIBBLES = 512;
/** Nodes looked at in one check: each in its place once per key, also those that stand inside others. */
const MAX_STEPS = 1 << 16;
const HASH_BYTES = 32;

export interface TrieQuestion {
  readonly keys: readonly Uint8Array[];
  /** All that begins with it is asked for, and that there is no more. */
  readonly prefixes: readonly Uint8Array[];
}

export type TrieEntry = readonly [key: Uint8Array, value: Uint8Array];

export interface TrieValues {
  /** In the order of the keys; undefined is proven not to be there. */
  readonly values: readonly (Uint8Array | undefined)[];
  /** In the order of the prefixes: their keys ascending, each whole. */
  readonly entries: readonly (readonly TrieEntry[])[];
}

export type TrieVerdict =
  | ({ readonly ok: true } & TrieValues)
  | { readonly ok: false; readonly code: TrieFault; readonly why: string };

/** @param root 32 bytes; @param nodes encoded trie nodes and the values that those name by hash, in any order */
export function checkTrieProof(root: Uint8Array, nodes: readonly Uint8Array[], question: TrieQuestion): TrieVerdict {
  try {
    return { ok: true, ...readTrie(root, nodes, question) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, ...error.facts };
    throw error;
  }
}

/** Thrown by what reads, and caught in `checkTrieProof`. */
class Refusal extends Error {
  readonly facts: { readonly code: TrieFault; readonly why: string };
  constructor(facts: Refusal['facts']) {
    super(facts.why);
    this.facts = facts;
  }
}

interface TrieNode {
  readonly partial: readonly number[];
  readonly value: { readonly at: 'here' | 'hash'; readonly bytes: Uint8Array } | undefined;
  /** By nibble: the child's encoding, or its hash where that has 32 bytes; none of a leaf. */
  readonly children: readonly (Uint8Array | undefined)[];
}

function readTrie(root: Uint8Array, nodes: readonly Uint8Array[], { keys, prefixes }: TrieQuestion): TrieValues {
  const store = storeOf(nodes);
  const decoded = new Map<string, TrieNode | undefined>();
  let steps = 0;

  /** What stands under a hash, marked as needed. */
  function take(hash: Uint8Array): Uint8Array {
    const name = toHex(hash);
    const found = store.get(name);
    if (found === undefined)
      throw new Refusal({ code: 'PROOF_INCOMPLETE', why: `nothing with the hash ${name} is there` });
    found.isNeeded = true;
    return found.bytes;
  }

  function nodeAt(reference: Uint8Array): TrieNode {
    if (++steps > MAX_STEPS) throw new Refusal({ code: 'PROOF_TOO_LARGE', why: `more than ${MAX_STEPS} steps` });
    if (reference.length < HASH_BYTES) return decodeNode(reference);
    const name = toHex(reference);
    const known = decoded.get(name);
    if (known !== undefined) return known;
    const node = decodeNode(take(reference));
    decoded.set(name, node);
    return node;
  }

  function ownValue({ value }: TrieNode): Uint8Array | undefined {
    return value?.at === 'hash' ? take(value.bytes) : value?.bytes;
  }

  /** The node in which the nibbles end, or in whose own nibbles they end, with all nibbles down to its own; undefined where there is none. */
  function descend(
    nibbles: readonly number[],
  ): { readonly path: readonly number[]; readonly node: TrieNode } | undefined {
    let [node, at] = [nodeAt(root), 0];
    for (;;) {
      const { partial, children } = node;
      const shared = Math.min(partial.length, nibbles.length - at);
      for (let i = 0; i < shared; i++) if (partial[i] !== nibbles[at + i]) return undefined;
      if (at + partial.length >= nibbles.length) return { path: nibbles.slice(0, at), node };
      at += partial.length;
      const child = children[nibbles[at] as number];
      if (child === undefined) return undefined;
      [node, at] = [nodeAt(child), at + 1];
    }
  }

  function lookUp(key: Uint8Array): Uint8Array | undefined {
    const nibbles = nibblesOf(key);
    const found = descend(nibbles);
    const isThere = found !== undefined && found.path.length + found.node.partial.length === nibbles.length;
    return isThere ? ownValue(found.node) : undefined;
  }

  function entriesBelow(prefix: Uint8Array): readonly TrieEntry[] {
    const entries: TrieEntry[] = [];
    const found = descend(nibblesOf(prefix));
    const waiting = found === undefined ? [] : [found];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { node } = next;
      const path = [...next.path, ...node.partial];
      if (path.length > MAX_KEY_NIBBLES)
        throw new Refusal({ code: 'PROOF_TOO_LARGE', why: `a key of ${path.length} nibbles` });
      const value = ownValue(node);
      if (value !== undefined) entries.push([bytesOf(path), value]);
      for (let nibble = 15; nibble >= 0; nibble--) {
        const child = node.children[nibble];
        if (child !== undefined) waiting.push({ path: [...path, nibble], node: nodeAt(child) });
      }
    }
    return entries;
  }

  if (root.length !== HASH_BYTES) throw new Refusal({ code: 'PROOF_MALFORMED', why: `a root of ${root.length} bytes` });
  const found = { values: keys.map(lookUp), entries: prefixes.map(entriesBelow) };
  const spare = [...store.values()].filter(({ isNeeded }) => !isNeeded).length;
  if (spare > 0)
    throw new Refusal({
      code: 'PROOF_SURPLUS',
      why: `${spare} of ${nodes.length} nodes belong to nothing that is asked`,
    });
  return found;
}

/** By hash. What is too large is refused before it is hashed. */
function storeOf(nodes: readonly Uint8Array[]): Map<string, { readonly bytes: Uint8Array; isNeeded: boolean }> {
  if (nodes.length > MAX_PROOF_NODES)
    throw new Refusal({ code: 'PROOF_TOO_LARGE', why: `${nodes.length} nodes, at most ${MAX_PROOF_NODES} are read` });
  const size = nodes.reduce((sum, node) => sum + node.length, 0);
  if (size > MAX_PROOF_BYTES)
    throw new Refusal({ code: 'PROOF_TOO_LARGE', why: `${size} bytes, at most ${MAX_PROOF_BYTES} are read` });
  const store = new Map(nodes.map((bytes) => [toHex(blake2b256(bytes)), { bytes, isNeeded: false }]));
  if (store.size < nodes.length) throw new Refusal({ code: 'PROOF_SURPLUS', why: 'a node is there twice' });
  return store;
}

export function blake2b256(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: HASH_BYTES });
}

/** Mask and bits of the header byte that tell what the node is; the rest of it is the length of the partial key. */
const KINDS = [
  { mask: 0b1100_0000, bits: 0b0100_0000, branch: false, value: 'here' },
  { mask: 0b1100_0000, bits: 0b1000_0000, branch: true, value: 'none' },
  { mask: 0b1100_0000, bits: 0b1100_0000, branch: true, value: 'here' },
  { mask: 0b1110_0000, bits: 0b0010_0000, branch: false, value: 'hash' },
  { mask: 0b1111_0000, bits: 0b0001_0000, branch: true, value: 'hash' },
] as const;

const EMPTY_TRIE: TrieNode = { partial: [], value: undefined, children: [] };

function decodeNode(bytes: Uint8Array): TrieNode {
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw malformed(bytes, 'it ends too early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const byte = (): number => take(1)[0] as number;

  function partialKey(first: number, mask: number): readonly number[] {
    let length = first & ~mask;
    if (length === (~mask & 0xff)) {
      let more: number;
      do {
        more = byte();
        length += more;
      } while (more === 255 && length <= MAX_KEY_NIBBLES);
    }
    if (length > MAX_KEY_NIBBLES) throw malformed(bytes, `a partial key of ${length} nibbles`);
    const nibbles = nibblesOf(take((length + 1) >> 1));
    if (nibbles.length === length) return nibbles;
    if (nibbles[0] !== 0) throw malformed(bytes, 'padding that is not zero');
    return nibbles.slice(1);
  }

  /** Compact integers of one, two and four bytes: longer ones do not fit into a proof. */
  function vec(): Uint8Array {
    const first = byte();
    const mode = first & 3;
    if (mode === 3) throw malformed(bytes, 'a length above 2^30');
    const rest = take((1 << mode) - 1);
    return take([...rest].reduceRight((sum, one) => sum * 256 + one, 0) * 64 + (first >> 2));
  }

  if (bytes.length === 1 && bytes[0] === 0) return EMPTY_TRIE;
  const first = byte();
  const kind = KINDS.find(({ mask, bits }) => (first & mask) === bits);
  if (kind === undefined) throw malformed(bytes, `a header of ${first}`);
  const partial = partialKey(first, kind.mask);
  const bitmap = kind.branch ? byte() + 256 * byte() : 0;
  if (kind.branch && bitmap === 0) throw malformed(bytes, 'a branch without children');
  const value =
    kind.value === 'none' ? undefined : { at: kind.value, bytes: kind.value === 'hash' ? take(HASH_BYTES) : vec() };
  const children = Array.from({ length: kind.branch ? 16 : 0 }, (_, nibble) =>
    bitmap & (1 << nibble) ? vec() : undefined,
  );
  if (children.some((child) => child !== undefined && (child.length === 0 || child.length > HASH_BYTES)))
    throw malformed(bytes, 'a child of another length than a hash');
  if (at !== bytes.length) throw malformed(bytes, `${bytes.length - at} bytes behind its end`);
  return { partial, value, children };
}

function malformed(node: Uint8Array, why: string): Refusal {
  return new Refusal({ code: 'PROOF_MALFORMED', why: `the node ${toHex(node.subarray(0, 16))}..: ${why}` });
}

function nibblesOf(key: Uint8Array): number[] {
  return [...key].flatMap((byte) => [byte >> 4, byte & 15]);
}

function bytesOf(nibbles: readonly number[]): Uint8Array {
  if (nibbles.length % 2 !== 0)
    throw new Refusal({ code: 'PROOF_MALFORMED', why: `a key of ${nibbles.length} nibbles` });
  return Uint8Array.from({ length: nibbles.length / 2 }, (_, i) => {
    return ((nibbles[2 * i] as number) << 4) | (nibbles[2 * i + 1] as number);
  });
}
