// Host functions that hash: ext_hashing_* and the root of an ordered list. Results are pointers to fixed-size arrays.

import { createHash } from 'node:crypto';
import { blake2b128, blake2b256, keccak, twox } from '../hashing.ts';
import { createReader } from '../scale.ts';
import { orderedRoot } from '../trie-root.ts';
import type { HostContext, HostFunctions } from './context.ts';
import { stateVersion } from './storage.ts';

export function hashingFunctions({ memory }: HostContext): HostFunctions {
  const over = (hash: (data: Uint8Array) => Uint8Array) => (data: bigint) => memory.place(hash(memory.span(data)));
  return {
    ext_hashing_blake2_128_version_1: over(blake2b128),
    ext_hashing_blake2_256_version_1: over(blake2b256),
    ext_hashing_keccak_256_version_1: over((data) => keccak(data, 256)),
    ext_hashing_keccak_512_version_1: over((data) => keccak(data, 512)),
    ext_hashing_sha2_256_version_1: over((data) => createHash('sha256').update(data).digest()),
    ext_hashing_twox_64_version_1: over((data) => twox(data, 64)),
    ext_hashing_twox_128_version_1: over((data) => twox(data, 128)),
    ext_hashing_twox_256_version_1: over((data) => twox(data, 256)),
    ext_trie_blake2_256_ordered_root_version_2: (items: bigint, version: number) =>
      memory.place(orderedRoot(decodeItems(memory.span(items)), stateVersion(version))),
  };
}

/** Vec<Vec<u8>> */
function decodeItems(bytes: Uint8Array): readonly Uint8Array[] {
  const reader = createReader(bytes);
  return Array.from({ length: reader.compact() }, () => reader.vec());
}
