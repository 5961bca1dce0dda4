// The five keys of a data directory under one roof: three identities and two accounts, what each file holds, and how one is written.

import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createAccountFile, readAccountAddress, readPrivateKey } from '../chain/accounts.ts';
import { createIdentityFile, readIdentityPeer, readIdentitySeed } from '../p2p/identity.ts';
import { errorMessage } from '../util/errors.ts';
import type { AskPassphrase } from '../util/sealed.ts';
import { UsageError } from './exit.ts';

export const IDENTITIES = ['peer_id', 'bootstrap_peer_id', 'client_peer_id'] as const;
export const ACCOUNTS = ['hotkey', 'coldkey'] as const;

const KEY_NAMES = [...IDENTITIES, ...ACCOUNTS] as const;
export type KeyName = (typeof KEY_NAMES)[number];

export function keyNameOf(text: string): KeyName {
  const name = KEY_NAMES.find((one) => one === text);
  if (name === undefined) throw new UsageError(`say which key: ${KEY_NAMES.join(', ')}`);
  return name;
}

export function isIdentity(name: KeyName): boolean {
  return (IDENTITIES as readonly string[]).includes(name);
}

export function keyFolder(dataDir: string): string {
  return join(dataDir, 'keys');
}

export function keyFile(dataDir: string, name: KeyName): string {
  return join(keyFolder(dataDir), isIdentity(name) ? name : `${name}.json`);
}

export interface KeyInfo {
  readonly name: KeyName;
  readonly file: string;
  /** Peer id or address. */
  readonly id: string;
  readonly isEncrypted: boolean;
  readonly mode: string;
  /** Why it cannot be used, if so. */
  readonly problem: string | undefined;
}

/** Every key that is there; nothing is decrypted. */
export function listKeys(dataDir: string): readonly KeyInfo[] {
  return KEY_NAMES.filter((name) => existsSync(keyFile(dataDir, name))).map((name) => keyInfo(dataDir, name));
}

function keyInfo(dataDir: string, name: KeyName): KeyInfo {
  const file = keyFile(dataDir, name);
  const mode = (statSync(file).mode & 0o777).toString(8).padStart(4, '0');
  try {
    const { id, isEncrypted } = readPublic(file, name);
    return { name, file, id, isEncrypted, mode, problem: undefined };
  } catch (error) {
    return { name, file, id: '', isEncrypted: false, mode, problem: errorMessage(error) };
  }
}

function readPublic(file: string, name: KeyName): { readonly id: string; readonly isEncrypted: boolean } {
  if (isIdentity(name)) {
    const { peer, isEncrypted } = readIdentityPeer(file);
    return { id: peer, isEncrypted };
  }
  const { address, isEncrypted } = readAccountAddress(file);
  return { id: address, isEncrypted };
}

/** The 32 secret bytes of a key file of any form. */
export function readSecret(file: string, name: KeyName, ask: AskPassphrase, derivation?: string): Promise<Uint8Array> {
  return isIdentity(name) ? readIdentitySeed(file, ask) : readPrivateKey(file, ask, derivation);
}

/** Writes a new file, encrypted with a passphrase; never over another one. Returns peer id or address. */
export function writeKey(file: string, name: KeyName, secret: Uint8Array, passphrase: string | undefined): string {
  if (existsSync(file))
    throw new UsageError(`${file} is there already; keys are never overwritten: move it away first`);
  return isIdentity(name)
    ? createIdentityFile(file, { seed: secret, passphrase }).peer
    : createAccountFile(file, { privateKey: secret, passphrase });
}
