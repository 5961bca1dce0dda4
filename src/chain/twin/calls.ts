// The calls of the pallet as functions from state to state (chain.md 3.4), with its checks in its order. A Refusal changes nothing.

import { type Address, type Epoch, type NodeId, ONE, type PeerId, type SubnetId } from '../../types/ids.ts';
import { classRank } from '../../types/subnet.ts';
import { peersOf } from '../peers.ts';
import type { Attest, PeerInfo, PeerRole, Proposal, RegisterNode, RegisterSubnet, ScoredNode } from '../types.ts';
import { sweepExpired } from './expiry.ts';
import {
  accountOf,
  type Call,
  DEPOSIT,
  electableOf,
  ensure,
  epochIn,
  event,
  generalEpoch,
  isLive,
  least,
  mul,
  mulDiv,
  percent,
  Refusal,
  spendable,
  TENSOR,
  type TwinNode,
  type TwinState,
  type TwinSubnet,
  withBalance,
  withEntry,
  withLoose,
  withNode,
  withoutEntry,
  withSubnet,
} from './state.ts';

// chain.md 3.3, preset devnet.
const MIN_STAKE_RANGE = [100n * TENSOR, 250n * TENSOR] as const;
const NETWORK_MAX_STAKE = 1000n * TENSOR;
const DELEGATE_PART_RANGE = [percent(5), percent(95)] as const;
const REGISTRATION_COST_MIN = TENSOR / 10n;
const REGISTRATION_DECAY_BLOCKS = 438_290n;
const NODE_BURN = 10n ** 13n;
const MAX_REGISTERED_NODES = 64;
const MAX_NODES = 256;
const SWEPT_BY_REGISTERING = 2;
const CHURN_LIMIT = 4;
const MAX_SCORE = 10n ** 24n;
const ATTESTOR_MIN_FACTOR = percent(33);

export function registerSubnet(given: RegisterSubnet): Call {
  return (state, origin) => {
    checkSubnet(state, given);
    const cost = registrationCost(state);
    ensure(cost <= given.maxCost, 'CostGreaterThanMaxCost');
    ensure(spendable(state, origin) >= cost, 'NotEnoughBalanceToRegisterSubnet');
    const id = (state.lastSubnet + 1) as SubnetId;
    const subnet: TwinSubnet = {
      id,
      name: given.name,
      repo: given.repo,
      owner: origin,
      state: 'Registered',
      startEpoch: 0,
      slot: freeSlot(state),
      minStake: given.minStake,
      maxStake: given.maxStake,
      misc: given.misc,
      delegatePart: given.delegateStakePercentage,
      bootnodes: given.bootnodes,
      activationGraceEpochs: state.params.activationGraceEpochs,
      registeredIn: generalEpoch(state),
      reputation: ONE,
      lastNode: 0,
      cursor: [0, 0],
      nodes: new Map(),
      elected: new Map(),
      submissions: new Map(),
      results: new Map(),
    };
    const paid = withBalance(state, origin, -cost);
    return {
      state: {
        ...withSubnet(paid, subnet),
        lastSubnet: id,
        registrationCost: { last: 2n * cost, block: state.block },
      },
      events: [event('SubnetRegistered', { owner: origin, name: given.name, subnetId: id })],
    };
  };
}

function checkSubnet(state: TwinState, given: RegisterSubnet): void {
  const others = [...state.subnets.values()];
  ensure(given.name !== '', 'InvalidSubnetName');
  ensure(!others.some(({ name }) => name === given.name), 'SubnetNameExist');
  ensure(!others.some(({ repo }) => repo === given.repo), 'SubnetRepoExist');
  ensure(isWithin(given.minStake, MIN_STAKE_RANGE), 'InvalidSubnetMinStake');
  ensure(given.maxStake <= NETWORK_MAX_STAKE, 'InvalidSubnetMaxStake');
  ensure(given.minStake <= given.maxStake, 'InvalidSubnetStakeParameters');
  ensure(isWithin(given.delegateStakePercentage, DELEGATE_PART_RANGE), 'InvalidMinDelegateStakePercentage');
  ensure(given.bootnodes.size > 0, 'BootnodesEmpty');
  ensure(given.bootnodes.size <= 32, 'TooManyBootnodes');
  for (const [peer, multiaddr] of given.bootnodes) checkPeer({ peer, multiaddr }, 'InvalidBootnodePeerId');
}

