// Secrets under a passphrase, in the `crypto` object of Web3 Secret Storage version 3 (scrypt or PBKDF2, AES-128-CTR, Keccak-256 as check),
// which other wallets write and read too. Trusts no file: what it may cost to open one is bounded before anything is computed.

import { createCipheriv, createDecipheriv, pbkdf2Sync, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { z } from 'zod';
import { concatBytes, fromHex, toHex, utf8 } from './bytes.ts';
import { CodedError } from './errors.ts';

/** Asks whoever knows for the passphrase of `what` (a file, for the message). */
export type AskPassphrase = (what: string) => Promise<string>;

export class PassphraseError extends CodedError<{
  readonly code: 'PASSPHRASE_NEEDED' | 'PASSPHRASE_WRONG' | 'PASSPHRASE_WEAK';
  readonly what: string;
}> {}

/** Shorter ones are tried out in hours. */
const MIN_PASSPHRASE = 10;
/** scrypt's N: 128 MB and some 0.4 s for each guess. */
const USUAL_COST = 2 ** 17;
const MAX_SCRYPT_BYTES = 512 * 2 ** 20;
const MAX_PBKDF2_ROUNDS = 10_000_000;
const KEY_BYTES = 32;
const MAX_SECRET_BYTES = 8 * 2 ** 20;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`));
const salt = z.string().regex(/^([0-9a-fA-F]{2}){8,64}$/);
const count = z.number().int().min(1);

const SCRYPT = z.object({
  kdf: z.literal('scrypt'),
  kdfparams: z
    .object({ n: count.max(2 ** 22), r: count.max(64), p: count.max(64), dklen: z.literal(KEY_BYTES), salt })
    .refine(({ n, r }) => 128 * n * r <= MAX_SCRYPT_BYTES, 'it would take more than 512 MB to open'),
});
const PBKDF2 = z.object({
  kdf: z.literal('pbkdf2'),
  kdfparams: z.object({
    c: count.max(MAX_PBKDF2_ROUNDS),
    prf: z.literal('hmac-sha256'),
    dklen: z.literal(KEY_BYTES),
    salt,
  }),
});

export const SEALED = z.intersection(
  z.object({
    cipher: z.literal('aes-128-ctr'),
    cipherparams: z.object({ iv: hex(16) }),
    ciphertext: z
      .string()
      .max(2 * MAX_SECRET_BYTES)
      .regex(/^([0-9a-fA-F]{2})+$/),
    mac: hex(32),
  }),
  z.discriminatedUnion('kdf', [SCRYPT, PBKDF2]),
);

export type Sealed = z.infer<typeof SEALED>;

/** @param cost scrypt's N, a power of two; smaller only where there is nothing to protect (tests) */
export function seal(secret: Uint8Array, passphrase: string, cost = USUAL_COST): Sealed {
  const kdfparams = { n: cost, r: 8, p: 1, dklen: KEY_BYTES as 32, salt: toHex(randomBytes(32)) };
  const key = deriveKey({ kdf: 'scrypt', kdfparams }, passphrase);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-128-ctr', key.subarray(0, 16), iv);
  const ciphertext = new Uint8Array(Buffer.concat([cipher.update(secret), cipher.final()]));
  return {
    cipher: 'aes-128-ctr',
    cipherparams: { iv: toHex(iv) },
    ciphertext: toHex(ciphertext),
    kdf: 'scrypt',
    kdfparams,
    mac: toHex(checkOf(key, ciphertext)),
  };
}

/** Errors: PASSPHRASE_WRONG, also for a file that was changed. */
export function unseal(sealed: Sealed, passphrase: string, what: string): Uint8Array {
  const key = deriveKey(sealed, passphrase);
  const ciphertext = fromHex(sealed.ciphertext);
  if (!timingSafeEqual(checkOf(key, ciphertext), fromHex(sealed.mac))) throw wrongPassphrase(what);
  const decipher = createDecipheriv('aes-128-ctr', key.subarray(0, 16), fromHex(sealed.cipherparams.iv));
  return new Uint8Array(Buffer.concat([decipher.update(ciphertext), decipher.final()]));
}

function deriveKey(how: Pick<Sealed, 'kdf' | 'kdfparams'>, passphrase: string): Uint8Array {
  const { kdf, kdfparams } = how as z.infer<typeof SCRYPT> | z.infer<typeof PBKDF2>;
  const password = utf8(passphrase.normalize('NFKC'));
  if (kdf === 'pbkdf2')
    return new Uint8Array(pbkdf2Sync(password, fromHex(kdfparams.salt), kdfparams.c, KEY_BYTES, 'sha256'));
  const { n: N, r, p } = kdfparams;
  return new Uint8Array(
    scryptSync(password, fromHex(kdfparams.salt), KEY_BYTES, { N, r, p, maxmem: 2 * MAX_SCRYPT_BYTES }),
  );
}

function checkOf(key: Uint8Array, ciphertext: Uint8Array): Uint8Array {
  return keccak_256(concatBytes(key.subarray(16, 32), ciphertext));
}

export function wrongPassphrase(what: string): PassphraseError {
  return new PassphraseError(
    { code: 'PASSPHRASE_WRONG', what },
    `the passphrase does not open ${what}: check --passphrase-file, or restore the file if it was changed`,
  );
}

/** Where nobody can be asked. */
export const noPassphrase: AskPassphrase = async (what) => {
  throw passphraseNeeded(what);
};

export function passphraseNeeded(what: string, flag = '--passphrase-file'): PassphraseError {
  return new PassphraseError(
    { code: 'PASSPHRASE_NEEDED', what },
    `${what} is encrypted: name a file with its passphrase with ${flag}, or start this on a terminal to be asked`,
  );
}

/** Before something is sealed with it. */
export function requireStrong(passphrase: string): void {
  if ([...passphrase].length >= MIN_PASSPHRASE) return;
  throw new PassphraseError(
    { code: 'PASSPHRASE_WEAK', what: 'passphrase' },
    `a passphrase has at least ${MIN_PASSPHRASE} characters: whoever copies the file can try out short ones`,
  );
}
