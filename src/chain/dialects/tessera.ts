// The dialect of our own runtime (chain.md 10.3): names, argument orders, and what its answers mean. Answers are parsed here, once; a shape
// that does not fit is the error of a wrong runtime, not of a caller.

import { z } from 'zod';
import type { Address, BlockNumber, Epoch, NodeId, PeerId, SubnetId } from '../../types/ids.ts';
import { toHex, utf8 } from '../../util/bytes.ts';
import { bytesToMultiaddr, bytesToPeer, multiaddrToBytes, peerToBytes } from '../multiaddr.ts';
import type { CallSpec, Query, Runtime } from '../substrate/runtime.ts';
import {
  type AccountState,
  ChainError,
  type EpochResult,
  type Holdings,
  type NodeStake,
  type PeerInfo,
  type PeerRole,
  type Proposal,
  type RegisterNode,
  type RegisterSubnet,
  type Submission,
  type Subnet,
  type SubnetNode,
} from '../types.ts';

/** A read with its meaning. */
export interface Read<T> {
  query(): Query;
  parse(value: unknown): T;
}

export interface Dialect {
  readonly name: 'tessera';
  readonly epochLength: number;
  subnet(id: SubnetId): Read<Subnet | undefined>;
  subnetByName(name: string): Read<SubnetId | undefined>;
  node(subnet: SubnetId, node: NodeId): Read<SubnetNode | undefined>;
  nodes(subnet: SubnetId): Read<readonly SubnetNode[]>;
  nodeIdOfHotkey(subnet: SubnetId, hotkey: Address): Read<NodeId | undefined>;
  electable(subnet: SubnetId): Read<readonly NodeId[]>;
  account(address: Address): Read<AccountState>;
  electedValidator(subnet: SubnetId, epoch: Epoch): Read<NodeId | undefined>;
  submission(subnet: SubnetId, epoch: Epoch): Read<Submission | undefined>;
  result(subnet: SubnetId, epoch: Epoch): Read<EpochResult | undefined>;
  provesStake(subnet: SubnetId, peer: PeerId, minClass: number): Read<boolean>;
  stakes(coldkey: Address): Read<Holdings['stakes']>;
  delegations(account: Address): Read<Holdings['delegations']>;
  unbondings(account: Address): Read<Holdings['unbondings']>;

  registerSubnet(subnet: RegisterSubnet): CallSpec;
  activateSubnet(subnet: SubnetId): CallSpec;
  registerNode(node: RegisterNode): CallSpec;
  activateNode(subnet: SubnetId, node: NodeId): CallSpec;
  removeNode(subnet: SubnetId, node: NodeId): CallSpec;
  updatePeer(subnet: SubnetId, node: NodeId, role: PeerRole, info: PeerInfo | undefined): CallSpec;
  updateMisc(subnet: SubnetId, misc: Uint8Array): CallSpec;
  updateBootnodes(subnet: SubnetId, add: ReadonlyMap<PeerId, string>, remove: readonly PeerId[]): CallSpec;
  addStake(to: NodeStake): CallSpec;
  removeStake(from: Omit<NodeStake, 'node'>): CallSpec;
  claimUnbondings(): CallSpec;
  delegate(subnet: SubnetId, amount: bigint): CallSpec;
  undelegate(subnet: SubnetId, shares: bigint): CallSpec;
  transferDelegation(subnet: SubnetId, to: Address, shares: bigint): CallSpec;
  transfer(to: Address, amount: bigint): CallSpec;
  propose(proposal: Omit<Proposal, 'epoch'>): CallSpec;
  attest(subnet: SubnetId, attestData: Uint8Array): CallSpec;
}

const NEEDED = {
  calls: [
    'registerSubnet',
    'activateSubnet',
    'registerSubnetNode',
    'activateSubnetNode',
    'removeSubnetNode',
    'updatePeerInfo',
    'updateBootnodePeerInfo',
    'updateClientPeerInfo',
    'updateBootnodes',
    'updateMisc',
    'addStake',
    'removeStake',
    'claimUnbondings',
    'addToDelegateStake',
    'removeDelegateStake',
    'transferDelegateStake',
    'proposeAttestation',
    'attest',
  ],
  storage: [
    'subnetName',
    'hotkeySubnetNodeId',
    'subnetNodeElectionSlots',
    'subnetElectedValidator',
    'subnetConsensusSubmission',
    'subnetConsensusResult',
    'stakeUnbondingLedger',
  ],
  apis: [
    'getSubnetInfo',
    'getSubnetNodeInfo',
    'getSubnetNodesInfo',
    'proofOfStake',
    'getColdkeyStakes',
    'getDelegateStakes',
  ],
} as const;

