// The few forms of SCALE that lie outside the runtime: compact integers, byte vectors, little-endian integers. Bytes from the runtime or from
// a client are read with bounds; what does not fit throws ScaleError.

import { concatBytes } from '../util/bytes.ts';
import { CodedError } from '../util/errors.ts';

export class ScaleError extends CodedError<{ code: 'SCALE_MALFORMED' }> {
  constructor(why: string) {
    super({ code: 'SCALE_MALFORMED' }, `malformed SCALE: ${why}`);
  }
}

/** Compact form of an integer below 2^32. */
export function compact(value: number): Uint8Array {
  if (value < 1 << 6) return Uint8Array.of(value << 2);
  if (value < 1 << 14) return Uint8Array.of(((value << 2) | 1) & 255, value >> 6);
  const out = Buffer.alloc(value < 2 ** 30 ? 4 : 5);
  if (out.length === 4) out.writeUInt32LE(value * 4 + 2);
  else {
    out[0] = 3;
    out.writeUInt32LE(value, 1);
  }
  return new Uint8Array(out);
}

/** Vec<u8>: compact length, then the bytes. */
export function vec(bytes: Uint8Array): Uint8Array {
  return concatBytes(compact(bytes.length), bytes);
}

/** Vec<T> of items that are encoded already. */
export function list(items: readonly Uint8Array[]): Uint8Array {
  return concatBytes(compact(items.length), ...items);
}

/** Some(bytes); None is one zero byte. */
export function some(bytes: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(1), bytes);
}

export const NONE: Uint8Array = Uint8Array.of(0);

export interface ScaleReader {
  /** Offset of the next byte. */
  readonly at: () => number;
  readonly left: () => number;
  u8(): number;
  u32(): number;
  u64(): bigint;
  u128(): bigint;
  /** A copy of the next `length` bytes. */
  bytes(length: number): Uint8Array;
  /** Compact integer up to 2^53 - 1. */
  compact(): number;
  compactBig(): bigint;
  /** Vec<u8>. */
  vec(): Uint8Array;
  text(): string;
}

export function createReader(data: Uint8Array): ScaleReader {
  const buffer = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let offset = 0;

  function take(length: number): number {
    if (length < 0 || offset + length > buffer.length)
      throw new ScaleError(`${length} bytes wanted at ${offset} of ${buffer.length}`);
    const start = offset;
    offset += length;
    return start;
  }

  function littleEndian(length: number): bigint {
    const start = take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(buffer.readUInt8(start + i));
    return value;
  }

  function compactBig(): bigint {
    const first = buffer.readUInt8(take(1));
    const mode = first & 3;
    if (mode === 3) return littleEndian((first >> 2) + 4);
    offset -= 1;
    return littleEndian(1 << mode) >> 2n;
  }

  function compactNumber(): number {
    const value = compactBig();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ScaleError(`integer too large: ${value}`);
    return Number(value);
  }

  function bytes(length: number): Uint8Array {
    const start = take(length);
    return new Uint8Array(buffer.subarray(start, start + length));
  }

  const vecOfBytes = () => bytes(compactNumber());
  return {
    at: () => offset,
    left: () => buffer.length - offset,
    u8: () => buffer.readUInt8(take(1)),
    u32: () => buffer.readUInt32LE(take(4)),
    u64: () => buffer.readBigUInt64LE(take(8)),
    u128: () => littleEndian(16),
    bytes,
    compact: compactNumber,
    compactBig,
    vec: vecOfBytes,
    text: () => Buffer.from(vecOfBytes()).toString('utf8'),
  };
}