function isWithin(value: bigint, [least, most]: readonly [bigint, bigint]): boolean {
  return value >= least && value <= most;
}

function registrationCost({ registrationCost: { last, block }, block: now }: TwinState): bigint {
  const sunk = mulDiv(last - REGISTRATION_COST_MIN, BigInt(now - block), REGISTRATION_DECAY_BLOCKS);
  return last - sunk > REGISTRATION_COST_MIN ? last - sunk : REGISTRATION_COST_MIN;
}

function freeSlot({ params, subnets }: TwinState): number {
  const taken = new Set([...subnets.values()].map(({ slot }) => slot));
  for (let slot = params.firstSlot; slot < params.epochLength; slot++) if (!taken.has(slot)) return slot;
  throw new Refusal('NoAvailableSlots');
}

/** Text form of ed25519, secp256k1 and SHA-256 peer ids. */
const PEER_ID = /^(12D3KooW[1-9A-HJ-NP-Za-km-z]{44}|16Uiu2[1-9A-HJ-NP-Za-km-z]{48}|Qm[1-9A-HJ-NP-Za-km-z]{44})$/;

function checkPeer({ peer, multiaddr }: PeerInfo, error: string): void {
  ensure(PEER_ID.test(peer), error);
  if (multiaddr !== undefined) ensure(multiaddr.endsWith(`/p2p/${peer}`), 'MultiaddrInvalidAddress');
}

export function activateSubnet(id: SubnetId): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    ensure(subnet.owner === origin, 'NotSubnetOwner');
    ensure(subnet.state === 'Registered', 'SubnetActivatedAlready');
    const enough = electableOf(subnet).length >= state.params.minSubnetNodes;
    ensure(enough && subnet.reputation >= percent(10), 'SubnetActivationConditionsNotMetYet');
    const startEpoch = generalEpoch(state) + 1;
    const waiting = [...subnet.nodes.values()].filter(({ nodeClass }) => nodeClass === 'Registered');
    const active: TwinSubnet = { ...subnet, state: 'Active', startEpoch, cursor: [startEpoch, waiting.length] };
    const restarted = waiting.reduce((so, node) => withNode(so, { ...node, startEpoch: startEpoch as Epoch }), active);
    return { state: withSubnet(state, restarted), events: [event('SubnetActivated', { subnetId: id })] };
  };
}

export function registerNode(given: RegisterNode): Call {
  return (before, origin) => {
    const joins = subnetOf(before, given.subnet);
    ensure(origin !== given.hotkey, 'ColdkeyMatchesHotkey');
    ensure(!before.owners.has(given.hotkey), 'HotkeyHasOwner');
    ensure(joins.nodes.size < MAX_NODES, 'SubnetNodesMax');
    const { state, events } = sweepExpired(before, joins, SWEPT_BY_REGISTERING);
    const subnet = subnetOf(state, given.subnet);
    const queued = [...subnet.nodes.values()].filter(({ nodeClass }) => nodeClass === 'Registered').length;
    ensure(queued < MAX_REGISTERED_NODES, 'MaxRegisteredNodes');
    checkPeers(subnet, given);
    ensure(given.delegateRewardRate <= ONE, 'InvalidDelegateRewardRate');
    const burn = NODE_BURN + mulDiv(4n * NODE_BURN, BigInt(queued), BigInt(MAX_REGISTERED_NODES));
    ensure(burn <= given.maxBurn, 'MaxBurnAmountExceeded');
    ensure(given.stake >= subnet.minStake, 'MinStakeNotReached');
    ensure(given.stake <= subnet.maxStake, 'MaxStakeReached');
    ensure(spendable(state, origin) >= given.stake + burn, 'NotEnoughBalanceToStake');
    const { cursor, startEpoch } = placeInQueue(state, subnet);
    const node = newNode(given, origin, (subnet.lastNode + 1) as NodeId, startEpoch);
    const paid = withBalance(state, origin, -given.stake - burn);
    const joined = withNode({ ...subnet, lastNode: node.id, cursor }, node);
    return {
      state: { ...withSubnet(paid, joined), owners: withEntry(state.owners, given.hotkey, origin) },
      events: [
        ...events,
        event('SubnetNodeRegistered', {
          subnetId: given.subnet,
          subnetNodeId: node.id,
          coldkey: origin,
          hotkey: given.hotkey,
        }),
      ],
    };
  };
}

