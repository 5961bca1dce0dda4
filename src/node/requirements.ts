// What must agree before a node starts: the model with the subnet's policy, the identity file with the registration.

import type { Subnet, SubnetNode } from '../chain/types.ts';
import type { Model } from '../model/open.ts';
import type { Identity } from '../p2p/types.ts';
import type { Access, Policy } from '../types/subnet.ts';
import { equalBytes } from '../util/bytes.ts';
import { CodedError } from '../util/errors.ts';
import { type DecodedPolicy, decodePolicy } from '../wire/policy.ts';

export type NodeErrorFacts =
  | { readonly code: 'MANIFEST_MISMATCH'; readonly wanted: string; readonly found: string }
  | { readonly code: 'POLICY_MALFORMED'; readonly subnet: number }
  | { readonly code: 'NETWORK_KEY_NEEDED' }
  | { readonly code: 'IDENTITY_MISMATCH'; readonly registered: string; readonly found: string };

class NodeError extends CodedError<NodeErrorFacts> {}

/** What the owner wrote, by when it holds (protocol.md 1). */
export interface Policies {
  /** Of the epoch that runs. */
  readonly inForce: Policy;
  /** Written since, if it was: holds from the next epoch on or from the one after. */
  readonly coming: Policy | undefined;
}

/**
 * The policies of a subnet that holds `subnet.misc` now and held `before` at the first block of the epoch before this one; undefined where that is not
 * known. What cannot be read counts for nothing while the other can.
 */
export function policiesOf(subnet: Pick<Subnet, 'id' | 'misc'>, before: Uint8Array | undefined): Policies {
  const now = decodePolicy(subnet.misc);
  if (before === undefined || equalBytes(before, subnet.misc))
    return { inForce: requireRead(now, subnet), coming: undefined };
  const held = decodePolicy(before);
  if (!held.ok) return { inForce: requireRead(now, subnet), coming: undefined };
  return { inForce: held.policy, coming: now.ok ? now.policy : undefined };
}

function requireRead(decoded: DecodedPolicy, { id }: Pick<Subnet, 'id'>): Policy {
  if (decoded.ok) return decoded.policy;
  throw new NodeError(
    { code: 'POLICY_MALFORMED', subnet: id },
    `the policy of subnet ${id} cannot be read (${decoded.why}); its owner must write it again`,
  );
}

/** The policy in force, for a model that is the one it names; the coming one for who has its model already. */
export function requirePolicy(
  { inForce, coming }: Policies,
  subnet: Pick<Subnet, 'id'>,
  model: Pick<Model, 'hash'>,
): Policy {
  if (inForce.manifest === model.hash) return inForce;
  if (coming?.manifest === model.hash) return coming;
  const soon = coming === undefined || coming.manifest === inForce.manifest ? '' : ` (soon ${coming.manifest})`;
  throw new NodeError(
    { code: 'MANIFEST_MISMATCH', wanted: inForce.manifest, found: model.hash },
    `subnet ${subnet.id} runs the model with manifest ${inForce.manifest}${soon}, but the model folder has ${model.hash}; name the right folder with --model`,
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
