// Byte strings: hex, comparison, concatenation, little-endian integers. Knows nothing of what they mean.

/** Lower-case hex without prefix. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Hex with or without `0x` to bytes; throws RangeError on anything else. */
export function fromHex(text: string): Uint8Array {
  const digits = text.startsWith('0x') ? text.slice(2) : text;
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) throw new RangeError(`not hex: ${text.slice(0, 80)}`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Not constant time: for public data only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Lexicographic order, as of big-endian numbers. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function u8(value: number): Uint8Array {
  return integer(value, 1);
}

export function u16le(value: number): Uint8Array {
  return integer(value, 2);
}

export function u32le(value: number): Uint8Array {
  return integer(value, 4);
}

export function u64le(value: bigint): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(value);
  return new Uint8Array(out);
}

function integer(value: number, size: number): Uint8Array {
  const out = Buffer.alloc(size);
  out.writeUIntLE(value, 0, size);
  return new Uint8Array(out);
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