/** Errors: CHAIN_UNSUPPORTED with what the runtime lacks. */
export function createTesseraDialect(runtime: Runtime): Dialect {
  const missing = runtime.missing(NEEDED);
  if (missing.length > 0) {
    throw new ChainError(
      { code: 'CHAIN_UNSUPPORTED', missing },
      `the chain ${runtime.specName} ${runtime.specVersion} is not one that this program speaks, it lacks: ${missing.join(', ')}; check --rpc`,
    );
  }
  const storage = (item: string, ...args: unknown[]) => runtime.storage('network', item, args);
  const api = (name: string, ...args: unknown[]) => runtime.api('networkRuntimeApi', name, args);

  return {
    name: 'tessera',
    epochLength: z.number().parse(runtime.constant('network', 'epochLength')),

    subnet: (id) => read(() => api('getSubnetInfo', id), SUBNET_INFO.optional()),
    subnetByName: (name) => read(() => storage('subnetName', hex(utf8(name))), subnetId.optional()),
    node: (subnet, node) => read(() => api('getSubnetNodeInfo', subnet, node), NODE_INFO.optional()),
    nodes: (subnet) =>
      read(
        () => api('getSubnetNodesInfo', subnet),
        z.array(NODE_INFO).transform((nodes) => nodes.sort((a, b) => a.id - b.id)),
      ),
    nodeIdOfHotkey: (subnet, hotkey) => read(() => storage('hotkeySubnetNodeId', subnet, hotkey), nodeId.optional()),
    electable: (subnet) =>
      read(
        () => storage('subnetNodeElectionSlots', subnet),
        z.array(nodeId).transform((ids) => ids.sort((a, b) => a - b)),
      ),
    account: (address) => read(() => runtime.storage('system', 'account', [address]), ACCOUNT),
    electedValidator: (subnet, at) => read(() => storage('subnetElectedValidator', subnet, at), nodeId.optional()),
    submission: (subnet, at) => read(() => storage('subnetConsensusSubmission', subnet, at), SUBMISSION.optional()),
    result: (subnet, at) => read(() => storage('subnetConsensusResult', subnet, at), RESULT.optional()),
    provesStake: (subnet, peer, minClass) =>
      read(() => api('proofOfStake', subnet, hex(peerToBytes(peer)), minClass, null), z.boolean()),
    stakes: (coldkey) => read(() => api('getColdkeyStakes', coldkey), STAKES),
    delegations: (account) => read(() => api('getDelegateStakes', account), DELEGATIONS),
    unbondings: (account) => read(() => storage('stakeUnbondingLedger', account), UNBONDINGS),

    registerSubnet: (subnet) => network('registerSubnet', [subnet.maxCost, registrationData(subnet)]),
    activateSubnet: (subnet) => network('activateSubnet', [subnet]),
    registerNode: (node) => network('registerSubnetNode', registrationArgs(node)),
    activateNode: (subnet, node) => network('activateSubnetNode', [subnet, node]),
    removeNode: (subnet, node) => network('removeSubnetNode', [subnet, node]),
    updatePeer: (subnet, node, role, info) => {
      const [name, call] = PEER_CALLS[role];
      return network(name, [subnet, node, optionalPeer(info, call)]);
    },
    updateMisc: (subnet, misc) => network('updateMisc', [subnet, hex(misc)]),
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
  };
}

function network(name: string, args: readonly unknown[]): CallSpec {
  return { pallet: 'network', name, args };
}

/** By role: the call in polkadot.js' spelling and in the pallet's. */
const PEER_CALLS: Readonly<Record<PeerRole, readonly [name: string, call: string]>> = {
  node: ['updatePeerInfo', 'update_peer_info'],
  bootnode: ['updateBootnodePeerInfo', 'update_bootnode_peer_info'],
  client: ['updateClientPeerInfo', 'update_client_peer_info'],
};

function read<S extends z.ZodType>(query: () => Query, schema: S): Read<z.output<S>> {
  return { query, parse: (value) => schema.parse(value) };
}

