// The dialect of the deployed Hypertensor runtime (chain.md 10.3, generation F26): nodes activate from a queue, an epoch's end is told by its
// submission and the events of its settlement block. Its runtime API answers undescribed bytes, so what is read is storage, described by metadata.

import { z } from 'zod';
import { type Address, type BlockNumber, type Epoch, type NodeId, ONE, type SubnetId } from '../../types/ids.ts';
import { utf8 } from '../../util/bytes.ts';
import { errorCode } from '../../util/errors.ts';
import { lastBlockOf } from '../clock.ts';
import { peerToBytes } from '../multiaddr.ts';
import type { Runtime, RuntimeEvent, StorageEntry } from '../substrate/runtime.ts';
import type { EpochResult, Holdings, Submission, Subnet, SubnetNode } from '../types.ts';
import { COMMON_CALLS, hex, network } from './calls.ts';
import type { Dialect, Read, Reader } from './dialect.ts';
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
    'removeSubnetNode',
    'updateHotkey',
    'updateColdkey',
    'updatePeerInfo',
    'updateBootnodePeerInfo',
    'updateClientPeerInfo',
    'updateBootnodes',
    'ownerUpdateMisc',
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
    'subnetsData',
    'subnetOwner',
    'subnetSlot',
    'subnetName',
    'subnetMinStakeBalance',
    'subnetMaxStakeBalance',
    'subnetBootnodes',
    'subnetNodesData',
    'registeredSubnetNodesData',
    'subnetNodeIdHotkey',
    'subnetNodeQueueEpochs',
    'subnetNodeReputation',
    'subnetNodeElectionSlots',
    'emergencySubnetNodeElectionData',
    'hotkeyOwner',
    'hotkeySubnetId',
    'hotkeySubnetNodeId',
    'peerIdSubnetNodeId',
    'bootnodePeerIdSubnetNodeId',
    'clientPeerIdSubnetNodeId',
    'coldkeyHotkeys',
    'accountSubnetStake',
    'accountSubnetDelegateStakeShares',
    'totalSubnetDelegateStakeShares',
    'totalSubnetDelegateStakeBalance',
    'stakeUnbondingLedger',
    'subnetElectedValidator',
    'subnetConsensusSubmission',
    'finalSubnetEmissionWeights',
    'minAttestationPercentage',
    'baseValidatorReward',
    'subnetOwnerPercentage',
  ],
  apis: ['proofOfStake'],
} as const;

/** Names of what the runtime lacks for this dialect. */
export function missingForHypertensorF26(runtime: Runtime): readonly string[] {
  return runtime.missing(NEEDED);
}

