// The peers of a node.

import type { PeerId } from '../types/ids.ts';
import type { SubnetNode } from './types.ts';

/** All peer ids under which a node is known. */
export function peersOf({
  peerInfo,
  bootnodeInfo,
  clientInfo,
}: Pick<SubnetNode, 'peerInfo' | 'bootnodeInfo' | 'clientInfo'>): readonly PeerId[] {
  return [peerInfo, bootnodeInfo, clientInfo].filter((info) => info !== undefined).map(({ peer }) => peer);
}
