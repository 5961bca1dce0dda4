// SHA-256, SHAKE256 and domain tags: every preimage that is hashed or signed opens with a tag (protocol.md 3).

import { createHash } from 'node:crypto';
import { concatBytes, u8, utf8 } from './bytes.ts';

/** 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** The first `length` bytes of SHAKE256 over the parts. */
export function shake256(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('shake256', { outputLength: length });
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** A domain tag: its ASCII bytes behind one length byte. */
export function tag(name: string): Uint8Array {
  const text = utf8(name);
  return concatBytes(u8(text.length), text);
}