export function createHypertensorF26Dialect(runtime: Runtime): Dialect {
  const epochLength = z.number().parse(runtime.constant('network', 'epochLength'));

  /** One value. */
  function one<S extends z.ZodType>(schema: S, item: string, ...args: unknown[]): Read<z.output<S>> {
    return (reader) => reader.ask(runtime.storage('network', item, args), (value) => schema.parse(value));
  }

  /** Several values of one block. */
  function several<S extends z.ZodType>(
    reader: Reader,
    schema: S,
    entries: readonly StorageEntry[],
  ): Promise<z.output<S>> {
    return reader.ask(runtime.storages(entries), (value) => schema.parse(value));
  }

  function readNodes(subnet: SubnetId, ids: readonly NodeId[]): Read<readonly SubnetNode[]> {
    return async (reader) => {
      const [queueEpochs, ...rest] = await several(reader, z.tuple([z.number()], NODE_VALUES), [
        item('subnetNodeQueueEpochs', subnet),
        ...ids.flatMap((id) => [
          sparse('subnetNodesData', subnet, id),
          sparse('registeredSubnetNodesData', subnet, id),
          item('subnetNodeReputation', subnet, id),
        ]),
      ]);
      const found = ids.flatMap((_, i) => {
        const [active, registered, reputation] = rest.slice(3 * i, 3 * i + 3);
        const node = NODE.optional().parse(active ?? registered);
        return node === undefined ? [] : [{ node, reputation: z.bigint().parse(reputation) }];
      });
      const owners = await several(
        reader,
        z.array(z.union([address, z.bigint()])),
        found.flatMap(({ node }) => [
          item('hotkeyOwner', node.hotkey),
          item('accountSubnetStake', node.hotkey, subnet),
        ]),
      );
      return found.map(({ node, reputation }, i) => {
        const [coldkey, stake] = OWNER.parse(owners.slice(2 * i, 2 * i + 2));
        return describeNode({ node, reputation, coldkey, stake, queueEpochs });
      });
    };
  }

  return {
    ...COMMON_CALLS,
    name: 'hypertensor-f26',
    capabilities: { explicitActivation: false, consensusResult: false, coldkeyPerHotkey: false },
    epochLength,
    docksUnnamed: true,
    updateMisc: (subnet, misc) => network('ownerUpdateMisc', [subnet, hex(misc)]),

    subnet: (id) => (reader) =>
      several(reader, SUBNET, [
        item('subnetsData', id),
        item('subnetOwner', id),
        item('subnetSlot', id),
        item('subnetMinStakeBalance', id),
        item('subnetMaxStakeBalance', id),
        item('subnetBootnodes', id),
      ]),
    subnetByName: (name) => one(subnetId.optional(), 'subnetName', hex(utf8(name))),
    node: (subnet, node) => async (reader) => (await readNodes(subnet, [node])(await reader.pinned()))[0],
    nodes: (subnet) => async (reader) => {
      const here = await reader.pinned();
      const keys = await here.ask(runtime.keys('network', 'subnetNodeIdHotkey', [subnet]), (value) =>
        z.array(z.tuple([z.number(), nodeId])).parse(value),
      );
      const ids = keys.map(([, id]) => id).sort((a, b) => a - b);
      return readNodes(subnet, ids)(here);
    },
    nodeIdOfPeer: (subnet, peer) => (reader) => several(reader, NODE_OF_PEER, peerEntries(subnet, peer)),
    nodeIdOfHotkey: (subnet, hotkey) => one(nodeId.optional(), 'hotkeySubnetNodeId', subnet, hotkey),
    electable: (subnet) => (reader) =>
      several(reader, ELECTABLE, [
        item('subnetNodeElectionSlots', subnet),
        item('emergencySubnetNodeElectionData', subnet),
      ]),
    account: (account) => (reader) =>
      reader.ask(runtime.storage('system', 'account', [account]), (value) => ACCOUNT.parse(value)),
    electedValidator: (subnet, epoch) => one(nodeId.optional(), 'subnetElectedValidator', subnet, epoch),
    submission: (subnet, epoch) => async (reader) => {
      const found = await one(SUBMISSION.optional(), 'subnetConsensusSubmission', subnet, epoch)(reader);
      return found === undefined ? undefined : describeSubmission(found, epoch);
    },
    result: (subnet, epoch) => readResult(subnet, epoch),
    results: (subnet, epochs) => async (reader) => {
      const here = await reader.pinned();
      return Promise.all(epochs.map((epoch) => readResult(subnet, epoch)(here)));
    },
    provesStake: (subnet, peer, minClass, minStake) => async (reader) => {
      const here = await reader.pinned();
      const usual = async () => ((await one(z.bigint(), 'subnetMinStakeBalance', subnet)(here)) * ENOUGH_STAKE) / ONE;
      const question = [subnet, hex(peerToBytes(peer)), minClass, minStake ?? (await usual())];
      return here.ask(runtime.api('networkRuntimeApi', 'proofOfStake', question), (value) => z.boolean().parse(value));
    },
    stakes: (coldkey) => readStakes(coldkey),
    delegations: (account) => readDelegations(account),
    unbondings: (account) => one(UNBONDINGS, 'stakeUnbondingLedger', account),
  };

  /** Every hotkey has at most one subnet, and keeps it until its stake is gone. */
  function readStakes(coldkey: Address): Read<Holdings['stakes']> {
    return async (reader) => {
      const here = await reader.pinned();
      const hotkeys = await one(z.array(address), 'coldkeyHotkeys', coldkey)(here);
      const subnets = await several(
        here,
        z.array(subnetId.optional()),
        hotkeys.map((hotkey) => item('hotkeySubnetId', hotkey)),
      );
      const held = hotkeys.flatMap((hotkey, i) => {
        const subnet = subnets[i];
        return subnet === undefined ? [] : [{ subnet, hotkey }];
      });
      const amounts = await several(
        here,
        z.array(z.bigint()),
        held.map(({ hotkey, subnet }) => item('accountSubnetStake', hotkey, subnet)),
      );
      return held.map((stake, i) => ({ ...stake, amount: amounts[i] ?? 0n })).filter(({ amount }) => amount > 0n);
    };
  }

  function readDelegations(account: Address): Read<Holdings['delegations']> {
    return async (reader) => {
      const here = await reader.pinned();
      const keys = await here.ask(runtime.keys('network', 'accountSubnetDelegateStakeShares', [account]), (value) =>
        z.array(z.tuple([address, subnetId])).parse(value),
      );
      const values = await several(
        here,
        z.array(z.bigint()),
        keys.flatMap(([, subnet]) => [
          item('accountSubnetDelegateStakeShares', account, subnet),
          item('totalSubnetDelegateStakeShares', subnet),
          item('totalSubnetDelegateStakeBalance', subnet),
        ]),
      );
      const pools = keys.map(([, subnet], i) => {
        const [shares = 0n, allShares = 0n, all = 0n] = values.slice(3 * i, 3 * i + 3);
        return { subnet, shares, balance: worthOf(shares, allShares, all) };
      });
      return pools.filter(({ shares }) => shares > 0n);
    };
  }

  function readResult(subnet: SubnetId, epoch: Epoch): Read<EpochResult | undefined> {
    return async (reader) => {
      const here = await reader.pinned();
      const [now, slot, elected, submission, needed] = await several(here, ENDED, [
        { pallet: 'system', item: 'number', args: [] },
        item('subnetSlot', subnet),
        item('subnetElectedValidator', subnet, epoch),
        item('subnetConsensusSubmission', subnet, epoch),
        item('minAttestationPercentage'),
      ]);
      const settled = (lastBlockOf(epoch, slot ?? 0, epochLength) + 1) as BlockNumber;
      if (slot === undefined || elected === undefined || now < settled) return undefined;
      if (submission === undefined) return { outcome: 'Absent', attestationRatio: 0n, minted: 0n, slashed: 0n };
      const { validators } = describeSubmission(submission, epoch);
      const attestationRatio = share(BigInt(submission.attests.length), BigInt(validators.length));
      const sum = submission.data.reduce((total, { score }) => total + score, 0n);
      const outcome = attestationRatio < needed ? 'Rejected' : sum === 0n ? 'Empty' : 'Accepted';
      const money = await readMoney(here, { subnet, settled, submission });
      return { outcome, attestationRatio, ...money };
    };
  }

  /** What the settlement block says; nothing where the endpoint has forgotten that block. */
  async function readMoney(
    here: Reader,
    of: {
      readonly subnet: SubnetId;
      readonly settled: BlockNumber;
      readonly submission: z.output<typeof SUBMISSION>;
    },
  ): Promise<Pick<EpochResult, 'minted' | 'slashed' | 'bonus'>> {
    try {
      const hash = await here.blockHash(of.settled);
      if (hash === undefined) return { minted: undefined, slashed: undefined };
      const there = here.at(hash);
      const events = await there.ask(runtime.blockEvents(), (value) => value as readonly RuntimeEvent[]);
      const [emission, bonus, ownerShare] = await several(there, PAID, [
        item('finalSubnetEmissionWeights', Math.floor(of.settled / epochLength)),
        item('baseValidatorReward'),
        item('subnetOwnerPercentage'),
      ]);
      const told = toldOf(events, of.subnet);
      if (told.rewards === undefined) return { minted: 0n, slashed: told.slashed };
      const earned = part(emission.validatorEmissions, emission.weights.get(of.subnet) ?? 0n);
      const proposers = part(bonus, of.submission.validatorRewardFactor);
      return { minted: told.rewards + proposers + part(earned, ownerShare), slashed: told.slashed, bonus: proposers };
    } catch (error) {
      if (errorCode(error) === 'CHAIN_STATE_DISCARDED') return { minted: undefined, slashed: undefined };
      throw error;
    }
  }
}

