// The node's Ed25519 identity: made, kept in a file of libp2p's protobuf form (68 bytes, mode 0600), opened, and used to sign; and the check of
// others' signatures. Trusts no file: the public half is derived again, for libp2p loads a wrong one without complaint (network.md 5).

import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { PeerId } from '../types/ids.ts';
import { peerFromPublicKey, peerToPublicKey } from '../types/peer-id.ts';
import { concatBytes, equalBytes } from '../util/bytes.ts';
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

/** Makes a new identity and writes it for its owner alone; throws EEXIST rather than overwrite a key. */
export function createIdentityFile(file: string): OpenIdentity {
  const identity = identityFromSeed(new Uint8Array(randomBytes(SEED_BYTES)));
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, identity.protobuf, { flag: 'wx', mode: 0o600, flush: true });
  return identity;
}

/** Opens an identity file: IDENTITY_READABLE when others may read it, IDENTITY_INVALID when it holds no sound Ed25519 key. */
export function openIdentity(file: string): OpenIdentity {
  assertPrivate(file);
  const bytes = new Uint8Array(readFileSync(file));
  const head = bytes.subarray(0, PROTOBUF_HEAD.length);
  if (bytes.length !== FILE_BYTES || !equalBytes(head, PROTOBUF_HEAD))
    throw invalid(file, `not an Ed25519 private key in libp2p's protobuf form (${FILE_BYTES} bytes)`);
  const identity = identityFromSeed(bytes.subarray(PROTOBUF_HEAD.length, PROTOBUF_HEAD.length + SEED_BYTES));
  if (!equalBytes(identity.protobuf, bytes)) throw invalid(file, 'the public half is not that of the private half');
  return identity;
}

function assertPrivate(file: string): void {
  const stat = fileStat(file);
  if (!stat.isFile() || stat.size > FILE_BYTES) throw invalid(file, `not a file of ${FILE_BYTES} bytes`);
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
