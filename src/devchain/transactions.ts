// The way of a transaction into the pool: form, hash, bans, the runtime's verdict, tags. Every refusal is a value that the RPC turns into a
// node's error code.

import { concatBytes, u8 } from '../util/bytes.ts';
import { errorMessage } from '../util/errors.ts';
import { blake2b256 } from './hashing.ts';
import { type Hex, hex } from './hex.ts';
import type { AddResult, Pool } from './pool.ts';
import { createReader } from './scale.ts';
import { isRefusal, type Refusal, type ValidTransaction } from './validity.ts';

export type SubmitResult =
  | { readonly ok: true; readonly hash: Hex; readonly added: Extract<AddResult, { ok: true }> }
  | { readonly ok: false; readonly refusal: SubmitRefusal };

export type SubmitRefusal =
  | { readonly code: 'BAD_FORMAT' }
  | { readonly code: 'TRAPPED'; readonly text: string }
  | { readonly code: 'REFUSED'; readonly refusal: Refusal }
  | { readonly code: 'BANNED' }
  | { readonly code: 'KNOWN'; readonly hash: Hex }
  | Exclude<AddResult, { ok: true }>;

/** TransactionSource::External of sp_runtime. */
const EXTERNAL = 2;

/** Calls the runtime's TaggedTransactionQueue on the head. */
export type Validate = (extrinsic: Uint8Array) => ValidTransaction | Refusal;

export function validationArguments(extrinsic: Uint8Array, headHash: Uint8Array): Uint8Array {
  return concatBytes(u8(EXTERNAL), extrinsic, headHash);
}

export interface Bans {
  add(hash: Hex, block: number): void;
  has(hash: Hex, block: number): boolean;
}

/** A transaction that made the runtime trap stays out this long; real nodes ban for half an hour. */
const BAN_BLOCKS = 300;
/** The oldest ban makes room. */
const MAX_BANS = 1024;

export function createBans(): Bans {
  const until = new Map<Hex, number>();
  return {
    add: (hash, block) => {
      until.delete(hash);
      until.set(hash, block + BAN_BLOCKS);
      const oldest = until.keys().next().value;
      if (until.size > MAX_BANS && oldest !== undefined) until.delete(oldest);
    },
    has: (hash, block) => (until.get(hash) ?? 0) > block,
  };
}

/** @param next number of the next block */
export function submitTransaction(
  bytes: Uint8Array,
  next: number,
  parts: { readonly pool: Pool; readonly bans: Bans; readonly validate: Validate },
): SubmitResult {
  const refuse = (refusal: SubmitRefusal): SubmitResult => ({ ok: false, refusal });
  if (!isOpaqueExtrinsic(bytes)) return refuse({ code: 'BAD_FORMAT' });
  const hash = hex(blake2b256(bytes));
  if (parts.pool.has(hash)) return refuse({ code: 'KNOWN', hash });
  if (parts.bans.has(hash, next)) return refuse({ code: 'BANNED' });
  const verdict = judge(bytes, parts.validate);
  if ('code' in verdict) return refuse(verdict);
  const added = parts.pool.add({ hash, bytes, validity: verdict }, next);
  return added.ok ? { ok: true, hash, added } : refuse(added);
}

function judge(bytes: Uint8Array, validate: Validate): ValidTransaction | Exclude<SubmitRefusal, AddResult> {
  try {
    const validity = validate(bytes);
    return isRefusal(validity) ? { code: 'REFUSED', refusal: validity } : validity;
  } catch (error) {
    return { code: 'TRAPPED', text: errorMessage(error) };
  }
}

/** An extrinsic is a SCALE byte vector: its length stands in front and must be its length. */
function isOpaqueExtrinsic(bytes: Uint8Array): boolean {
  try {
    const reader = createReader(bytes);
    return reader.compact() === reader.left() && reader.left() > 0;
  } catch {
    return false;
  }
}
