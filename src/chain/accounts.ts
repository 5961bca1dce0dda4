// Accounts that sign transactions: secp256k1 keys in files that only their owner can read, and the public development keys `//dev:N`, whose
// mnemonic everybody knows (chain.md 2, 8). Private keys stay inside the Signer.

import { createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { z } from 'zod';
import type { Address } from '../types/ids.ts';
import { concatBytes, fromHex, toHex, u8 } from '../util/bytes.ts';
import { ChainError, type Signer } from './types.ts';

/** Public on purpose: these keys must never hold anything of value. */
const DEVELOPMENT_MNEMONIC = 'bottom drive obey lake curtain smoke basket hold race lonely fit walk';

/** Above this a payload is signed by its BLAKE2-256 (chain.md 2; the same in every Substrate chain). */
const MAX_RAW_PAYLOAD = 256;

const KEY_FILE = z.object({
  type: z.literal('ethereum'),
  address: z.string().regex(/^0x[0-9a-fA-F]{40}$/),
  privateKey: z.string().regex(/^0x[0-9a-fA-F]{64}$/),
});

/**
 * Opens `//dev:N` (N from 0) or a key file.
 *
 * Errors: KEY_FILE_READABLE when others may read the file, KEY_FILE_INVALID when it is missing, malformed or does not fit its address.
 */
export async function openSigner(fileOrDev: string): Promise<Signer> {
  const development = /^\/\/dev:(\d{1,9})$/.exec(fileOrDev);
  if (development !== null) return createSigner(developmentKey(Number(development[1])));
  if (fileOrDev.startsWith('//'))
    throw invalidKeyFile(fileOrDev, 'a development account is written //dev:0, //dev:1, ...');
  return readAccountFile(fileOrDev);
}

/**
 * Makes a new account in a file of mode 0600 that must not exist yet; returns its address.
 *
 * Errors: KEY_FILE_INVALID when the file exists (keys are never overwritten).
 */
export function createAccountFile(file: string): Address {
  const privateKey = newPrivateKey();
  const { address } = createSigner(privateKey);
  const text = JSON.stringify({ type: 'ethereum', address, privateKey: `0x${toHex(privateKey)}` });
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, `${text}\n`, { mode: 0o600, flag: 'wx', flush: true });
  } catch (error) {
    throw invalidKeyFile(
      file,
      'it could not be made (a key file is never overwritten: move the old one away first)',
      error,
    );
  }
  return address;
}

/** Signs with a 32-byte private key. */
function createSigner(privateKey: Uint8Array): Signer {
  const address = addressOf(secp256k1.getPublicKey(privateKey, false));
  return {
    address,
    sign(payload) {
      const message = payload.length > MAX_RAW_PAYLOAD ? blake2b(payload, { dkLen: 32 }) : payload;
      const signed = secp256k1.sign(keccak_256(message), privateKey, { prehash: false, format: 'recovered' });
      // noble puts the recovery bit first, Ethereum last.
      return concatBytes(signed.subarray(1), signed.subarray(0, 1));
    },
  };
}

/** @param publicKey 65 bytes, uncompressed */
function addressOf(publicKey: Uint8Array): Address {
  return `0x${toHex(keccak_256(publicKey.subarray(1)).subarray(12))}` as Address;
}

function newPrivateKey(): Uint8Array {
  for (;;) {
    const key = new Uint8Array(randomBytes(32));
    if (secp256k1.utils.isValidSecretKey(key)) return key;
  }
}

function readAccountFile(file: string): Signer {
  const parsed = KEY_FILE.safeParse(parseJson(file, readPrivate(file)));
  if (!parsed.success) {
    throw invalidKeyFile(file, 'it must hold {"type":"ethereum","address":"0x...","privateKey":"0x..."}');
  }
  const privateKey = fromHex(parsed.data.privateKey);
  if (!secp256k1.utils.isValidSecretKey(privateKey)) throw invalidKeyFile(file, 'its private key is not one');
  const signer = createSigner(privateKey);
  if (signer.address !== parsed.data.address.toLowerCase()) {
    throw invalidKeyFile(file, `its private key belongs to ${signer.address}, not to ${parsed.data.address}`);
  }
  return signer;
}

/** Longer than any key file: what is read is bounded. */
const MAX_KEY_FILE_BYTES = 4096;

/** Checks kind, mode and size of the very file that is then read; does not wait for the other end of a pipe. */
function readPrivate(file: string): string {
  let handle: number;
  try {
    handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw invalidKeyFile(file, 'it cannot be read; make one with `tessera keygen --accounts`', error);
  }
  try {
    const stat = fstatSync(handle);
    if (!stat.isFile() || stat.size > MAX_KEY_FILE_BYTES)
      throw invalidKeyFile(file, `it is no file of at most ${MAX_KEY_FILE_BYTES} bytes`);
    const mode = stat.mode & 0o777;
    if ((mode & 0o077) !== 0) throw readableKeyFile(file, mode.toString(8).padStart(4, '0'));
    return readFileSync(handle, 'utf8');
  } finally {
    closeSync(handle);
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidKeyFile(file, 'it is not JSON');
  }
}

function invalidKeyFile(file: string, why: string, cause?: unknown): ChainError {
  return new ChainError({ code: 'KEY_FILE_INVALID', file }, `${file} is not a usable key file: ${why}`, { cause });
}

function readableKeyFile(file: string, mode: string): ChainError {
  return new ChainError(
    { code: 'KEY_FILE_READABLE', file, mode },
    `${file} can be read by other users (mode ${mode}): type \`chmod 600 ${file}\` and make sure that nobody has copied it`,
  );
}

const HARDENED = 0x8000_0000;

/** m/44'/60'/0'/0/N of the development mnemonic (BIP-39 without passphrase, BIP-32). */
function developmentKey(index: number): Uint8Array {
  const seed = pbkdf2Sync(DEVELOPMENT_MNEMONIC, 'mnemonic', 2048, 64, 'sha512');
  const path = [44 + HARDENED, 60 + HARDENED, HARDENED, 0, index];
  return path.reduce(deriveChild, splitNode('Bitcoin seed', seed)).key;
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
