// The subnet's policy as the canonical CBOR that its owner writes into the chain's `misc` field (protocol.md 1). What comes from there is
// another party's text: it is parsed once, here, into a Policy that cannot be wrong inside.

import { ONE } from '../types/ids.ts';
import type { Access, Policy } from '../types/subnet.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { CborError, decodeCbor, encodeCbor } from '../util/cbor.ts';
import { sha256 } from '../util/hash.ts';
import { bigUint, bytes, exactly, readMap, ShapeError, text, uint } from './fields.ts';

/** The chain keeps at most this much in `misc` anyway; a policy has about 110 bytes. */
const MAX_POLICY_BYTES = 1024;
const MAX_CUT_CHARS = 64;
/** One challenge of a shard stays a small prefill: 16 is usual (protocol.md 5). */
const MAX_CHALLENGE_TOKENS = 256;

export type DecodedPolicy =
  | { readonly ok: true; readonly policy: Policy }
  | { readonly ok: false; readonly code: 'POLICY_MALFORMED'; readonly why: string };

export const POLICY_DEFAULTS: Omit<Policy, 'manifest' | 'cut'> = {
  hosterShare: (ONE * 75n) / 100n,
  attestorShare: (ONE * 25n) / 100n,
  challengeTokens: 16,
  auditRate: (ONE * 5n) / 100n,
  access: 'open',
};

export function encodePolicy(policy: Policy): Uint8Array {
  return encodeCbor({
    v: 1,
    m: fromHex(policy.manifest),
    c: policy.cut,
    h: policy.hosterShare,
    a: policy.attestorShare,
    t: policy.challengeTokens,
    u: policy.auditRate,
    x: policy.access,
  });
}

/** The policy in `input`; shares add up to ONE at most. Never throws. */
export function decodePolicy(input: Uint8Array): DecodedPolicy {
  try {
    return { ok: true, policy: readPolicy(input) };
  } catch (error) {
    if (error instanceof ShapeError || error instanceof CborError) {
      return { ok: false, code: 'POLICY_MALFORMED', why: error.message };
    }
    throw error;
  }
}

/** SHA-256 of the canonical bytes. */
export function policyHash(policy: Policy): Uint8Array {
  return sha256(encodePolicy(policy));
}

function readPolicy(input: Uint8Array): Policy {
  if (input.length > MAX_POLICY_BYTES) throw new ShapeError(`longer than ${MAX_POLICY_BYTES} bytes`);
  type Fields = { v: number; m: Uint8Array; c: string; h: bigint; a: bigint; t: number; u: bigint; x: Access };
  const map = readMap<Fields>(decodeCbor(input), {
    v: exactly(1),
    m: bytes(32),
    c: text(MAX_CUT_CHARS),
    h: bigUint(ONE),
    a: bigUint(ONE),
    t: uint(MAX_CHALLENGE_TOKENS),
    u: bigUint(ONE),
    x: exactly<Access>('open', 'registered', 'private'),
  });
  if (map.t < 1) throw new ShapeError('a challenge has at least one position');
  if (map.h + map.a > ONE) throw new ShapeError('shares add up to more than ONE');
  return {
    manifest: toHex(map.m),
    cut: map.c,
    hosterShare: map.h,
    attestorShare: map.a,
    challengeTokens: map.t,
    auditRate: map.u,
    access: map.x,
  };
}
