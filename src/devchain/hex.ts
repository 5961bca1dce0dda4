// The two spellings of bytes that this room uses besides Uint8Array: 0x-hex in JSON, and storage keys as strings of one char per byte
// (latin1), whose string order is byte order. Trusts nothing: `fromHex` of util refuses what is not hex.

import { fromHex, toHex } from '../util/bytes.ts';

export type Hex = `0x${string}`;

/** A storage key: one char (0-255) per byte. */
export type Key = string;

export function hex(bytes: Uint8Array): Hex {
  return `0x${toHex(bytes)}`;
}

export function keyToHex(key: Key): Hex {
  return `0x${Buffer.from(key, 'latin1').toString('hex')}`;
}

/** Throws RangeError when `text` is not hex. */
export function hexToKey(text: string): Key {
  return Buffer.from(fromHex(text)).toString('latin1');
}

export function keyToBytes(key: Key): Uint8Array {
  return new Uint8Array(Buffer.from(key, 'latin1'));
}

export function bytesToKey(bytes: Uint8Array): Key {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
