// Accounts that sign transactions: secp256k1 keys in files that only their owner can read, plain or under a passphrase, and the public
// development keys `//dev:N`, whose mnemonic everybody knows (chain.md 2, 8). Private keys stay inside the Signer.

import { randomBytes, randomUUID } from 'node:crypto';
import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import type { Address } from '../types/ids.ts';
import { concatBytes, toHex } from '../util/bytes.ts';
import { type AskPassphrase, noPassphrase, seal } from '../util/sealed.ts';
import { type AccountForm, accountKey, addressOf, parseAccount } from './account-forms.ts';
import { accountPath, deriveKey } from './derive.ts';
import { ChainError, type Signer } from './types.ts';

/** Public on purpose: these keys must never hold anything of value. */
const DEVELOPMENT_MNEMONIC = 'bottom drive obey lake curtain smoke basket hold race lonely fit walk';

/** Above this a payload is signed by its BLAKE2-256 (chain.md 2; the same in every Substrate chain). */
const MAX_RAW_PAYLOAD = 256;

/**
 * Opens `//dev:N` (N from 0) or a key file: plain, Web3 Secret Storage, or exported by polkadot.js.
 *
 * Errors: KEY_FILE_READABLE when others may read the file, KEY_FILE_INVALID when it is missing, malformed or does not fit its address,
 * PASSPHRASE_NEEDED, PASSPHRASE_WRONG.
 */
export async function openSigner(fileOrDev: string, ask: AskPassphrase = noPassphrase): Promise<Signer> {
  const development = /^\/\/dev:(\d{1,9})$/.exec(fileOrDev);
  if (development !== null) return createSigner(deriveKey(DEVELOPMENT_MNEMONIC, accountPath(Number(development[1]))));
  if (fileOrDev.startsWith('//'))
    throw invalidKeyFile(fileOrDev, 'a development account is written //dev:0, //dev:1, ...');
  return createSigner(await openKey(fileOrDev, readAccountFile(fileOrDev), ask, accountPath(0)));
}

/** The address of a key file, whether it is encrypted or not, and without asking for a passphrase. */
export function readAccountAddress(file: string): { readonly address: Address; readonly isEncrypted: boolean } {
  const { address, form } = readAccountFile(file);
  return { address: address.toLowerCase() as Address, isEncrypted: form !== 'plain' };
}

/**
 * The private key in a file of any form (see account-forms.ts), to be written into a file of ours.
 *
 * @param path of the account, if the file holds a mnemonic
 * Errors: as openSigner.
 */
export async function readPrivateKey(file: string, ask: AskPassphrase, path = accountPath(0)): Promise<Uint8Array> {
  const account = parseAccount(readPrivate(file));
  if (account === undefined)
    throw invalidKeyFile(file, 'it holds no key file, no export of polkadot.js, no 64 hex digits and no mnemonic');
  return openKey(file, account, ask, path);
}

/**
 * Writes a key (a new one unless given) to a file of mode 0600 that must not exist yet, encrypted if there is a passphrase; returns its address.
 *
 * Errors: KEY_FILE_INVALID when the file exists (keys are never overwritten).
 */
export function createAccountFile(
  file: string,
  {
    privateKey = newPrivateKey(),
    passphrase,
    cost,
  }: { readonly privateKey?: Uint8Array; readonly passphrase?: string | undefined; readonly cost?: number } = {},
): Address {
  const { address } = createSigner(privateKey);
  const content =
    passphrase === undefined
      ? { type: 'ethereum', address, privateKey: `0x${toHex(privateKey)}` }
      : { version: 3, id: randomUUID(), address: address.slice(2), crypto: seal(privateKey, passphrase, cost) };
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  try {
    writeFileSync(file, `${JSON.stringify(content)}\n`, { mode: 0o600, flag: 'wx', flush: true });
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

function newPrivateKey(): Uint8Array {
  for (;;) {
    const key = new Uint8Array(randomBytes(32));
    if (secp256k1.utils.isValidSecretKey(key)) return key;
  }
}

type AccountFile = Extract<AccountForm, { readonly address: string }>;

function readAccountFile(file: string): AccountFile {
  const account = parseAccount(readPrivate(file));
  if (account !== undefined && 'address' in account) return account;
  throw invalidKeyFile(
    file,
    'it must hold {"type":"ethereum","address":"0x...","privateKey":"0x..."}, or be an Ethereum keystore or an export of polkadot.js',
  );
}

/** A key that is one, and that of the address beside it. */
async function openKey(file: string, account: AccountForm, ask: AskPassphrase, path: string): Promise<Uint8Array> {
  const key = await tryKey(file, account, ask, path);
  if (!secp256k1.utils.isValidSecretKey(key)) throw invalidKeyFile(file, 'its private key is not one');
  const { address } = createSigner(key);
  if ('address' in account && address !== account.address.toLowerCase())
    throw invalidKeyFile(file, `its private key belongs to ${address}, not to ${account.address}`);
  return key;
}

async function tryKey(file: string, account: AccountForm, ask: AskPassphrase, path: string): Promise<Uint8Array> {
  try {
    return await accountKey(account, ask, { what: file, path });
  } catch (error) {
    throw error instanceof RangeError ? invalidKeyFile(file, error.message) : error;
  }
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

function invalidKeyFile(file: string, why: string, cause?: unknown): ChainError {
  return new ChainError({ code: 'KEY_FILE_INVALID', file }, `${file} is not a usable key file: ${why}`, { cause });
}

function readableKeyFile(file: string, mode: string): ChainError {
  return new ChainError(
    { code: 'KEY_FILE_READABLE', file, mode },
    `${file} can be read by other users (mode ${mode}): type \`chmod 600 ${file}\` and make sure that nobody has copied it`,
  );
}
