// Whom a node dials first, and under which name its overlay goes.

import type { ChainInfo, Subnet, SubnetNode } from '../chain/types.ts';
import { isPrivateAddress } from '../p2p/address-scope.ts';

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

/** All addresses of a machine, or a place at somebody else's: says nothing of where the node is. */
const UNSPECIFIED = /^\/(ip4\/0\.0\.0\.0|ip6\/::)\/|\/p2p-circuit/;

/**
 * Whether private addresses that others name are dialled. When nobody has decided: if every address listened on is private, or if the operator
 * has named a private one as a peer or as the own address, for then the network is a local one (containers, a laboratory).
 */
export function dialsPrivate(
  choice: 'auto' | 'yes' | 'no',
  { listen, named }: { readonly listen: readonly string[]; readonly named: readonly string[] },
): boolean {
  if (choice !== 'auto') return choice === 'yes';
  const isLocal = (address: string) => isPrivateAddress(address) && !UNSPECIFIED.test(address);
  return listen.every(isLocal) || named.some(isLocal);
}

/** What may be dialled of addresses that strangers wrote. */
export function reachable(addresses: readonly string[], privateToo: boolean): readonly string[] {
  return privateToo ? addresses : addresses.filter((address) => !isPrivateAddress(address));
}
