// Reads one CBOR map with exactly the keys it should have: what a schema is on our wire. Trusts nothing; says why it refuses.

import type { Cbor } from '../util/cbor.ts';

/** Thrown inside a decoder only; each decoder turns it into its own coded answer. */
export class ShapeError extends Error {}

export type Field<T> = (value: Cbor) => T;

/** The fields of a map whose keys are exactly those of `shape`. */
export function readMap<T extends object>(value: Cbor, shape: { readonly [K in keyof T]: Field<T[K]> }): T {
  if (!isMap(value)) throw new ShapeError('not a map');
  const keys = Object.keys(shape) as (keyof T & string)[];
  const extra = Object.keys(value).find((key) => !Object.hasOwn(shape, key));
  if (extra !== undefined) throw new ShapeError(`unknown key ${extra.slice(0, 16)}`);
  return Object.fromEntries(keys.map((key) => [key, shape[key](present(value, key))])) as T;
}

/** An unsigned integer of at most `max` (2^53 - 1 at most). */
export function uint(max: number): Field<number> {
  return (value) => {
    if (typeof value !== 'number' || value > max) throw new ShapeError(`not an integer up to ${max}`);
    return value;
  };
}

/** An unsigned integer of at most `max`, as bigint whatever its size. */
export function bigUint(max: bigint): Field<bigint> {
  return (value) => {
    if (typeof value !== 'number' && typeof value !== 'bigint') throw new ShapeError('not an integer');
    const wide = BigInt(value);
    if (wide > max) throw new ShapeError(`above ${max}`);
    return wide;
  };
}

export function exactly<T extends number | string>(...allowed: readonly T[]): Field<T> {
  return (value) => {
    const found = allowed.find((one) => one === value);
    if (found === undefined) throw new ShapeError(`not one of ${allowed.join(', ')}`);
    return found;
  };
}

/** A byte string of `min` to `max` bytes. */
export function bytes(min: number, max: number = min): Field<Uint8Array> {
  return (value) => {
    if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
      throw new ShapeError(`not ${min} to ${max} bytes`);
    }
    return value;
  };
}

/** Text of at most `max` UTF-16 units. */
export function text(max: number): Field<string> {
  return (value) => {
    if (typeof value !== 'string' || value.length > max) throw new ShapeError(`not text up to ${max}`);
    return value;
  };
}

export function list<T>(item: Field<T>, max: number): Field<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value) || value.length > max) throw new ShapeError(`not a list up to ${max}`);
    return value.map(item);
  };
}

function isMap(value: Cbor): value is { readonly [key: string]: Cbor } {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function present(map: { readonly [key: string]: Cbor }, key: string): Cbor {
  const value = map[key];
  if (value === undefined) throw new ShapeError(`missing key ${key}`);
  return value;
}

export const U16 = 0xffff;
export const U32 = 0xffff_ffff;
