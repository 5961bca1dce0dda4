// API keys of a gateway: 256 random bits each, kept as their SHA-256 only, so the file is worth nothing to who reads it (no salt: there is
// nothing to guess). The file is read again when it has changed: what `tessera gateway keys` does takes effect at once.

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { CodedError } from '../util/errors.ts';
import type { Quota } from './quotas.ts';

const KEY_BYTES = 32;
const KEY_PREFIX = 'tsr-';
/** Characters of a hash that name a key. */
const ID_CHARS = 8;
const MAX_KEYS = 10_000;

const entry = z.strictObject({
  id: z.string(),
  name: z.string(),
  /** SHA-256 of the key, hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Seconds since 1970. */
  created: z.int(),
  concurrentRequests: z.int().min(1),
  tokensPerMinute: z.int().min(1),
  revoked: z.boolean(),
});
const file = z.strictObject({ keys: z.array(entry).max(MAX_KEYS) });

export type ApiKey = z.infer<typeof entry>;

class GatewayKeysError extends CodedError<{ code: 'GATEWAY_KEYS_INVALID'; readonly file: string }> {}

/** Every key ever made; none while there is no file. */
export function readKeys(path: string): readonly ApiKey[] {
  if (!existsSync(path)) return [];
  try {
    return file.parse(JSON.parse(readFileSync(path, 'utf8'))).keys;
  } catch (cause) {
    throw new GatewayKeysError(
      { code: 'GATEWAY_KEYS_INVALID', file: path },
      `${path} cannot be read as API keys; restore it, or remove it and make keys anew`,
      { cause },
    );
  }
}

/** Makes a key. The key itself is in the answer and nowhere else. */
export function addKey(
  path: string,
  name: string,
  quota: Quota,
  nowS: number,
): { readonly key: string; readonly entry: ApiKey } {
  const key = `${KEY_PREFIX}${randomBytes(KEY_BYTES).toString('base64url')}`;
  const hash = hashOf(key);
  const made = { id: hash.slice(0, ID_CHARS), name, hash, created: nowS, ...quota, revoked: false };
  write(path, [...readKeys(path), made]);
  return { key, entry: made };
}

/** Undefined when no key has this id. */
export function revokeKey(path: string, id: string): ApiKey | undefined {
  const keys = readKeys(path);
  const found = keys.find((one) => one.id === id);
  if (found === undefined) return undefined;
  const revoked = { ...found, revoked: true };
  write(
    path,
    keys.map((one) => (one === found ? revoked : one)),
  );
  return revoked;
}

export interface KeyRing {
  /** Whether keys are needed at all: as soon as one was ever made, also when the file is gone since. */
  required(): boolean;
  /** The valid key behind these words. */
  find(key: string): { readonly id: string; readonly quota: Quota } | undefined;
}

export function openKeyRing(path: string): KeyRing {
  let stamp = '';
  let required = false;
  let valid = new Map<string, { readonly id: string; readonly quota: Quota }>();

  function refresh(): void {
    const found = statSync(path, { throwIfNoEntry: false });
    const seen = found === undefined ? '' : `${found.mtimeMs}-${found.size}-${found.ino}`;
    if (seen === stamp) return;
    const known = readKeys(path);
    required ||= known.length > 0;
    valid = new Map(known.filter((one) => !one.revoked).map((one) => [one.hash, { id: one.id, quota: quotaOf(one) }]));
    stamp = seen;
  }

  return {
    required() {
      refresh();
      return required;
    },
    find(key) {
      refresh();
      return valid.get(hashOf(key));
    },
  };
}

function quotaOf({ concurrentRequests, tokensPerMinute }: ApiKey): Quota {
  return { concurrentRequests, tokensPerMinute };
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** A reader sees the old file or the new one. */
function write(path: string, keys: readonly ApiKey[]): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.new`;
  writeFileSync(draft, `${JSON.stringify({ keys }, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}