/** Of the minimum, as our own runtime asks for (chain.md 4.2): an honest node that was slashed once stays connected. */
const ENOUGH_STAKE = (ONE * 90n) / 100n;

function item(name: string, ...args: unknown[]): StorageEntry {
  return { pallet: 'network', item: name, args };
}

function sparse(name: string, ...args: unknown[]): StorageEntry {
  return { ...item(name, ...args), sparse: true };
}

/** a of b as a fraction of ONE, rounded down. */
function share(a: bigint, b: bigint): bigint {
  return b === 0n ? 0n : a >= b ? ONE : (a * ONE) / b;
}

/** The part of an amount that a fraction of ONE is, rounded down. */
function part(amount: bigint, fraction: bigint): bigint {
  return (amount * fraction) / ONE;
}

/** Shares as the pool would pay them now; its virtual balance of 1 against 10 virtual shares keeps a first depositor from skewing the price. */
function worthOf(shares: bigint, allShares: bigint, all: bigint): bigint {
  return allShares === 0n ? shares : (shares * (all + 1n)) / (allShares + 10n);
}

interface FoundNode {
  readonly node: z.output<typeof NODE>;
  readonly reputation: bigint;
  readonly coldkey: Address;
  readonly stake: bigint;
  readonly queueEpochs: number;
}

