// What a schema is on our wire: readers of CBOR values that take exactly what they should, and `parsing`, which makes their refusal a value,
// because a peer's bad data is an answer and not an exception (style.md 5). Trusts nothing; says why it refuses.

import type { PeerId } from '../types/ids.ts';
import { peerFromBytes } from '../types/peer-id.ts';
import { type Cbor, CborError, decodeCbor } from '../util/cbor.ts';

/** Thrown by readers, and caught by `parsing` around them. */
class ShapeError extends Error {}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

/** Runs readers over what came from outside: their refusal becomes `ok: false`; an error of ours stays one. */
export function parsing<T>(read: () => T): Parsed<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (error instanceof ShapeError || error instanceof CborError) return { ok: false, why: error.message };
    throw error;
  }
}

/** Fails the reader that `parsing` runs. */
export function refuse(why: string): never {
  throw new ShapeError(why);
}

/** Canonical CBOR of at most `limit` bytes; the size is checked before anything is decoded. */
export function readCbor(bytes: Uint8Array, limit: number): Cbor {
  return bytes.length > limit ? refuse(`${bytes.length} bytes, at most ${limit} are read`) : decodeCbor(bytes);
}

export type Field<T> = (value: Cbor) => T;

/** The fields of a map whose keys are exactly those of `shape`. */
export function readMap<T extends object>(value: Cbor, shape: { readonly [K in keyof T]: Field<T[K]> }): T {
  if (!isMap(value)) return refuse('not a map');
  const keys = Object.keys(shape) as (keyof T & string)[];
  const extra = Object.keys(value).find((key) => !Object.hasOwn(shape, key));
  if (extra !== undefined) return refuse(`unknown key ${extra.slice(0, 16)}`);
  return Object.fromEntries(keys.map((key) => [key, shape[key](present(value, key))])) as T;
}

/** An unsigned integer of at most `max` (2^53 - 1 at most). */
export function uint(max: number): Field<number> {
  return between(0, max);
}

/** An unsigned integer in [min, max]. */
export function between(min: number, max: number): Field<number> {
  return (value) =>
    typeof value === 'number' && value >= min && value <= max ? value : refuse(`not an integer in ${min}..${max}`);
}

/** An unsigned integer of at most `max`, as bigint whatever its size. */
export function bigUint(max: bigint): Field<bigint> {
  return (value) => {
    if (typeof value !== 'number' && typeof value !== 'bigint') return refuse('not an integer');
    const wide = BigInt(value);
    if (wide > max) return refuse(`above ${max}`);
    return wide;
  };
}

export function exactly<T extends number | string>(...allowed: readonly T[]): Field<T> {
  return (value) => {
    const found = allowed.find((one) => one === value);
    return found ?? refuse(`not one of ${allowed.join(', ')}`);
  };
}

/** A byte string of `min` to `max` bytes. */
export function bytes(min: number, max: number = min): Field<Uint8Array> {
  return (value) => {
    const fits = value instanceof Uint8Array && value.length >= min && value.length <= max;
    return fits ? value : refuse(`not ${min} to ${max} bytes`);
  };
}

/** Text of at most `max` UTF-16 units. */
export function text(max: number): Field<string> {
  return (value) => (typeof value === 'string' && value.length <= max ? value : refuse(`not text up to ${max}`));
}

export function list<T>(item: Field<T>, max: number, min = 0): Field<readonly T[]> {
  return (value) =>
    Array.isArray(value) && value.length >= min && value.length <= max
      ? value.map(item)
      : refuse(`not a list of ${min}..${max}`);
}

/** A list of exactly these members. */
export function tuple<T extends readonly unknown[]>(...items: { readonly [I in keyof T]: Field<T[I]> }): Field<T> {
  return (value) =>
    Array.isArray(value) && value.length === items.length
      ? (items.map((item, i) => item(value[i])) as unknown as T)
      : refuse(`not a list of ${items.length}`);
}

/** The binary id of an Ed25519 peer. */
export function peerId(value: Cbor): PeerId {
  const peer = value instanceof Uint8Array ? peerFromBytes(value) : undefined;
  return peer ?? refuse('not an Ed25519 peer id');
}

function isMap(value: Cbor): value is { readonly [key: string]: Cbor } {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function present(map: { readonly [key: string]: Cbor }, key: string): Cbor {
  return map[key] ?? refuse(`missing key ${key}`);
}

export const U16 = 0xffff;
export const U32 = 0xffff_ffff;
