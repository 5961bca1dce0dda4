// Values of a request, read with their types. A client may send anything: what does not fit is error -32602.

import { fromHex } from '../../util/bytes.ts';
import { hexToKey, type Key } from '../hex.ts';
import { invalidParams } from './errors.ts';

/** Positional parameters; a missing one reads as undefined. */
export type Params = readonly unknown[];

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export function asText(value: unknown, what: string): string {
  if (typeof value !== 'string') throw invalidParams(`${what}: a string is expected`);
  return value;
}

/** 0x-hex to bytes. */
export function asBytes(value: unknown, what: string): Uint8Array {
  return fromHex(asHex(value, what));
}

export function asKey(value: unknown, what: string): Key {
  return hexToKey(asHex(value, what));
}

export function asHex(value: unknown, what: string): `0x${string}` {
  if (typeof value !== 'string' || !/^0x([0-9a-fA-F]{2})*$/.test(value))
    throw invalidParams(`${what}: 0x-hex is expected`);
  return value as `0x${string}`;
}

/** An unsigned integer up to `max`, as a number, in hex or in decimal digits. */
export function asInteger(value: unknown, max: number, what: string): number {
  const number = typeof value === 'string' && /^(0x[0-9a-fA-F]+|\d+)$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0 || number > max) {
    throw invalidParams(`${what}: an integer from 0 to ${max} is expected`);
  }
  return number;
}

export function asList(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw invalidParams(`${what}: a list is expected`);
  return value;
}

/** An object's members; nothing sent means none. */
export function asMembers(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (isAbsent(value)) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalidParams(`${what}: an object is expected`);
  return value as Readonly<Record<string, unknown>>;
}