/** A node that waits in the queue starts, at the earliest, in the epoch after its queue epochs have passed. */
function describeNode({ node, reputation, coldkey, stake, queueEpochs }: FoundNode): SubnetNode {
  const { nodeClass, startEpoch } = node.classification;
  const waits = nodeClass === 'Registered' ? queueEpochs + 1 : 0;
  return {
    id: node.id,
    hotkey: node.hotkey,
    coldkey,
    peerInfo: node.peerInfo,
    ...(node.bootnodePeerInfo === undefined ? {} : { bootnodeInfo: node.bootnodePeerInfo }),
    ...(node.clientPeerInfo === undefined ? {} : { clientInfo: node.clientPeerInfo }),
    nodeClass,
    startEpoch: (startEpoch + waits) as Epoch,
    stake,
    reputation,
  };
}

/**
 * Who may vote: the nodes of class Validator that had started when the proposal was made. A score of 0 is none: it only keeps a node from being
 * docked (`docksUnnamed`).
 */
function describeSubmission(found: z.output<typeof SUBMISSION>, epoch: Epoch): Submission {
  const nodes = found.subnetNodes.map(({ id, classification }) => ({ id, ...classification }));
  const voters = nodes.filter((node) => node.nodeClass === 'Validator' && node.startEpoch <= epoch);
  return {
    proposer: found.validatorId,
    block: found.block,
    scores: found.data
      .filter(({ score }) => score > 0n)
      .map(({ subnetNodeId, score }) => ({ nodeId: subnetNodeId, score })),
    args: found.args ?? new Uint8Array(),
    attests: found.attests,
    validators: voters.map(({ id }) => id).sort((a, b) => a - b),
    nodes: nodes.sort((a, b) => a.id - b.id),
  };
}

