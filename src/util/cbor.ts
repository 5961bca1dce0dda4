// Canonical CBOR (RFC 8949, 4.2.1) of the small language that goes over the wire: unsigned integers, byte strings, text, arrays and maps
// with text keys. Trusts nothing: bytes that do not re-encode to themselves, and any other type, are refused (protocol.md 3).

import { decode as cborDecode, encode as cborEncode, rfc8949EncodeOptions } from 'cborg';
import { equalBytes } from './bytes.ts';
import { CodedError } from './errors.ts';

/** Values that may travel. Integers above 2^53 - 1 are bigint on both sides, smaller ones numbers. */
export type Cbor = number | bigint | string | Uint8Array | readonly Cbor[] | { readonly [key: string]: Cbor };

export class CborError extends CodedError<{ code: 'CBOR_MALFORMED' }> {
  constructor(why: string, cause?: unknown) {
    super({ code: 'CBOR_MALFORMED' }, `malformed CBOR: ${why}`, { cause });
  }
}

/** Nesting beyond this is refused: nothing of ours is deeper than 5. */
const MAX_DEPTH = 16;

/** A plain Uint8Array: cborg gives a Buffer for longer values, whose `slice` would share memory. */
export function encodeCbor(value: Cbor): Uint8Array {
  assertPlain(value, 0);
  return new Uint8Array(cborEncode(value, rfc8949EncodeOptions));
}

/** Throws CborError unless `bytes` are the one canonical encoding of a plain value. */
export function decodeCbor(bytes: Uint8Array): Cbor {
  const value = decodeStrict(bytes);
  assertPlain(value, 0);
  if (!equalBytes(cborEncode(value, rfc8949EncodeOptions), bytes)) throw new CborError('not the canonical encoding');
  return value;
}

function decodeStrict(bytes: Uint8Array): unknown {
  try {
    return cborDecode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: true,
      rejectDuplicateMapKeys: true,
    });
  } catch (error) {
    throw new CborError(error instanceof Error ? error.message : 'undecodable', error);
  }
}

function assertPlain(value: unknown, depth: number): asserts value is Cbor {
  if (depth > MAX_DEPTH) throw new CborError(`nested deeper than ${MAX_DEPTH}`);
  if (typeof value === 'string' || value instanceof Uint8Array) return;
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || value < 0) throw new CborError(`not an unsigned integer: ${value}`);
    return;
  }
  if (typeof value === 'bigint') {
    if (value < 0n || value >= 1n << 64n) throw new CborError(`not an unsigned 64-bit integer: ${value}`);
    return;
  }
  if (Array.isArray(value)) {
    for (const item of value) assertPlain(item, depth + 1);
    return;
  }
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) assertPlain(item, depth + 1);
    return;
  }
  throw new CborError(`a value of type ${typeof value} may not travel`);
}
