// The node's Ed25519 identity: made, kept in a file of libp2p's protobuf form (68 bytes, mode 0600) or encrypted, opened, and used to sign; and
// the check of others' signatures. Trusts no file: the public half is derived again, for libp2p loads a wrong one without complaint (network.md 5).

import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { PeerId } from '../types/ids.ts';
import { peerFromPublicKey, peerToPublicKey } from '../types/peer-id.ts';
import { concatBytes, equalBytes } from '../util/bytes.ts';
import { type AskPassphrase, passphraseNeeded, SEALED, seal, unseal } from '../util/sealed.ts';
import { type Identity, OverlayError } from './types.ts';

/** An identity whose key libp2p can be given. `protobuf` is secret. */
export interface OpenIdentity extends Identity {
  /** 68 bytes: the private key as libp2p writes it. */
  readonly protobuf: Uint8Array;
}

/** protobuf { type: Ed25519 (1), data: 64 bytes }: the seed, then the public key. */
const PROTOBUF_HEAD = Uint8Array.of(0x08, 0x01, 0x12, 0x40);
const SEED_BYTES = 32;
const FILE_BYTES = PROTOBUF_HEAD.length + SEED_BYTES + 32;
/** An encrypted one is some 600 bytes of JSON. */
const MAX_FILE_BYTES = 4096;
const SIGNATURE_BYTES = 64;
/** RFC 8410: what stands before the 32 bytes in PKCS #8 and in SubjectPublicKeyInfo. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
/** A subnet has at most 256 nodes (protocol.md 14); several subnets and their clients fit. */
const MAX_CACHED_KEYS = 2048;

