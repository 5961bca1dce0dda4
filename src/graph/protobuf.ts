// The protobuf wire format, as much of it as ONNX needs: varints, 32-bit values, length-delimited bytes.
// The reader trusts nothing: truncated, overlong or unknown wire types are GraphError.

import { concatBytes, utf8 } from '../util/bytes.ts';
import { GraphError } from './errors.ts';

/** Appends fields in the order of the calls; the same calls give the same bytes. */
export interface ProtoWriter {
  int(field: number, value: number | bigint): ProtoWriter;
  float(field: number, value: number): ProtoWriter;
  bytes(field: number, value: Uint8Array): ProtoWriter;
  text(field: number, value: string): ProtoWriter;
  message(field: number, value: ProtoWriter): ProtoWriter;
  finish(): Uint8Array;
}

export type ProtoField =
  | { readonly field: number; readonly kind: 'int'; readonly value: bigint }
  | { readonly field: number; readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly field: number; readonly kind: 'float'; readonly value: number };

const VARINT = 0;
const DELIMITED = 2;
const FIXED32 = 5;
/** A 64-bit varint has at most ten bytes. */
const MAX_VARINT_BYTES = 10;
/** Field numbers are at most 2^29 - 1 by the format. */
const MAX_FIELD = 2 ** 29 - 1;

export function createProtoWriter(): ProtoWriter {
  const parts: Uint8Array[] = [];
  const key = (field: number, wire: number) => parts.push(varint(BigInt(field * 8 + wire)));
  const writer: ProtoWriter = {
    int(field, value) {
      key(field, VARINT);
      parts.push(varint(BigInt.asUintN(64, BigInt(value))));
      return writer;
    },
    float(field, value) {
      key(field, FIXED32);
      const raw = new Uint8Array(4);
      new DataView(raw.buffer).setFloat32(0, value, true);
      parts.push(raw);
      return writer;
    },
    bytes(field, value) {
      key(field, DELIMITED);
      parts.push(varint(BigInt(value.length)), value);
      return writer;
    },
    text: (field, value) => writer.bytes(field, utf8(value)),
    message: (field, value) => writer.bytes(field, value.finish()),
    finish: () => concatBytes(...parts),
  };
  return writer;
}

function varint(value: bigint): Uint8Array {
  const out: number[] = [];
  let rest = value;
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Uint8Array.from(out);
}

/** The fields of one message in their order; values of length-delimited fields are views. Throws GraphError. */
export function readProtoFields(bytes: Uint8Array): ProtoField[] {
  const fields: ProtoField[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (count: number): number => {
    if (count > bytes.length - at) throw new GraphError('a field runs past the end');
    at += count;
    return at - count;
  };
  const readVarint = (): bigint => {
    let value = 0n;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = bytes[take(1)] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new GraphError('a varint is longer than ten bytes');
  };
  while (at < bytes.length) {
    const tag = Number(readVarint());
    const field = Math.floor(tag / 8);
    const wire = tag % 8;
    if (field < 1 || field > MAX_FIELD) throw new GraphError(`field number ${field}`);
    if (wire === VARINT) fields.push({ field, kind: 'int', value: readVarint() });
    else if (wire === DELIMITED) {
      const length = Number(readVarint());
      const start = take(length);
      fields.push({ field, kind: 'bytes', value: bytes.subarray(start, start + length) });
    } else if (wire === FIXED32) fields.push({ field, kind: 'float', value: view.getFloat32(take(4), true) });
    else throw new GraphError(`wire type ${wire}`);
  }
  return fields;
}

const strictText = new TextDecoder('utf-8', { fatal: true });

/** @throws GraphError for bytes that are no UTF-8 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strictText.decode(bytes);
  } catch {
    throw new GraphError('a text is not UTF-8');
  }
}

/** A varint as a signed number; throws GraphError for one that a number cannot hold. */
export function safeInteger(value: bigint): number {
  const signed = Number(BigInt.asIntN(64, value));
  if (!Number.isSafeInteger(signed)) throw new GraphError(`integer ${value} is out of range`);
  return signed;
}