function newNode(given: RegisterNode, coldkey: Address, id: NodeId, startEpoch: Epoch): TwinNode {
  const { hotkey, peerInfo, bootnodeInfo, clientInfo, stake } = given;
  return {
    id,
    hotkey,
    coldkey,
    peerInfo,
    ...(bootnodeInfo === undefined ? {} : { bootnodeInfo }),
    ...(clientInfo === undefined ? {} : { clientInfo }),
    nodeClass: 'Registered',
    startEpoch,
    stake,
    reputation: ONE,
    climbed: 0,
  };
}

type Peers = Pick<RegisterNode, 'peerInfo' | 'bootnodeInfo' | 'clientInfo'>;

/** @param self the node whose peers they are, if it is registered already */
function checkPeers(subnet: TwinSubnet, { peerInfo, bootnodeInfo, clientInfo }: Peers, self?: NodeId): void {
  const infos = [peerInfo, bootnodeInfo, clientInfo].filter((info) => info !== undefined);
  ensure(new Set(infos.map(({ peer }) => peer)).size === infos.length, 'PeerIdsMustBeUnique');
  const others = [...subnet.nodes.values()].filter(({ id }) => id !== self);
  const taken = new Set(others.flatMap(peersOf));
  const roles = [
    [peerInfo, 'InvalidPeerId', 'PeerIdExist'],
    [bootnodeInfo, 'InvalidBootnodePeerId', 'BootnodePeerIdExist'],
    [clientInfo, 'InvalidClientPeerId', 'ClientPeerIdExist'],
  ] as const;
  for (const [info, invalid] of roles) if (info !== undefined) checkPeer(info, invalid);
  for (const [info, , exists] of roles) if (info !== undefined) ensure(!taken.has(info.peer), exists);
}

/** chain.md 4.3: at once while the subnet is Registered, later at most CHURN_LIMIT nodes per epoch. */
function placeInQueue(
  state: TwinState,
  subnet: TwinSubnet,
): { readonly cursor: readonly [number, number]; readonly startEpoch: Epoch } {
  const now = epochIn(state, subnet);
  if (subnet.state === 'Registered') return { cursor: subnet.cursor, startEpoch: now };
  const earliest = now + state.params.queueEpochs;
  const [epoch, count] = subnet.cursor;
  const cursor = nextPlace(earliest, epoch, count);
  return { cursor, startEpoch: cursor[0] as Epoch };
}

function nextPlace(earliest: number, epoch: number, count: number): readonly [number, number] {
  if (earliest > epoch) return [earliest, 1];
  return count < CHURN_LIMIT ? [epoch, count + 1] : [epoch + 1, 1];
}

export function activateNode(id: SubnetId, nodeId: NodeId): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    const node = subnet.nodes.get(nodeId);
    ensure(node !== undefined && node.hotkey === origin, 'NotUidOwner');
    ensure(node.nodeClass === 'Registered', 'SubnetNodeActivatedAlready');
    ensure(node.stake >= subnet.minStake, 'MinStakeNotReached');
    const next = activated(state, subnet, node);
    const events = [event('SubnetNodeActivated', { subnetId: id, subnetNodeId: nodeId })];
    return { state: withSubnet(state, withNode(subnet, next)), events };
  };
}

function activated(state: TwinState, subnet: TwinSubnet, node: TwinNode): TwinNode {
  const epoch = epochIn(state, subnet);
  if (subnet.state === 'Registered') return { ...node, nodeClass: 'Validator', startEpoch: epoch };
  ensure(epoch >= node.startEpoch, 'NotStartEpoch');
  ensure(epoch <= node.startEpoch + subnet.activationGraceEpochs, 'ActivationGracePassed');
  return { ...node, nodeClass: 'Idle', startEpoch: (epoch + 1) as Epoch };
}

/** The node that a hotkey or coldkey may change. */
function nodeForKey(subnet: TwinSubnet, id: NodeId, key: Address): TwinNode {
  const node = subnet.nodes.get(id);
  ensure(node !== undefined, 'InvalidSubnetNodeId');
  ensure(node.hotkey === key || node.coldkey === key, 'NotKeyOwner');
  return node;
}

