// Private keys from a mnemonic: BIP-39 seed, BIP-32 path, as every Ethereum-style wallet does it (chain.md 2).

import { createHmac, pbkdf2Sync } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { concatBytes, fromHex, toHex, u8 } from '../util/bytes.ts';

const HARDENED = 0x8000_0000;
const MAX_DEPTH = 16;

/** The account N of a mnemonic as wallets count them. */
export function accountPath(index: number): string {
  return `m/44'/60'/0'/0/${index}`;
}

/** @param path such as m/44'/60'/0'/0/0; RangeError for one that is none */
export function deriveKey(mnemonic: string, path: string): Uint8Array {
  const words = mnemonic.trim().split(/\s+/).join(' ').normalize('NFKD');
  const seed = pbkdf2Sync(words, 'mnemonic', 2048, 64, 'sha512');
  return parsePath(path).reduce(deriveChild, splitNode('Bitcoin seed', seed)).key;
}

function parsePath(path: string): readonly number[] {
  const [root, ...steps] = path.split('/');
  const isPath = root === 'm' && steps.length > 0 && steps.length <= MAX_DEPTH;
  if (!isPath || !steps.every((step) => /^\d{1,10}'?$/.test(step))) throw new RangeError(`not a path: ${path}`);
  return steps.map((step) => {
    const index = Number.parseInt(step, 10);
    if (index >= HARDENED) throw new RangeError(`not a path: ${path}`);
    return step.endsWith("'") ? index + HARDENED : index;
  });
}

interface KeyNode {
  readonly key: Uint8Array;
  readonly chainCode: Uint8Array;
}

/** BIP-32, private parent to private child. */
function deriveChild(parent: KeyNode, index: number): KeyNode {
  const from = index >= HARDENED ? concatBytes(u8(0), parent.key) : secp256k1.getPublicKey(parent.key, true);
  const place = Buffer.alloc(4);
  place.writeUInt32BE(index);
  const tweak = splitNode(parent.chainCode, concatBytes(from, place));
  const sum = (toInteger(tweak.key) + toInteger(parent.key)) % secp256k1.Point.Fn.ORDER;
  return { key: fromHex(sum.toString(16).padStart(64, '0')), chainCode: tweak.chainCode };
}

function splitNode(key: string | Uint8Array, data: Uint8Array): KeyNode {
  const digest = new Uint8Array(createHmac('sha512', key).update(data).digest());
  return { key: digest.subarray(0, 32), chainCode: digest.subarray(32) };
}

function toInteger(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes)}`);
}
