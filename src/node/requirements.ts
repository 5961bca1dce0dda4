// What must agree before a node starts: the model with the subnet's policy, the identity file with the registration.

import type { Subnet, SubnetNode } from '../chain/types.ts';
import type { Model } from '../model/open.ts';
import type { Identity } from '../p2p/types.ts';
import type { Access, Policy } from '../types/subnet.ts';
import { CodedError } from '../util/errors.ts';
import { decodePolicy } from '../wire/policy.ts';

export type NodeErrorFacts =
  | { readonly code: 'MANIFEST_MISMATCH'; readonly wanted: string; readonly found: string }
  | { readonly code: 'POLICY_MALFORMED'; readonly subnet: number }
  | { readonly code: 'NETWORK_KEY_NEEDED' }
  | { readonly code: 'IDENTITY_MISMATCH'; readonly registered: string; readonly found: string };

class NodeError extends CodedError<NodeErrorFacts> {}

/** The policy of the subnet. */
export function readPolicy(subnet: Subnet): Policy {
  const decoded = decodePolicy(subnet.misc);
  if (decoded.ok) return decoded.policy;
  throw new NodeError(
    { code: 'POLICY_MALFORMED', subnet: subnet.id },
    `the policy of subnet ${subnet.id} cannot be read (${decoded.why}); its owner must write it again`,
  );
}

/** The policy of the subnet, for a model that is the one it names. */
export function requirePolicy(subnet: Subnet, model: Model): Policy {
  const policy = readPolicy(subnet);
  if (policy.manifest === model.hash) return policy;
  throw new NodeError(
    { code: 'MANIFEST_MISMATCH', wanted: policy.manifest, found: model.hash },
    `subnet ${subnet.id} runs the model with manifest ${policy.manifest}, but the model folder has ${model.hash}; name the right folder with --model`,
  );
}

/** The identity file must be the one that the node was registered with. */
export function requireIdentity(node: SubnetNode, identity: Identity): void {
  if (node.peerInfo.peer === identity.peer) return;
  throw new NodeError(
    { code: 'IDENTITY_MISMATCH', registered: node.peerInfo.peer, found: identity.peer },
    `node ${node.id} is registered with peer id ${node.peerInfo.peer}, but the identity file has ${identity.peer}; check --identity-path and --data-dir`,
  );
}

/** A private subnet is one for those who have its key: without it nobody would answer, with an overlay without it anybody could ask. */
export function requireNetworkKey(access: Access, file: string | undefined): void {
  if (access !== 'private' || file !== undefined) return;
  throw new NodeError(
    { code: 'NETWORK_KEY_NEEDED' },
    'this subnet is private: its owner gives out a network key; name its file with --network-key',
  );
}