export function removeNode(id: SubnetId, nodeId: NodeId): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    const { hotkey, stake } = nodeForKey(subnet, nodeId, origin);
    ensure(subnet.elected.get(epochIn(state, subnet)) !== nodeId, 'ElectedValidatorCannotRemove');
    const left = withSubnet(state, { ...subnet, nodes: withoutEntry(subnet.nodes, nodeId) });
    return {
      state: withLoose(left, id, hotkey, stake),
      events: [event('SubnetNodeRemoved', { subnetId: id, subnetNodeId: nodeId, reason: 'Request' })],
    };
  };
}

export function updatePeer(id: SubnetId, nodeId: NodeId, role: PeerRole, info: PeerInfo | undefined): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    const { peerInfo, bootnodeInfo, clientInfo, ...node } = nodeForKey(subnet, nodeId, origin);
    const peers = { peerInfo, ...(bootnodeInfo && { bootnodeInfo }), ...(clientInfo && { clientInfo }) };
    const [field, name] = PEER_FIELDS[role];
    const { [field]: _, ...kept } = peers as Partial<Peers>;
    const after = { peerInfo, ...kept, ...(info === undefined ? {} : { [field]: info }) };
    checkPeers(subnet, after, nodeId);
    return {
      state: withSubnet(state, withNode(subnet, { ...node, ...after })),
      events: [event(name, { subnetId: id, subnetNodeId: nodeId, peerInfo: info })],
    };
  };
}

const PEER_FIELDS = {
  node: ['peerInfo', 'SubnetNodeUpdatePeerInfo'],
  bootnode: ['bootnodeInfo', 'SubnetNodeUpdateBootnodePeerInfo'],
  client: ['clientInfo', 'SubnetNodeUpdateClientPeerInfo'],
} as const;

export function updateMisc(id: SubnetId, misc: Uint8Array): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    ensure(subnet.owner === origin, 'NotSubnetOwner');
    return {
      state: withSubnet(state, { ...subnet, misc }),
      events: [event('SubnetMiscUpdated', { subnetId: id, misc })],
    };
  };
}

export function updateBootnodes(id: SubnetId, add: ReadonlyMap<PeerId, string>, remove: readonly PeerId[]): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    ensure(subnet.owner === origin, 'InvalidAccess');
    for (const [peer, multiaddr] of add) checkPeer({ peer, multiaddr }, 'InvalidBootnodePeerId');
    const kept = [...subnet.bootnodes].filter(([peer]) => !remove.includes(peer));
    const bootnodes = new Map([...kept, ...add]);
    ensure(bootnodes.size <= 32, 'TooManyBootnodes');
    const counts = { added: add.size, removed: subnet.bootnodes.size - kept.length };
    return {
      state: withSubnet(state, { ...subnet, bootnodes }),
      events: [event('BootnodesUpdated', { subnetId: id, ...counts })],
    };
  };
}

export function transfer(to: Address, amount: bigint): Call {
  return (state, origin) => {
    if (accountOf(state, origin).free < amount) throw new Refusal('FundsUnavailable', 'Token');
    if (spendable(state, origin) < amount) throw new Refusal('NotExpendable', 'Token');
    if (accountOf(state, to).free + amount < DEPOSIT) throw new Refusal('BelowMinimum', 'Token');
    return {
      state: withBalance(withBalance(state, origin, -amount), to, amount),
      events: [event('Transfer', { from: origin, to, amount }, 'Balances')],
    };
  };
}