/** The identity of a seed of 32 bytes; RangeError for another length. */
export function identityFromSeed(seed: Uint8Array): OpenIdentity {
  if (seed.length !== SEED_BYTES) throw new RangeError(`a seed has ${SEED_BYTES} bytes, not ${seed.length}`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = new Uint8Array(spki.subarray(SPKI_HEAD.length));
  return {
    peer: peerFromPublicKey(publicKey),
    protobuf: concatBytes(PROTOBUF_HEAD, seed, publicKey),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}

/**
 * Writes an identity (a new one unless given) for its owner alone, encrypted if there is a passphrase; throws EEXIST rather than overwrite a key.
 *
 * @param how.cost of trying out a passphrase, for tests
 */
export function createIdentityFile(
  file: string,
  how: { readonly seed?: Uint8Array; readonly passphrase?: string | undefined; readonly cost?: number } = {},
): OpenIdentity {
  const identity = identityFromSeed(how.seed ?? new Uint8Array(randomBytes(SEED_BYTES)));
  const { peer, protobuf } = identity;
  const content =
    how.passphrase === undefined
      ? protobuf
      : `${JSON.stringify({ ...SEALED_KIND, peer, crypto: seal(protobuf, how.passphrase, how.cost) })}\n`;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, content, { flag: 'wx', mode: 0o600, flush: true });
  return identity;
}

/**
 * Opens an identity file: IDENTITY_READABLE when others may read it, IDENTITY_INVALID when it holds no sound Ed25519 key,
 * PASSPHRASE_NEEDED when it is encrypted and none was given, PASSPHRASE_WRONG.
 */
export function openIdentity(file: string, passphrase?: string): OpenIdentity {
  assertPrivate(file);
  const bytes = new Uint8Array(readFileSync(file));
  const sealed = parseSealed(bytes);
  if (sealed === undefined) return identityFromProtobuf(bytes, file);
  if (passphrase === undefined) throw passphraseNeeded(file);
  const identity = identityFromProtobuf(unseal(sealed.crypto, passphrase, file), file);
  if (identity.peer === sealed.peer) return identity;
  throw invalid(file, `it says peer ${sealed.peer}, but its key is that of ${identity.peer}`);
}

/** The peer of an identity file; of an encrypted one as it is written there, without a passphrase. */
export function readIdentityPeer(file: string): { readonly peer: PeerId; readonly isEncrypted: boolean } {
  assertPrivate(file);
  const sealed = parseSealed(new Uint8Array(readFileSync(file)));
  return sealed === undefined
    ? { peer: openIdentity(file).peer, isEncrypted: false }
    : { peer: sealed.peer as PeerId, isEncrypted: true };
}

/**
 * The 32 bytes of the seed in a file of any form that others write: libp2p's protobuf, also as base64, 64 bytes (seed and public key), 32 bytes.
 *
 * Errors: as openIdentity.
 */
export async function readIdentitySeed(file: string, ask: AskPassphrase): Promise<Uint8Array> {
  assertPrivate(file);
  const bytes = new Uint8Array(readFileSync(file));
  if (parseSealed(bytes) !== undefined) return seedOf(openIdentity(file, await ask(file)).protobuf);
  return seedIn(bytes, file);
}

function seedIn(bytes: Uint8Array, file: string): Uint8Array {
  if (bytes.length === FILE_BYTES) return seedOf(identityFromProtobuf(bytes, file).protobuf);
  if (bytes.length === SEED_BYTES) return bytes;
  if (bytes.length === 2 * SEED_BYTES)
    return seedOf(identityFromProtobuf(concatBytes(PROTOBUF_HEAD, bytes), file).protobuf);
  const text = Buffer.from(bytes).toString('latin1').trim();
  const decoded = new Uint8Array(Buffer.from(text, 'base64'));
  if (decoded.length === FILE_BYTES && /^[A-Za-z0-9+/]+={0,2}$/.test(text))
    return seedOf(identityFromProtobuf(decoded, file).protobuf);
  throw invalid(file, "no Ed25519 key: neither libp2p's protobuf (68 bytes, or as base64), nor 64 nor 32 bytes");
}

function seedOf(protobuf: Uint8Array): Uint8Array {
  return protobuf.slice(PROTOBUF_HEAD.length, PROTOBUF_HEAD.length + SEED_BYTES);
}

function identityFromProtobuf(bytes: Uint8Array, file: string): OpenIdentity {
  const head = bytes.subarray(0, PROTOBUF_HEAD.length);
  if (bytes.length !== FILE_BYTES || !equalBytes(head, PROTOBUF_HEAD))
    throw invalid(file, `not an Ed25519 private key in libp2p's protobuf form (${FILE_BYTES} bytes)`);
  const identity = identityFromSeed(seedOf(bytes));
  if (!equalBytes(identity.protobuf, bytes)) throw invalid(file, 'the public half is not that of the private half');
  return identity;
}

const SEALED_KIND = { type: 'libp2p-ed25519', version: 1 } as const;

const SEALED_IDENTITY = z.object({
  type: z.literal(SEALED_KIND.type),
  version: z.literal(SEALED_KIND.version),
  peer: z.string(),
  crypto: SEALED,
});

/** Undefined for a file that is not encrypted. */
function parseSealed(bytes: Uint8Array): z.infer<typeof SEALED_IDENTITY> | undefined {
  if (bytes[0] !== 0x7b) return undefined;
  try {
    return SEALED_IDENTITY.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch {
    return undefined;
  }
}

function assertPrivate(file: string): void {
  const stat = fileStat(file);
  if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw invalid(file, `not a file of ${FILE_BYTES} bytes`);
  if ((stat.mode & 0o077) === 0 || process.platform === 'win32') return;
  const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
  throw new OverlayError(
    { code: 'IDENTITY_READABLE', file, mode },
    `the private key ${file} is open to others (mode ${mode}); run: chmod 600 ${file}`,
  );
}

function fileStat(file: string) {
  try {
    return statSync(file);
  } catch (cause) {
    throw invalid(file, 'it cannot be read; make one with: tessera keygen', cause);
  }
}

function invalid(file: string, why: string, cause?: unknown): OverlayError {
  return new OverlayError({ code: 'IDENTITY_INVALID', file }, `no identity in ${file}: ${why}`, { cause });
}

const keys = new Map<PeerId, KeyObject>();

/**
 * Whether the peer signed the message: Ed25519 by the cofactorless equation (protocol.md 4), as node:crypto does it.
 * False for anything malformed, a peer id of another kind included.
 */
export function verifySignature(peer: PeerId, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  try {
    return verify(null, message, keyOf(peer), signature);
  } catch {
    return false;
  }
}

/** Making a key object costs as much as a verification, so the last used ones are kept. */
function keyOf(peer: PeerId): KeyObject {
  const known = keys.get(peer);
  if (known !== undefined) return known;
  const der = Buffer.concat([SPKI_HEAD, peerToPublicKey(peer)]);
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  for (const oldest of keys.keys()) {
    if (keys.size < MAX_CACHED_KEYS) break;
    keys.delete(oldest);
  }
  keys.set(peer, key);
  return key;
}
