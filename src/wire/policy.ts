// The subnet's policy as the canonical CBOR that its owner writes into the chain's `misc` field (protocol.md 1). What comes from there is
// another party's text: it is parsed once, here, into a Policy that cannot be wrong inside.

import { ONE } from '../types/ids.ts';
import type { Access, Policy } from '../types/subnet.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { encodeCbor } from '../util/cbor.ts';
import { sha256 } from '../util/hash.ts';
import { between, bigUint, bytes, exactly, parsing, readCbor, readMap, refuse, text } from './fields.ts';

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
  const read = parsing(() => readPolicy(input));
  return read.ok ? { ok: true, policy: read.value } : { ok: false, code: 'POLICY_MALFORMED', why: read.why };
}

/** SHA-256 of the canonical bytes. */
export function policyHash(policy: Policy): Uint8Array {
  return sha256(encodePolicy(policy));
}

function readPolicy(input: Uint8Array): Policy {
  const map = readMap(readCbor(input, MAX_POLICY_BYTES), {
    v: exactly(1),
    m: bytes(32),
    c: text(MAX_CUT_CHARS),
    h: bigUint(ONE),
    a: bigUint(ONE),
    t: between(1, MAX_CHALLENGE_TOKENS),
    u: bigUint(ONE),
    x: exactly<Access>('open', 'registered', 'private'),
  });
  if (map.h + map.a > ONE) return refuse('shares add up to more than ONE');
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
