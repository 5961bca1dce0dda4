// The transactions that the dialects share: the same names and arguments in all of them.

import type { PeerId } from '../../types/ids.ts';
import { toHex, utf8 } from '../../util/bytes.ts';
import { multiaddrToBytes, peerToBytes } from '../multiaddr.ts';
import type { CallSpec } from '../substrate/runtime.ts';
import type { PeerInfo, PeerRole, RegisterNode, RegisterSubnet } from '../types.ts';
import type { Dialect } from './dialect.ts';

/** What the runtimes differ in is not here: `activateNode`, `cleanExpired`, `updateMisc`. */
export const COMMON_CALLS = {
  registerSubnet: (subnet) => network('registerSubnet', [subnet.maxCost, registrationData(subnet)]),
  activateSubnet: (subnet) => network('activateSubnet', [subnet]),
  registerNode: (node) => network('registerSubnetNode', registrationArgs(node)),
  removeNode: (subnet, node) => network('removeSubnetNode', [subnet, node]),
  updateHotkey: (hotkey, next) => network('updateHotkey', [hotkey, next]),
  updateColdkey: (hotkey, next) => network('updateColdkey', [hotkey, next]),
  updatePeer: (subnet, node, role, info) => {
    const [name, call] = PEER_CALLS[role];
    return network(name, [subnet, node, optionalPeer(info, call)]);
  },
  updateBootnodes: (subnet, add, remove) =>
    network('updateBootnodes', [
      subnet,
      new Map(bootnodeEntries('update_bootnodes', add)),
      remove.map((peer) => hex(peerToBytes(peer))).sort(),
    ]),
  addStake: ({ subnet, node, hotkey, amount }) => network('addStake', [subnet, node, hotkey, amount]),
  removeStake: ({ subnet, hotkey, amount }) => network('removeStake', [subnet, hotkey, amount]),
  claimUnbondings: () => network('claimUnbondings', []),
  delegate: (subnet, amount) => network('addToDelegateStake', [subnet, amount]),
  undelegate: (subnet, shares) => network('removeDelegateStake', [subnet, shares]),
  transferDelegation: (subnet, to, shares) => network('transferDelegateStake', [subnet, to, shares]),
  transfer: (to, amount) => ({ pallet: 'balances', name: 'transferKeepAlive', args: [to, amount] }),
  propose: ({ subnet, scores, args, attestData }) =>
    network('proposeAttestation', [
      subnet,
      scores.map((score) => ({ subnetNodeId: score.nodeId, score: score.score })),
      null,
      null,
      hex(args),
      hex(attestData),
    ]),
  attest: (subnet, attestData) => network('attest', [subnet, hex(attestData)]),
} satisfies Partial<Dialect>;

export function network(name: string, args: readonly unknown[]): CallSpec {
  return { pallet: 'network', name, args };
}

/** By role: the call in polkadot.js' spelling and in the pallet's. */
const PEER_CALLS: Readonly<Record<PeerRole, readonly [name: string, call: string]>> = {
  node: ['updatePeerInfo', 'update_peer_info'],
  bootnode: ['updateBootnodePeerInfo', 'update_bootnode_peer_info'],
  client: ['updateClientPeerInfo', 'update_client_peer_info'],
};

export function hex(bytes: Uint8Array): string {
  return `0x${toHex(bytes)}`;
}

function registrationData(subnet: RegisterSubnet): unknown {
  return {
    name: hex(utf8(subnet.name)),
    repo: hex(utf8(subnet.repo)),
    description: hex(utf8(subnet.description)),
    misc: hex(subnet.misc),
    minStake: subnet.minStake,
    maxStake: subnet.maxStake,
    delegateStakePercentage: subnet.delegateStakePercentage,
    initialColdkeys: new Map(subnet.initialColdkeys),
    bootnodes: new Map(bootnodeEntries('register_subnet', subnet.bootnodes)),
  };
}

function bootnodeEntries(call: string, bootnodes: ReadonlyMap<PeerId, string>): (readonly [string, string])[] {
  return [...bootnodes].map(([peer, address]) => [hex(peerToBytes(peer)), hex(multiaddrToBytes(call, address))]);
}

function registrationArgs(node: RegisterNode): readonly unknown[] {
  return [
    node.subnet,
    node.hotkey,
    peerArgument(node.peerInfo, REGISTER),
    optionalPeer(node.bootnodeInfo, REGISTER),
    optionalPeer(node.clientInfo, REGISTER),
    node.delegateRewardRate,
    node.stake,
    null,
    null,
    null,
    node.maxBurn,
  ];
}

const REGISTER = 'register_subnet_node';

function optionalPeer(info: PeerInfo | undefined, call: string): unknown {
  return info === undefined ? null : peerArgument(info, call);
}

/** @param call for the message about an address that does not parse */
function peerArgument({ peer, multiaddr }: PeerInfo, call: string): unknown {
  return {
    peerId: hex(peerToBytes(peer)),
    multiaddr: multiaddr === undefined ? null : hex(multiaddrToBytes(call, multiaddr)),
  };
}
