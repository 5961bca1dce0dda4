import assert from 'node:assert/strict';
import type { Subnet, SubnetNode } from '../../../src/chain/types.ts';
import type { Model } from '../../../src/model/open.ts';
import { policiesOf, requireIdentity, requireNetworkKey, requirePolicy } from '../../../src/node/requirements.ts';
import type { Identity } from '../../../src/p2p/types.ts';
import type { PeerId, SubnetId } from '../../../src/types/ids.ts';
import type { ManifestHash } from '../../../src/types/model.ts';
import { encodePolicy, POLICY_DEFAULTS } from '../../../src/wire/policy.ts';

const hashOf = (digit: string): ManifestHash => digit.repeat(64) as ManifestHash;
const subnetOf = (misc: Uint8Array): Subnet => ({ id: 7 as SubnetId, misc }) as Subnet;
const modelOf = (hash: ManifestHash): Model => ({ hash }) as Model;

describe('what must agree before a node starts', () => {
  const policy = { ...POLICY_DEFAULTS, manifest: hashOf('a'), cut: 'default' };

  const next = { ...policy, manifest: hashOf('c'), access: 'private' as const };
  const broken = new Uint8Array([0xff]);
  const subnet = subnetOf(encodePolicy(policy));

  it('the policy is given for the model that it names', () => {
    for (const before of [undefined, encodePolicy(policy)]) {
      const policies = policiesOf(subnet, before);
      assert.deepEqual(policies, { inForce: policy, coming: undefined });
      assert.deepEqual(requirePolicy(policies, subnet, modelOf(hashOf('a'))), policy);
    }
  });

  it('another model is refused with both hashes', () => {
    assert.throws(() => requirePolicy(policiesOf(subnet, undefined), subnet, modelOf(hashOf('b'))), {
      facts: { code: 'MANIFEST_MISMATCH', wanted: hashOf('a'), found: hashOf('b') },
    });
  });

  it('after a change the model from before it is taken, and the new one too', () => {
    const policies = policiesOf(subnetOf(encodePolicy(next)), encodePolicy(policy));
    assert.deepEqual(policies, { inForce: policy, coming: next });
    assert.deepEqual(requirePolicy(policies, subnet, modelOf(hashOf('a'))), policy);
    assert.deepEqual(requirePolicy(policies, subnet, modelOf(hashOf('c'))), next);
    const named = { code: 'MANIFEST_MISMATCH', message: new RegExp(`${hashOf('a')} .soon ${hashOf('c')}`) };
    assert.throws(() => requirePolicy(policies, subnet, modelOf(hashOf('b'))), named);
  });

  it('a policy that cannot be read is refused, unless the other one can', () => {
    const malformed = { facts: { code: 'POLICY_MALFORMED', subnet: 7 } };
    assert.throws(() => policiesOf(subnetOf(broken), undefined), malformed);
    assert.throws(() => policiesOf(subnetOf(broken), new Uint8Array([0xfe])), malformed);
    assert.deepEqual(policiesOf(subnetOf(broken), encodePolicy(policy)), { inForce: policy, coming: undefined });
    assert.deepEqual(policiesOf(subnet, broken), { inForce: policy, coming: undefined });
  });

  it('another identity than the registered one is refused', () => {
    const node = { id: 1, peerInfo: { peer: 'A' as PeerId } } as SubnetNode;
    assert.doesNotThrow(() => requireIdentity(node, { peer: 'A' } as Identity));
    assert.throws(() => requireIdentity(node, { peer: 'B' } as Identity), {
      facts: { code: 'IDENTITY_MISMATCH', registered: 'A', found: 'B' },
    });
  });

  it('a private subnet asks for its key', () => {
    assert.throws(() => requireNetworkKey('private', undefined), { code: 'NETWORK_KEY_NEEDED' });
    requireNetworkKey('private', '/keys/network_key');
    for (const access of ['open', 'registered'] as const) requireNetworkKey(access, undefined);
  });
});
