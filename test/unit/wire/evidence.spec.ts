// What stands on chain: the policy in `misc`, the evidence in `args` (protocol.md 1, 3, 7).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { type Epoch, type NodeId, ONE } from '../../../src/types/ids.ts';
import type { Policy, Roster, RosterNode } from '../../../src/types/subnet.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../src/util/cbor.ts';
import { decodeArgs, encodeArgs, evidenceRoot, NO_IDS, PLACES } from '../../../src/wire/evidence.ts';
import { decodePolicy, encodePolicy, POLICY_DEFAULTS, policyHash } from '../../../src/wire/policy.ts';

const vectors = JSON.parse(readFileSync(new URL('../../vectors/evidence.json', import.meta.url), 'utf8')) as {
  emptyRoot: string;
  policy: { bytes: string; hash: string };
  args: { seats: number; epoch: Epoch; first: number[]; second: number[]; equivocators: number[]; bytes: string };
  root: { hash: string };
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
    const placed = { ...NO_IDS, a: new Map([[0, id(20)]]), hc: new Map([[2, id(21)]]), au: new Map([[9, id(22)]]) };
    assert.equal(toHex(evidenceRoot(rosterOf(10), placed)), vectors.root.hash);
  });

  it('comes back from args as it went, and has the bytes of the vector', () => {
    const { seats: size, bytes, ...named } = vectors.args;
    const args = { ...named, root: new Uint8Array(32).fill(3) };
    assert.equal(toHex(encodeArgs(args, size)), bytes);
    assert.deepEqual(decodeArgs(fromHex(bytes), size), { ok: true, args });
    assert.ok(encodeArgs({ ...args, first: [255], second: [], equivocators: [] }, 256).length < 200);
  });

  it('is unreadable for another roster, another version or any other bytes', () => {
    const bytes = fromHex(vectors.args.bytes);
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
    assert.equal(toHex(encodePolicy(policy)), vectors.policy.bytes);
    assert.equal(toHex(policyHash(policy)), vectors.policy.hash);
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
