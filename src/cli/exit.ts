// Exit codes, in one table: 0 done, 1 failed, 2 wrong usage, 3 cannot reach the chain, 4 not registered or not active,
// 5 refused to sign twice, 6 integrity (hash, signature), 78 configuration (a supervisor must not restart).

import { CodedError, errorCode, errorMessage } from '../util/errors.ts';

/** By error code; every other error is 1. */
export const EXIT_CODES: Readonly<Record<string, number>> = {
  USAGE: 2,
  OPTION_INVALID: 2,
  CHAIN_UNREACHABLE: 3,
  CHAIN_TIMEOUT: 3,
  NOT_REGISTERED: 4,
  NOT_ACTIVE: 4,
  SIGNED_ALREADY: 5,
  SIGNED_ELSEWHERE: 5,
  SLOT_PAST: 5,
  JOURNAL_LOCKED: 5,
  MODEL_HASH: 6,
  MODEL_MANIFEST: 6,
  MANIFEST_MISMATCH: 6,
  E_HASH: 6,
  E_UNSAFE: 6,
  CHAIN_WRONG_GENESIS: 78,
  CHAIN_UNSUPPORTED: 78,
  KEY_FILE_INVALID: 78,
  KEY_FILE_READABLE: 78,
  IDENTITY_INVALID: 78,
  IDENTITY_READABLE: 78,
  NETWORK_KEY_INVALID: 78,
  NETWORK_KEY_NEEDED: 78,
  PASSPHRASE_NEEDED: 78,
  PASSPHRASE_WRONG: 78,
  PASSPHRASE_WEAK: 2,
  BACKUP_INVALID: 6,
  EPOCH_DIFFERS: 6,
  INTERCHANGE_INVALID: 6,
  JOURNAL_FOREIGN: 78,
  JOURNAL_UNUSABLE: 78,
  IDENTITY_MISMATCH: 78,
  POLICY_MALFORMED: 78,
  MODEL_FILE: 78,
  DEVCHAIN_SPEC_INVALID: 78,
  DEVCHAIN_FOREIGN_GENESIS: 78,
  DEVCHAIN_DB_DAMAGED: 78,
  DEVNET_STATE_INVALID: 78,
  GATEWAY_KEYS_NEEDED: 78,
  GATEWAY_KEYS_INVALID: 78,
};

export class UsageError extends CodedError<{ code: 'USAGE' }> {
  constructor(message: string) {
    super({ code: 'USAGE' }, message);
  }
}

/** Where the caller's node stands on the chain, when a command needs more. */
export class StandingError extends CodedError<{ code: 'NOT_REGISTERED' | 'NOT_ACTIVE'; subnet: number }> {}

export function exitCodeOf(error: unknown): number {
  return EXIT_CODES[errorCode(error)] ?? 1;
}

/** What to do about errors of the system, which name the place themselves. */
const SYSTEM_ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: make room, or name another place (--data-dir, --out)',
  EDQUOT: "the user's share of the disk is full: make room, or name another place (--data-dir, --out)",
  EROFS: 'nothing can be written there: name another place (--data-dir, --out)',
  EACCES: 'this user may not do that: look at the owner and the mode of the file',
  EPERM: 'this user may not do that: look at the owner and the mode of the file',
  ENOENT: 'there is no such file or folder: is the path right, and can its folder be written to?',
  ENOTDIR: 'a part of the path is no folder: is the path right?',
  EISDIR: 'that is a folder: name a file',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
};

/** What goes to stderr: the code, and what happened with what to do next. */
export function describeError(error: unknown): string {
  const code = errorCode(error);
  const isOwn = error instanceof CodedError || !Object.hasOwn(SYSTEM_ADVICE, code);
  const advice = isOwn ? '' : `; ${SYSTEM_ADVICE[code]}`;
  return code === 'UNKNOWN' ? `tessera: ${errorMessage(error)}` : `tessera: ${errorMessage(error)}${advice} [${code}]`;
}
