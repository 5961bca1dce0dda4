// Parsing as a value: a reader may throw inside, what comes out says ok or why not, because a peer's bad data is an answer and not an
// exception (style.md 5). Adds to fields.ts what frames and envelopes need.

import { type Cbor, decodeCbor } from '../util/cbor.ts';
import { errorMessage } from '../util/errors.ts';
import { type Field, ShapeError } from './fields.ts';

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

/** Runs a reader over bytes from outside; whatever it throws becomes `ok: false`. */
export function parsing<T>(read: () => T): Parsed<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    return { ok: false, why: errorMessage(error) };
  }
}

/** Fails the reader that `parsing` runs. */
export function refuse(why: string): never {
  throw new ShapeError(why);
}

/** An unsigned integer in [min, max]. */
export function between(min: number, max: number): Field<number> {
  return (value) =>
    typeof value === 'number' && value >= min && value <= max ? value : refuse(`not in ${min}..${max}`);
}

/** A list of `min` to `max` values of any kind. */
export function listOf(min: number, max: number): Field<readonly Cbor[]> {
  return (value) =>
    Array.isArray(value) && value.length >= min && value.length <= max ? value : refuse(`not a list of ${min}..${max}`);
}

/** Canonical CBOR of at most `limit` bytes; the size is checked before anything is decoded. */
export function readCbor(bytes: Uint8Array, limit: number): Cbor {
  return bytes.length > limit ? refuse(`${bytes.length} bytes, at most ${limit} are read`) : decodeCbor(bytes);
}
