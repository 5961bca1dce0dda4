// The dialect of our own runtime (chain.md 10.3): names, argument orders, and what its answers mean. Answers are parsed here, once; a shape
// that does not fit is the error of a wrong runtime, not of a caller.

import { z } from 'zod';
import type { Epoch, SubnetId } from '../../types/ids.ts';
import { utf8 } from '../../util/bytes.ts';
import { peerToBytes } from '../multiaddr.ts';
import type { Query, Runtime } from '../substrate/runtime.ts';
import type { Submission, Subnet, SubnetNode } from '../types.ts';
import { COMMON_CALLS, hex, network } from './calls.ts';
import type { Dialect, Read, RosterStorage } from './dialect.ts';
import {
  ACCOUNT,
  ATTESTS,
  address,
  BOOTNODES,
  block,
  bytes,
  CLASSIFICATION,
  NODE_OF_PEER,
  nodeId,
  PEER_INFO,
  peerEntries,
  subnetId,
  text,
  UNBONDINGS,
} from './shapes.ts';

const NEEDED = {
  calls: [
    'registerSubnet',
    'activateSubnet',
    'registerSubnetNode',
    'activateSubnetNode',
    'removeSubnetNode',
    'cleanExpiredRegisteredSubnetNodes',
    'updateHotkey',
    'updateColdkey',
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
    'subnetsData',
    'subnetNodesData',
    'hotkeySubnetNodeId',
    'peerIdSubnetNodeId',
    'bootnodePeerIdSubnetNodeId',
    'clientPeerIdSubnetNodeId',
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

/** Names of what the runtime lacks for this dialect. */
export function missingForTessera(runtime: Runtime): readonly string[] {
  return runtime.missing(NEEDED);
}

export function createTesseraDialect(runtime: Runtime): Dialect {
  const storage = (item: string, ...args: unknown[]) => runtime.storage('network', item, args);
  const api = (name: string, ...args: unknown[]) => runtime.api('networkRuntimeApi', name, args);

  return {
    ...COMMON_CALLS,
    name: 'tessera',
    capabilities: { explicitActivation: true, consensusResult: true, coldkeyPerHotkey: true },
    docksUnnamed: false,
    epochLength: z.number().parse(runtime.constant('network', 'epochLength')),

    subnet: (id) => read(() => api('getSubnetInfo', id), SUBNET_INFO.optional()),
    subnetByName: (name) => read(() => storage('subnetName', hex(utf8(name))), subnetId.optional()),
    node: (subnet, node) => read(() => api('getSubnetNodeInfo', subnet, node), NODE_INFO.optional()),
    nodes: (subnet) =>
      read(
        () => api('getSubnetNodesInfo', subnet),
        z.array(NODE_INFO).transform((nodes) => nodes.sort((a, b) => a.id - b.id)),
      ),
    nodeIdOfPeer: (subnet, peer) => read(() => runtime.storages(peerEntries(subnet, peer)), NODE_OF_PEER),
    nodeIdOfHotkey: (subnet, hotkey) => read(() => storage('hotkeySubnetNodeId', subnet, hotkey), nodeId.optional()),
    electable: (subnet) => read(() => storage('subnetNodeElectionSlots', subnet), NODE_IDS),
    account: (address) => read(() => runtime.storage('system', 'account', [address]), ACCOUNT),
    rosterStorage: (subnet, epoch) => rosterStorage(runtime, subnet, epoch),
    electedValidator: (subnet, at) => read(() => storage('subnetElectedValidator', subnet, at), nodeId.optional()),
    submission: (subnet, at) => read(() => storage('subnetConsensusSubmission', subnet, at), SUBMISSION.optional()),
    result: (subnet, at) => read(() => storage('subnetConsensusResult', subnet, at), RESULT.optional()),
    results: (subnet, epochs) => {
      const entries = epochs.map((at) => ({ pallet: 'network', item: 'subnetConsensusResult', args: [subnet, at] }));
      return read(() => runtime.storages(entries), z.array(RESULT.optional()));
    },
    provesStake: (subnet, peer, minClass, minStake) =>
      read(() => api('proofOfStake', subnet, hex(peerToBytes(peer)), minClass, minStake ?? null), z.boolean()),
    stakes: (coldkey) => read(() => api('getColdkeyStakes', coldkey), STAKES),
    delegations: (account) => read(() => api('getDelegateStakes', account), DELEGATIONS),
    unbondings: (account) => read(() => storage('stakeUnbondingLedger', account), UNBONDINGS),

    activateNode: (subnet, node) => network('activateSubnetNode', [subnet, node]),
    cleanExpired: (subnet) => network('cleanExpiredRegisteredSubnetNodes', [subnet]),
    updateMisc: (subnet, misc) => network('updateMisc', [subnet, hex(misc)]),
  };
}

function read<S extends z.ZodType>(query: () => Query, schema: S): Read<z.output<S>> {
  return (reader) => reader.ask(query(), (value) => schema.parse(value));
}

/** What `getSubnetInfo`, `getSubnetNodesInfo` and the election say of an epoch rests on these. */
function rosterStorage(runtime: Runtime, subnet: SubnetId, epoch: Epoch): RosterStorage {
  const storage = (item: string, ...args: unknown[]) => runtime.storage('network', item, args);
  const [found, electable, elected] = [
    storage('subnetsData', subnet),
    storage('subnetNodeElectionSlots', subnet),
    storage('subnetElectedValidator', subnet, epoch),
  ] as const;
  const map = runtime.keys('network', 'subnetNodesData', [subnet]);
  return {
    values: [found, electable, elected],
    map,
    decode(values, entries) {
      const [ofSubnet, ofElectable, ofElected] = values;
      const data = SUBNET_DATA.optional().parse(found.decode(ofSubnet));
      if (data === undefined) return undefined;
      const ids = NODE_KEYS.parse(map.decode(entries.map(([key]) => key)));
      const nodes = entries.map(([, value], i) => {
        const id = ids[i]?.[1];
        const node = NODE_DATA.parse(storage('subnetNodesData', subnet, id).decode(value));
        if (node.id !== id) throw new RangeError(`node ${node.id} stands in the place of node ${id}`);
        return node;
      });
      return {
        misc: data.misc,
        nodes: nodes.sort((a, b) => a.id - b.id),
        electable: NODE_IDS.parse(electable.decode(ofElectable)),
        elected: nodeId.optional().parse(elected.decode(ofElected)),
      };
    },
  };
}

const NODE_IDS = z.array(nodeId).transform((ids) => ids.sort((a, b) => a - b));

const SUBNET_DATA = z.object({ misc: bytes });

const NODE_KEYS = z.array(z.tuple([subnetId, nodeId]));

const NODE_DATA = z
  .object({ id: nodeId, hotkey: address, peerInfo: PEER_INFO, classification: CLASSIFICATION })
  .transform(({ classification, ...node }) => ({ ...node, ...classification }));

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
