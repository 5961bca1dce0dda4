// The hashes of Substrate. They run in wasm once `hashingReady` has resolved, in JavaScript before; the results are the same.

import { blake2AsU8a, cryptoWaitReady, keccakAsU8a, xxhashAsU8a } from '@polkadot/util-crypto';
import { bytesToKey, type Key } from './hex.ts';

/** Resolves when the fast implementations are loaded (about 20 ms, once per process). */
export async function hashingReady(): Promise<void> {
  await cryptoWaitReady();
}

/** 32 bytes. */
export function blake2b256(data: Uint8Array): Uint8Array {
  return blake2AsU8a(data, 256);
}

/** 16 bytes. */
export function blake2b128(data: Uint8Array): Uint8Array {
  return blake2AsU8a(data, 128);
}

export function keccak(data: Uint8Array, bits: 256 | 512): Uint8Array {
  return keccakAsU8a(data, bits);
}

export function twox(data: Uint8Array, bits: 64 | 128 | 256): Uint8Array {
  return xxhashAsU8a(data, bits);
}

/** The key of a plain storage value: twox128(pallet) ++ twox128(item). */
export function storageKey(pallet: string, item: string): Key {
  return bytesToKey(twox(Buffer.from(pallet), 128)) + bytesToKey(twox(Buffer.from(item), 128));
}
