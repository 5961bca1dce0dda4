// The shapes of the values that the dialects share, and what becomes of them.

import { z } from 'zod';
import type { Address, BlockNumber, Epoch, NodeId, PeerId, SubnetId } from '../../types/ids.ts';
import { toHex } from '../../util/bytes.ts';
import { bytesToMultiaddr, bytesToPeer, peerToBytes } from '../multiaddr.ts';
import type { StorageEntry } from '../substrate/runtime.ts';
import type { AccountState, PeerInfo } from '../types.ts';

export const bytes = z.instanceof(Uint8Array);
export const subnetId = z.number().transform((id) => id as SubnetId);
export const nodeId = z.number().transform((id) => id as NodeId);
const epoch = z.number().transform((number) => number as Epoch);
export const block = z.number().transform((number) => number as BlockNumber);
export const address = z.string().transform((text) => text.toLowerCase() as Address);
const nodeClass = z.enum(['Registered', 'Idle', 'Included', 'Validator']);
export const text = bytes.transform((value) => new TextDecoder().decode(value));

export const PEER_INFO = z
  .object({ peerId: bytes, multiaddr: bytes.optional() })
  .transform(({ peerId, multiaddr }): PeerInfo => {
    const known = multiaddr === undefined ? undefined : bytesToMultiaddr(multiaddr);
    return { peer: bytesToPeer(peerId), ...(known === undefined ? {} : { multiaddr: known }) };
  });

export const BOOTNODES = z.map(bytes, bytes).transform((entries): ReadonlyMap<PeerId, string> => {
  const known = [...entries].map(([peer, multiaddr]) => [bytesToPeer(peer), bytesToMultiaddr(multiaddr)] as const);
  return new Map(known.filter((entry): entry is readonly [PeerId, string] => entry[1] !== undefined));
});

/** The maps from the three peer ids of a node to its id. */
export function peerEntries(subnet: SubnetId, peer: PeerId): readonly StorageEntry[] {
  const items = ['peerIdSubnetNodeId', 'bootnodePeerIdSubnetNodeId', 'clientPeerIdSubnetNodeId'];
  return items.map((item) => ({ pallet: 'network', item, args: [subnet, `0x${toHex(peerToBytes(peer))}`] }));
}

/** Of `peerEntries`: 0 where no node has the peer. */
export const NODE_OF_PEER = z.array(nodeId).transform((ids) => ids.find((id) => id !== 0) ?? (0 as NodeId));

export const CLASSIFICATION = z.object({ nodeClass, startEpoch: epoch });

export const ACCOUNT = z
  .object({ nonce: z.number(), data: z.object({ free: z.bigint() }) })
  .transform(({ nonce, data }): AccountState => ({ free: data.free, nonce }));

export const ATTESTS = z
  .map(nodeId, z.object({ block, rewardFactor: z.bigint(), data: bytes.optional() }))
  .transform((entries) =>
    [...entries]
      .map(([id, { data = new Uint8Array(), ...vote }]) => ({ nodeId: id, ...vote, data }))
      .sort((a, b) => a.nodeId - b.nodeId),
  );

export const UNBONDINGS = z
  .map(block, z.bigint())
  .transform((ledger) =>
    [...ledger].map(([claimBlock, amount]) => ({ claimBlock, amount })).sort((a, b) => a.claimBlock - b.claimBlock),
  );