export function propose(given: Omit<Proposal, 'epoch'>): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, given.subnet);
    const epoch = epochIn(state, subnet);
    const elected = isLive(state, subnet) ? subnet.elected.get(epoch) : undefined;
    ensure(elected !== undefined, 'NoElectedValidator');
    ensure(subnet.nodes.get(elected)?.hotkey === origin, 'InvalidValidator');
    ensure(!subnet.submissions.has(epoch), 'SubnetRewardsAlreadySubmitted');
    ensure(
      given.scores.every(({ score }) => score <= MAX_SCORE),
      'ScoreOverflow',
    );
    const nodes = [...subnet.nodes.values()].sort((a, b) => a.id - b.id);
    const vote: Attest = { nodeId: elected, block: state.block, rewardFactor: ONE, data: given.attestData };
    const submission = {
      proposer: elected,
      block: state.block,
      proposerFactor: proposerFactor(progress(state, subnet)),
      scores: canonicalScores(given.scores, nodes, epoch),
      args: given.args,
      attests: [vote],
      validators: electableOf(subnet).map(({ id }) => id),
      nodes: nodes
        .filter(({ nodeClass }) => classRank(nodeClass) >= classRank('Idle'))
        .map(({ id, nodeClass, startEpoch }) => ({ id, nodeClass, startEpoch })),
    };
    const submissions = withEntry(subnet.submissions, epoch, submission);
    return {
      state: withSubnet(state, { ...subnet, submissions }),
      events: [event('ValidatorSubmission', { subnetId: subnet.id, accountId: origin, epoch })],
    };
  };
}

/** Unknown and lower nodes dropped, the lowest of several scores kept, ascending by id (chain.md 4.4). */
function canonicalScores(
  given: readonly ScoredNode[],
  nodes: readonly TwinNode[],
  epoch: Epoch,
): readonly ScoredNode[] {
  return nodes
    .filter(({ nodeClass, startEpoch }) => classRank(nodeClass) >= classRank('Included') && startEpoch <= epoch)
    .flatMap(({ id }) => {
      const scores = given.filter(({ nodeId }) => nodeId === id).map(({ score }) => score);
      const [first, ...rest] = scores;
      if (first === undefined) return [];
      return [{ nodeId: id, score: rest.reduce(least, first) }];
    });
}

/** f_p of chain.md 5.3. */
function proposerFactor(x: bigint): bigint {
  if (x <= percent(25)) return ONE;
  return x >= percent(75) ? 0n : (percent(75) - x) * 2n;
}

function progress(state: TwinState, subnet: TwinSubnet): bigint {
  return mulDiv(BigInt(state.block - firstBlock(state, subnet)), ONE, BigInt(state.params.epochLength));
}

function firstBlock(state: TwinState, subnet: TwinSubnet): number {
  return epochIn(state, subnet) * state.params.epochLength + subnet.slot;
}

export function attest(id: SubnetId, data: Uint8Array): Call {
  return (state, origin) => {
    const subnet = subnetOf(state, id);
    const epoch = epochIn(state, subnet);
    const node = [...subnet.nodes.values()].find(({ hotkey }) => hotkey === origin);
    ensure(node !== undefined, 'InvalidHotkeySubnetNodeId');
    ensure(node.nodeClass !== 'Registered', 'InvalidSubnetNodeId');
    ensure(node.nodeClass === 'Validator', 'InvalidSubnetNodeClassification');
    const submission = subnet.submissions.get(epoch);
    ensure(submission !== undefined, 'InvalidSubnetConsensusSubmission');
    ensure(submission.validators.includes(node.id), 'InvalidValidatorId');
    ensure(!submission.attests.some(({ nodeId }) => nodeId === node.id), 'AlreadyAttested');
    const ends = firstBlock(state, subnet) + state.params.epochLength;
    const waited = mulDiv(BigInt(state.block - submission.block), ONE, BigInt(ends - submission.block));
    const vote: Attest = { nodeId: node.id, block: state.block, rewardFactor: attestorFactor(waited), data };
    const attests = [...submission.attests, vote].sort((a, b) => a.nodeId - b.nodeId);
    const submissions = withEntry(subnet.submissions, epoch, { ...submission, attests });
    return {
      state: withSubnet(state, { ...subnet, submissions }),
      events: [event('Attestation', { subnetId: id, accountId: origin, subnetNodeId: node.id, epoch })],
    };
  };
}

/** f of chain.md 5.3 for a vote after the part `y` of the time that was left. */
export function attestorFactor(y: bigint): bigint {
  const y2 = mul(y, y);
  const y4 = mul(y2, y2);
  const y10 = mul(mul(y4, y4), y2);
  return ONE - mul(ONE - ATTESTOR_MIN_FACTOR, y10);
}

function subnetOf(state: TwinState, id: SubnetId): TwinSubnet {
  const subnet = state.subnets.get(id);
  ensure(subnet !== undefined, 'InvalidSubnetId');
  return subnet;
}
