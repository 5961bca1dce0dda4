// Block headers: SCALE as the runtime reads and writes it, the hash over that, and JSON as clients read it.

import { concatBytes, fromHex } from '../util/bytes.ts';
import { blake2b256 } from './hashing.ts';
import { type Hex, hex } from './hex.ts';
import { compact, createReader, list, ScaleError, type ScaleReader } from './scale.ts';

export interface Header {
  readonly parentHash: Hex;
  readonly number: number;
  readonly stateRoot: Hex;
  readonly extrinsicsRoot: Hex;
  /** Digest items, each in SCALE. */
  readonly logs: readonly Hex[];
}

export const ZERO_HASH: Hex = `0x${'00'.repeat(32)}`;

export function encodeHeader(header: Header): Uint8Array {
  return concatBytes(
    fromHex(header.parentHash),
    compact(header.number),
    fromHex(header.stateRoot),
    fromHex(header.extrinsicsRoot),
    list(header.logs.map(fromHex)),
  );
}

export function decodeHeader(bytes: Uint8Array): Header {
  const reader = createReader(bytes);
  return {
    parentHash: hex(reader.bytes(32)),
    number: reader.compact(),
    stateRoot: hex(reader.bytes(32)),
    extrinsicsRoot: hex(reader.bytes(32)),
    logs: Array.from({ length: reader.compact() }, () => digestItem(reader, bytes)),
  };
}

export function headerHash(header: Header): Hex {
  return hex(blake2b256(encodeHeader(header)));
}

/** The shape of `chain_getHeader`. */
export function headerJson(header: Header): object {
  const { parentHash, number, stateRoot, extrinsicsRoot, logs } = header;
  return { parentHash, number: `0x${number.toString(16)}`, stateRoot, extrinsicsRoot, digest: { logs } };
}

/** sp_runtime::DigestItem: variants 4 (consensus), 5 (seal), 6 (pre-runtime) name an engine; 0 is other, 8 an updated environment. */
function digestItem(reader: ScaleReader, bytes: Uint8Array): Hex {
  const start = reader.at();
  const kind = reader.u8();
  if (kind === 4 || kind === 5 || kind === 6) reader.bytes(4);
  if (kind === 0 || (kind >= 4 && kind <= 6)) reader.vec();
  else if (kind !== 8) throw new ScaleError(`digest item ${kind}`);
  return hex(bytes.subarray(start, reader.at()));
}
