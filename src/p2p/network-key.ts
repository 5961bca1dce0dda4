// The pre-shared key of a private network: a file in the form that all libp2p programs know (swarm.key). Who does not have it does not get as far
// as a handshake. Secret.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { OverlayError } from './types.ts';

const FORM = /^\/key\/swarm\/psk\/1\.0\.0\/\r?\n\/base16\/\r?\n([0-9a-fA-F]{64})\s*$/;
const MAX_FILE_BYTES = 256;
const KEY_BYTES = 32;

/** The text of the file, as libp2p takes it. NETWORK_KEY_INVALID when it holds no key or is open to others. */
export function openNetworkKey(file: string): Uint8Array {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) throw invalid(file, 'there is no such file; make one with: tessera keygen --network-key');
  if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw invalid(file, 'not a file of a pre-shared key');
  if ((stat.mode & 0o077) !== 0 && process.platform !== 'win32')
    throw invalid(file, `it is open to others; run: chmod 600 ${file}`);
  const key = FORM.exec(readFileSync(file, 'utf8'))?.[1];
  if (key === undefined) throw invalid(file, 'expected /key/swarm/psk/1.0.0/, /base16/ and 64 hex digits, a line each');
  return keyText(key.toLowerCase());
}

/** Makes a new key; throws EEXIST rather than overwrite one. */
export function createNetworkKey(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, keyText(randomBytes(KEY_BYTES).toString('hex')), { flag: 'wx', mode: 0o600, flush: true });
}

function keyText(hex: string): Uint8Array {
  return new TextEncoder().encode(`/key/swarm/psk/1.0.0/\n/base16/\n${hex}`);
}

function invalid(file: string, why: string): OverlayError {
  return new OverlayError({ code: 'NETWORK_KEY_INVALID', file }, `no network key in ${file}: ${why}`);
}
