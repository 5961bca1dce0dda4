// Which receipts an auditor looks at (protocol.md 13): nobody without its secret can tell before.

import { sha256, tag } from '../util/hash.ts';

export const LOT_BITS = 64n;
const LOT = tag('tessera/audit-lot/1');

/** Uniform in 64 bits. */
export function lotOf(secret: Uint8Array, hash: Uint8Array): bigint {
  const lot = sha256(LOT, secret, hash);
  return new DataView(lot.buffer, lot.byteOffset).getBigUint64(0);
}
