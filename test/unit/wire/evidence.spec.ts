// What stands on chain: the policy in `misc`, the evidence in `args` (protocol.md 1, 3, 7).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { type Epoch, type NodeId, ONE } from '../../../src/types/ids.ts';
import type { Policy, Roster, RosterNode } from '../../../src/types/subnet.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../src/util/cbor.ts';
import { byPlace, decodeArgs, encodeArgs, evidenceRoot, NO_IDS, PLACES } from '../../../src/wire/evidence.ts';
import { decodePolicy, encodePolicy, POLICY_DEFAULTS, policyHash } from '../../../src/wire/policy.ts';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/evidence.json', import.meta.url), 'utf8')) as {
  emptyRoot: string;
  policies: {
    manifest: string;
    cut: string;
    hosterShare: string;
    attestorShare: string;
    challengeTokens: number;
    auditRate: string;
    access: Policy['access'];
    bytes: string;
    hash: string;
  }[];
  policiesRefused: { why: string; bytes: string; taken: boolean }[];
  args: {
    seats: number;
    epoch: Epoch;
    first: number[];
    second: number[];
    equivocators: number[];
    root: string;
    bytes: string;
  }[];
  argsRefused: { why: string; seats: number; bytes: string; taken: boolean }[];
  roots: { nodes: number[]; places: Record<string, [number, string][]>; root: string }[];
};

function rosterOf(size: number): Roster {
  const nodes = Array.from({ length: size }, (_, i) => ({ id: (i + 1) as NodeId }) as RosterNode);
  return { epoch: 7 as Epoch, nodes, validators: [], live: true };
}

describe('evidence', () => {
  it('has the root of the tag alone when it names nothing', () => {
    assert.equal(toHex(evidenceRoot(rosterOf(5), NO_IDS)), vectors.emptyRoot);
  });

  it('has a root that depends on place, seat and id, and the one of the vector', () => {
    const id = (byte: number) => new Uint8Array(32).fill(byte);
    const roots = [
      ...PLACES.map((place) => ({ ...NO_IDS, [place]: new Map([[0, id(1)]]) })),
      { ...NO_IDS, hc: new Map([[1, id(1)]]) },
      { ...NO_IDS, hc: new Map([[0, id(2)]]) },
      NO_IDS,
    ].map((ids) => toHex(evidenceRoot(rosterOf(5), ids)));
    assert.equal(new Set(roots).size, roots.length);
    for (const { nodes, places, root } of vectors.roots) {
      const ids = byPlace((place) => new Map((places[place] ?? []).map(([seat, hex]) => [seat, fromHex(hex)])));
      const roster = { ...rosterOf(0), nodes: nodes.map((node) => ({ id: node as NodeId }) as RosterNode) };
      assert.equal(toHex(evidenceRoot(roster, ids)), root);
    }
  });

  it('comes back from args as it went, and has the bytes of the vector', () => {
    for (const { seats, bytes, root, ...named } of vectors.args) {
      const args = { ...named, root: fromHex(root) };
      assert.equal(toHex(encodeArgs(args, seats)), bytes);
      assert.deepEqual(decodeArgs(fromHex(bytes), seats), { ok: true, args });
      assert.ok(bytes.length / 2 < 200);
    }
  });

  it('is unreadable for another roster, another version or any other bytes', () => {
    const bytes = fromHex(vectors.args[0]?.bytes ?? '');
    for (const { why, seats, bytes: refused, taken } of vectors.argsRefused) {
      assert.equal(decodeArgs(fromHex(refused), seats).ok, taken, why);
    }
    const unreadable = { ok: false, code: 'PROPOSAL_UNREADABLE' };
    assert.deepEqual(decodeArgs(bytes, 20), unreadable);
    assert.deepEqual(decodeArgs(bytes, 9), unreadable);
    const fields = decodeCbor(bytes) as { readonly [key: string]: Cbor };
    assert.deepEqual(decodeArgs(encodeCbor({ ...fields, v: 2 }), 10), unreadable);
    assert.deepEqual(decodeArgs(new Uint8Array(4096), 10), unreadable);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (junk) => assert.equal(decodeArgs(junk, 10).ok, false)));
  });
});

describe('policy', () => {
  const policy: Policy = { ...POLICY_DEFAULTS, manifest: '04'.repeat(32), cut: 'fp32/4' };

  it('has the bytes and hash of the vector', () => {
    for (const { bytes, hash, hosterShare, attestorShare, auditRate, ...rest } of vectors.policies) {
      const shares = { hosterShare: BigInt(hosterShare), attestorShare: BigInt(attestorShare) };
      const one = { ...rest, ...shares, auditRate: BigInt(auditRate) };
      assert.equal(toHex(encodePolicy(one)), bytes);
      assert.equal(toHex(policyHash(one)), hash);
      assert.deepEqual(decodePolicy(fromHex(bytes)), { ok: true, policy: one });
    }
    for (const { why, bytes, taken } of vectors.policiesRefused) {
      assert.equal(decodePolicy(fromHex(bytes)).ok, taken, why);
    }
  });

  it('comes back as it went', () => {
    const fraction = fc.bigInt({ min: 0n, max: ONE / 2n });
    const any: fc.Arbitrary<Policy> = fc.record({
      manifest: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex),
      cut: fc.string({ maxLength: 64 }),
      hosterShare: fraction,
      attestorShare: fraction,
      challengeTokens: fc.integer({ min: 1, max: 256 }),
      auditRate: fraction,
      access: fc.constantFrom('open', 'registered', 'private'),
    });
    fc.assert(
      fc.property(any, (one) => {
        assert.deepEqual(decodePolicy(encodePolicy(one)), { ok: true, policy: { ...one } });
      }),
    );
  });

  it('is refused in words when the owner wrote something else', () => {
    const fields = decodeCbor(encodePolicy(policy)) as { readonly [key: string]: Cbor };
    for (const bad of [
      new Uint8Array(),
      new Uint8Array(2000),
      encodeCbor({ ...fields, h: ONE }),
      encodeCbor({ ...fields, t: 0 }),
      encodeCbor({ ...fields, t: 257 }),
      encodeCbor({ ...fields, x: 'nobody' }),
      encodeCbor({ ...fields, m: new Uint8Array(31) }),
      encodeCbor({ ...fields, z: 1 }),
    ]) {
      const decoded = decodePolicy(bad);
      assert.ok(!decoded.ok && decoded.code === 'POLICY_MALFORMED' && decoded.why.length > 0);
    }
  });
});