/** The subnet's events in its settlement block; rewards undefined when none were paid. */
function toldOf(events: readonly RuntimeEvent[], subnet: SubnetId) {
  const rewards = events.filter(({ name }) => name === 'SubnetRewards').map(({ data }) => REWARDS.parse(data));
  const slashes = events.filter(({ name }) => name === 'Slashing').map(({ data }) => SLASHING.parse(data));
  return {
    rewards: rewards.find(({ subnetId: id }) => id === subnet)?.sum,
    slashed: slashes.filter(({ subnetId: id }) => id === subnet).reduce((sum, { amount }) => sum + amount, 0n),
  };
}

const SUBNET_DATA = z.object({
  id: subnetId,
  name: text,
  misc: bytes,
  state: z.enum(['Registered', 'Active', 'Paused']),
  startEpoch: z.number(),
});

const SUBNET = z
  .tuple([SUBNET_DATA.optional(), address.optional(), z.number().optional(), z.bigint(), z.bigint(), BOOTNODES])
  .transform(([data, owner, slot, minStake, maxStake, bootnodes]): Subnet | undefined =>
    data === undefined || owner === undefined || slot === undefined
      ? undefined
      : { ...data, owner, slot, minStake, maxStake, bootnodes },
  );

const NODE = z.object({
  id: nodeId,
  hotkey: address,
  peerInfo: PEER_INFO,
  bootnodePeerInfo: PEER_INFO.optional(),
  clientPeerInfo: PEER_INFO.optional(),
  classification: CLASSIFICATION,
});

/** Told apart by place: three values for each node. */
const NODE_VALUES = z.unknown();

const OWNER = z.tuple([address, z.bigint()]);

const ELECTABLE = z
  .tuple([z.array(nodeId), z.object({ subnetNodeIds: z.array(nodeId) }).optional()])
  .transform(([slots, emergency]) => (emergency?.subnetNodeIds ?? slots).sort((a, b) => a - b));

const SUBMISSION = z.object({
  validatorId: nodeId,
  block,
  validatorRewardFactor: z.bigint(),
  attests: ATTESTS,
  subnetNodes: z.array(z.object({ id: nodeId, classification: CLASSIFICATION })),
  data: z.array(z.object({ subnetNodeId: nodeId, score: z.bigint() })),
  args: bytes.optional(),
});

/** Head, slot, elected node, submission, and the share of votes that is enough. */
const ENDED = z.tuple([block, z.number().optional(), nodeId.optional(), SUBMISSION.optional(), z.bigint()]);

/** Emission of a general epoch, the proposer's bonus, the owner's share. */
const PAID = z.tuple([
  z.object({ validatorEmissions: z.bigint(), weights: z.map(z.number(), z.bigint()) }),
  z.bigint(),
  z.bigint(),
]);

const sumOf = (pays: readonly (readonly [number, bigint])[]) => pays.reduce((sum, [, pay]) => sum + pay, 0n);

const REWARDS = z
  .object({
    subnetId: z.number(),
    nodeRewards: z.array(z.tuple([z.number(), z.bigint()])),
    delegateStakeReward: z.bigint(),
    nodeDelegateStakeRewards: z.array(z.tuple([z.number(), z.bigint()])),
    nodeDelegateAccountAllocations: z.array(z.tuple([z.number(), z.tuple([address, z.bigint()])])),
  })
  .transform((paid) => ({
    subnetId: paid.subnetId,
    sum:
      sumOf(paid.nodeRewards) +
      paid.delegateStakeReward +
      sumOf(paid.nodeDelegateStakeRewards) +
      sumOf(paid.nodeDelegateAccountAllocations.map(([id, [, pay]]) => [id, pay] as const)),
  }));

const SLASHING = z.object({ subnetId: z.number(), amount: z.bigint() });
