// Whom a node dials first, and under which name its overlay goes.

import type { ChainInfo, Subnet, SubnetNode } from '../chain/types.ts';

/** Nobody for the first node of a network, else the peers that were named, else those that the chain knows. */
export function bootstrapOf(
  { newSwarm, initialPeers }: { readonly newSwarm: boolean; readonly initialPeers: readonly string[] },
  known: readonly string[],
): readonly string[] {
  if (newSwarm) return [];
  return initialPeers.length > 0 ? initialPeers : known;
}

/** Names the overlay of one chain: the first 8 bytes of its genesis hash. */
export function networkName(info: ChainInfo): string {
  return info.genesis.slice(2, 18);
}

/** Boot nodes first, then what nodes told the chain of themselves. */
export function knownAddresses(subnet: Subnet, nodes: readonly SubnetNode[], self: string): string[] {
  const told = [...subnet.bootnodes.values(), ...nodes.flatMap((node) => node.peerInfo.multiaddr ?? [])];
  return [...new Set(told)].filter((address) => !address.endsWith(`/p2p/${self}`));
}

/** Whether a node listens on loopback or a private network only, where private addresses are the ones to dial. */
export function isPrivate(listen: readonly string[]): boolean {
  return listen.every((address) =>
    /^\/ip4\/(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)|^\/ip6\/::1\//.test(address),
  );
}
