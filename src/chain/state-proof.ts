// What a proof says of the state after one block, by that block's hash alone: the header must be the block's, and the trie nodes must lie below
// the root that stands in it. Trusts nobody but who named the hash.

import type { Hash } from '../types/ids.ts';
import { toHex } from '../util/bytes.ts';
import { blake2b256, checkTrieProof, type TrieQuestion, type TrieVerdict } from './trie-proof.ts';
import { MAX_PROOF_HEADER_BYTES, type StateProof } from './types.ts';

const HASH_BYTES = 32;

export type StateVerdict =
  | TrieVerdict
  | { readonly ok: false; readonly code: 'PROOF_WRONG_BLOCK'; readonly why: string };

export function checkStateProof(block: Hash, { header, nodes }: StateProof, question: TrieQuestion): StateVerdict {
  const hash = header.length > MAX_PROOF_HEADER_BYTES ? undefined : `0x${toHex(blake2b256(header))}`;
  const root = hash === block ? stateRootOf(header) : undefined;
  if (root !== undefined) return checkTrieProof(root, nodes, question);
  const found = hash === undefined ? `one of ${header.length} bytes` : `that of ${hash}`;
  return { ok: false, code: 'PROOF_WRONG_BLOCK', why: `the header is not that of ${block} but ${found}` };
}

/** Where the state root stands in a header: behind the parent's hash and the compact number (sp_runtime::generic::Header). */
export function stateRootOf(header: Uint8Array): Uint8Array | undefined {
  const mode = (header[HASH_BYTES] ?? 0) & 3;
  const number = mode === 3 ? 5 + ((header[HASH_BYTES] ?? 0) >> 2) : 1 << mode;
  const root = header.slice(HASH_BYTES + number, 2 * HASH_BYTES + number);
  return root.length === HASH_BYTES ? root : undefined;
}