function hex(bytes: Uint8Array): string {
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
    initialColdkeys: new Map(),
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

const bytes = z.instanceof(Uint8Array);
const subnetId = z.number().transform((id) => id as SubnetId);
const nodeId = z.number().transform((id) => id as NodeId);
const epoch = z.number().transform((number) => number as Epoch);
const block = z.number().transform((number) => number as BlockNumber);
const address = z.string().transform((text) => text.toLowerCase() as Address);
const nodeClass = z.enum(['Registered', 'Idle', 'Included', 'Validator']);
const text = bytes.transform((value) => new TextDecoder().decode(value));

const PEER_INFO = z
  .object({ peerId: bytes, multiaddr: bytes.optional() })
  .transform(({ peerId, multiaddr }): PeerInfo => {
    const known = multiaddr === undefined ? undefined : bytesToMultiaddr(multiaddr);
    return { peer: bytesToPeer(peerId), ...(known === undefined ? {} : { multiaddr: known }) };
  });

const BOOTNODES = z.map(bytes, bytes).transform((entries): ReadonlyMap<PeerId, string> => {
  const known = [...entries].map(([peer, multiaddr]) => [bytesToPeer(peer), bytesToMultiaddr(multiaddr)] as const);
  return new Map(known.filter((entry): entry is readonly [PeerId, string] => entry[1] !== undefined));
});

const SUBNET_INFO = z
  .object({
    id: subnetId,
    name: text,
    owner: address,
    state: z.enum(['Registered', 'Active', 'Paused']),
    startEpoch: z.number(),
    slotIndex: z.number(),
    minStake: z.bigint(),
    maxStake: z.bigint(),
    misc: bytes,
    bootnodes: BOOTNODES,
    activationGraceEpochs: z.number(),
  })
  .transform(({ slotIndex, ...subnet }): Subnet => ({ ...subnet, slot: slotIndex }));

const CLASSIFICATION = z.object({ nodeClass, startEpoch: epoch });

const NODE_INFO = z
  .object({
    subnetNodeId: nodeId,
    coldkey: address,
    hotkey: address,
    peerInfo: PEER_INFO,
    bootnodePeerInfo: PEER_INFO.optional(),
    clientPeerInfo: PEER_INFO.optional(),
    classification: CLASSIFICATION,
    stakeBalance: z.bigint(),
    subnetNodeReputation: z.bigint().optional(),
  })
  .transform(
    (info): SubnetNode => ({
      id: info.subnetNodeId,
      hotkey: info.hotkey,
      coldkey: info.coldkey,
      peerInfo: info.peerInfo,
      ...(info.bootnodePeerInfo === undefined ? {} : { bootnodeInfo: info.bootnodePeerInfo }),
      ...(info.clientPeerInfo === undefined ? {} : { clientInfo: info.clientPeerInfo }),
      nodeClass: info.classification.nodeClass,
      startEpoch: info.classification.startEpoch,
      stake: info.stakeBalance,
      reputation: info.subnetNodeReputation ?? 0n,
    }),
  );

const ACCOUNT = z
  .object({ nonce: z.number(), data: z.object({ free: z.bigint() }) })
  .transform(({ nonce, data }): AccountState => ({ free: data.free, nonce }));

const ATTESTS = z
  .map(nodeId, z.object({ block, rewardFactor: z.bigint(), data: bytes.optional() }))
  .transform((entries) =>
    [...entries]
      .map(([id, { data = new Uint8Array(), ...vote }]) => ({ nodeId: id, ...vote, data }))
      .sort((a, b) => a.nodeId - b.nodeId),
  );

const SUBMISSION = z
  .object({
    validatorId: nodeId,
    block,
    validatorIds: z.array(nodeId),
    attests: ATTESTS,
    subnetNodes: z.array(z.object({ id: nodeId, classification: CLASSIFICATION })),
    data: z.array(z.object({ subnetNodeId: nodeId, score: z.bigint() })),
    args: bytes.optional(),
  })
  .transform(
    (found): Submission => ({
      proposer: found.validatorId,
      block: found.block,
      scores: found.data.map(({ subnetNodeId, score }) => ({ nodeId: subnetNodeId, score })),
      args: found.args ?? new Uint8Array(),
      attests: found.attests,
      validators: found.validatorIds,
      nodes: found.subnetNodes.map(({ id, classification }) => ({ id, ...classification })),
    }),
  );

const RESULT = z.object({
  outcome: z.enum(['Absent', 'Empty', 'Rejected', 'Accepted']),
  attestationRatio: z.bigint(),
  minted: z.bigint(),
  slashed: z.bigint(),
});

const STAKES = z
  .array(z.object({ subnetId, hotkey: address, balance: z.bigint() }))
  .transform((stakes) =>
    stakes
      .map(({ subnetId: subnet, hotkey, balance: amount }) => ({ subnet, hotkey, amount }))
      .filter((one) => one.amount > 0n),
  );

const DELEGATIONS = z
  .array(z.object({ subnetId, shares: z.bigint(), balance: z.bigint() }))
  .transform((pools) => pools.map(({ subnetId: subnet, ...rest }) => ({ subnet, ...rest })));

const UNBONDINGS = z
  .map(block, z.bigint())
  .transform((ledger) =>
    [...ledger].map(([claimBlock, amount]) => ({ claimBlock, amount })).sort((a, b) => a.claimBlock - b.claimBlock),
  );
