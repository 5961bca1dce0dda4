// Decoded SCALE values as plain data, so that no class of polkadot.js leaves this folder. Told apart by what they can do, not by class:
// structs become objects, maps Maps, options their value or undefined, numbers above 32 bits bigint, accounts and hashes 0x text, bytes
// Uint8Array, an enum without value its name and one with a value { Name: value }.

import { toHex } from '../../util/bytes.ts';

interface Shape {
  readonly isSome?: boolean;
  readonly defKeys?: readonly string[];
  readonly isBasic?: boolean;
  readonly type?: string;
  readonly inner?: unknown;
  readonly value?: unknown;
  toRawType?(): string;
  unwrap?(): unknown;
  bitLength?(): number;
  toBigInt?(): bigint;
}

const TEXT_TYPES: ReadonlySet<string> = new Set([
  'AccountId20',
  'GenericEthereumAccountId',
  'AccountId',
  'H160',
  'H256',
]);

export function toPlain(codec: unknown): unknown {
  if (codec === null || typeof codec !== 'object') return codec;
  if (codec instanceof Uint8Array) return bytesOf(codec);
  if (codec instanceof Boolean || codec instanceof String) return codec.valueOf();
  if (codec instanceof Set) return [...codec].map(toPlain);
  const shape: Shape = codec;
  if (shape.isSome !== undefined && shape.unwrap !== undefined)
    return shape.isSome ? toPlain(shape.unwrap()) : undefined;
  if (codec instanceof Map) return mapOf(codec, shape.defKeys !== undefined);
  if (Array.isArray(codec)) return [...codec].map(toPlain);
  if (shape.isBasic !== undefined && shape.type !== undefined) {
    return shape.isBasic ? shape.type : { [shape.type]: toPlain(shape.inner) };
  }
  if (shape.toBigInt !== undefined && shape.bitLength !== undefined) {
    const value = shape.toBigInt();
    return shape.bitLength() <= 32 ? Number(value) : value;
  }
  return undefined;
}

function bytesOf(codec: Uint8Array): unknown {
  const raw = (codec as Shape).toRawType?.() ?? '';
  return TEXT_TYPES.has(raw) || raw === '[u8;20]' || raw === '[u8;32]' ? `0x${toHex(codec)}` : new Uint8Array(codec);
}

function mapOf(codec: ReadonlyMap<unknown, unknown>, isStruct: boolean): unknown {
  const entries = [...codec].map(([key, value]) => [toPlain(key), toPlain(value)] as const);
  return isStruct ? Object.fromEntries(entries) : new Map(entries);
}
