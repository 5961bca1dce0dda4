// The forms in which an account's key comes: our plain file, Web3 Secret Storage (what we write with a passphrase), polkadot.js' JSON export,
// 32 bytes as hex, a mnemonic. A form is recognized by its content; nothing here touches a disk, and no message quotes a secret.

import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { z } from 'zod';
import type { Address } from '../types/ids.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { type AskPassphrase, SEALED, type Sealed, unseal, wrongPassphrase } from '../util/sealed.ts';
import { deriveKey } from './derive.ts';

const PRIVATE_KEY = /^(0x)?[0-9a-fA-F]{64}$/;
const ADDRESS = /^(0x)?[0-9a-fA-F]{40}$/;

const PLAIN = z.object({
  type: z.literal('ethereum'),
  address: z.string().regex(/^0x[0-9a-fA-F]{40}$/),
  privateKey: z.string().regex(/^0x[0-9a-fA-F]{64}$/),
});
const KEYSTORE = z.object({ version: z.literal(3), address: z.string().regex(ADDRESS), crypto: SEALED });
/** polkadot.js writes the compressed public key of an Ethereum-style account where others have its address. */
const COMPRESSED = /^0x0[23][0-9a-fA-F]{64}$/;
const POLKADOT = z.object({
  address: z.union([z.string().regex(ADDRESS), z.string().regex(COMPRESSED)]),
  encoded: z.string().max(4096),
  encoding: z.object({
    content: z.tuple([z.literal('pkcs8'), z.literal('ethereum')]),
    type: z.union([z.string(), z.array(z.string())]),
    version: z.string(),
  }),
});

export type AccountForm =
  | { readonly form: 'plain'; readonly address: string; readonly privateKey: string }
  | { readonly form: 'keystore'; readonly address: string; readonly crypto: Sealed }
  | { readonly form: 'polkadot'; readonly address: string; readonly json: z.infer<typeof POLKADOT> }
  | { readonly form: 'hex'; readonly privateKey: string }
  | { readonly form: 'mnemonic'; readonly words: string };

/** Undefined for text in none of these forms. */
export function parseAccount(text: string): AccountForm | undefined {
  const trimmed = text.trim();
  if (PRIVATE_KEY.test(trimmed)) return { form: 'hex', privateKey: trimmed };
  if (/^[a-z]+(\s+[a-z]+){11,23}$/.test(trimmed)) return { form: 'mnemonic', words: trimmed };
  const json = parseJson(trimmed);
  const plain = PLAIN.safeParse(json);
  if (plain.success) return { form: 'plain', address: plain.data.address, privateKey: plain.data.privateKey };
  const keystore = KEYSTORE.safeParse(json);
  if (keystore.success)
    return { form: 'keystore', address: with0x(keystore.data.address), crypto: keystore.data.crypto };
  const polkadot = POLKADOT.safeParse(json);
  if (polkadot.success && isPoint(polkadot.data.address))
    return { form: 'polkadot', address: addressIn(polkadot.data.address), json: polkadot.data };
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isPoint(text: string): boolean {
  return !COMPRESSED.test(text) || secp256k1.utils.isValidPublicKey(fromHex(text), true);
}

function addressIn(text: string): string {
  return COMPRESSED.test(text) ? addressOf(secp256k1.Point.fromHex(text.slice(2)).toBytes(false)) : with0x(text);
}

/** @param publicKey 65 bytes, uncompressed */
export function addressOf(publicKey: Uint8Array): Address {
  return `0x${toHex(keccak_256(publicKey.subarray(1)).subarray(12))}` as Address;
}

function with0x(address: string): string {
  return address.startsWith('0x') ? address : `0x${address}`;
}

/**
 * The private key of a form: 32 bytes, not checked to be one.
 *
 * @param what names the file in messages
 * @param path of the account within a mnemonic
 * Errors: PASSPHRASE_NEEDED, PASSPHRASE_WRONG, RangeError with a sentence for a mnemonic that is none.
 */
export async function accountKey(
  account: AccountForm,
  ask: AskPassphrase,
  { what, path }: { readonly what: string; readonly path: string },
): Promise<Uint8Array> {
  switch (account.form) {
    case 'plain':
    case 'hex':
      return fromHex(account.privateKey);
    case 'keystore':
      return unseal(account.crypto, await ask(what), what);
    case 'polkadot':
      return openPolkadot(account.json, await ask(what), what);
    case 'mnemonic':
      return keyOfMnemonic(account.words, path);
  }
}

/** polkadot.js writes this long a PKCS #8 header before the 32 bytes of the key, whatever kind it is. */
const POLKADOT_HEAD_BYTES = 16;

async function openPolkadot(json: z.infer<typeof POLKADOT>, passphrase: string, what: string): Promise<Uint8Array> {
  const { jsonDecrypt } = await import('@polkadot/util-crypto');
  let opened: Uint8Array;
  try {
    opened = jsonDecrypt(json as Parameters<typeof jsonDecrypt>[0], passphrase);
  } catch {
    throw wrongPassphrase(what);
  }
  return new Uint8Array(opened.subarray(POLKADOT_HEAD_BYTES, POLKADOT_HEAD_BYTES + 32));
}

async function keyOfMnemonic(words: string, path: string): Promise<Uint8Array> {
  const { mnemonicValidate } = await import('@polkadot/util-crypto');
  const joined = words.split(/\s+/).join(' ');
  if (!mnemonicValidate(joined)) throw new RangeError('the words are not a mnemonic: one is misspelt or out of place');
  return deriveKey(joined, path);
}
