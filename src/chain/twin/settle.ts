// What happens in a block without a transaction: subnet checks, emission weights, settlement of the epoch that ended, election for the one
// that begins (chain.md 4.1, 4.4, 5). An independent model of the pallet in bigint: floors as written, nothing else rounds.

import { type BlockNumber, type Epoch, type NodeId, ONE, type SubnetId } from '../../types/ids.ts';
import { classRank } from '../../types/subnet.ts';
import { concatBytes, toHex, u32le } from '../../util/bytes.ts';
import { sha256, tag } from '../../util/hash.ts';
import { epochAt } from '../clock.ts';
import type { ChainEvent, EpochResult } from '../types.ts';
import {
  electableOf,
  event,
  isLive,
  least,
  ledgerOf,
  mul,
  mulDiv,
  percent,
  TENSOR,
  type Transition,
  type TwinNode,
  type TwinState,
  type TwinSubmission,
  type TwinSubnet,
  withBalance,
  withEntry,
  withLedger,
  withLoose,
  withNode,
  withoutEntry,
  withSubnet,
} from './state.ts';

const BLOCKS_PER_YEAR = 5_256_000n;
const HISTORY_EPOCHS = 64;
const MAX_ELECTABLE = 64n * 256n;
const MIN_ATTESTATION = percent(66);
const SUPER_MAJORITY = percent(87.5);
const MIN_REPUTATION = percent(10);
const ATTESTOR_MIN_FACTOR = percent(33);

/** Runs the hooks of the next block. */
export function beginBlock(parent: TwinState, parentHash: Uint8Array): Transition {
  const block = (parent.block + 1) as BlockNumber;
  const state = { ...parent, block, entropy: sha256(parent.entropy, parentHash, u32le(block)) };
  const offset = block % state.params.epochLength;
  if (offset === 0) return { state: checkSubnets(state), events: [] };
  if (offset === 2) return { state: setEmission(state), events: [] };
  const subnet = [...state.subnets.values()].find(({ slot }) => slot === offset);
  return subnet === undefined ? { state, events: [] } : slotBlock(state, subnet);
}

/** chain.md 5.5, without the registration deadlines. */
function checkSubnets(state: TwinState): TwinState {
  let next = state;
  for (const subnet of state.subnets.values()) {
    if (!isLive(state, subnet)) continue;
    const short = electableOf(subnet).length < state.params.minSubnetNodes;
    const reputation = short ? lose(subnet.reputation, percent(12.5)) : subnet.reputation;
    next =
      reputation < MIN_REPUTATION
        ? keepStakes({ ...next, subnets: withoutEntry(next.subnets, subnet.id) }, subnet, new Map())
        : withSubnet(next, { ...subnet, reputation });
  }
  return next;
}

/** chain.md 5.1. */
function setEmission(state: TwinState): TwinState {
  const live = [...state.subnets.values()].filter((subnet) => isLive(state, subnet));
  if (live.length === 0) return state;
  const electable = live.reduce((sum, subnet) => sum + electableOf(subnet).length, 0);
  const { pools } = ledgerOf(state);
  const parts = live.map((subnet) => ({
    id: subnet.id,
    stake: countedStake(subnet),
    delegated: pools.get(subnet.id)?.balance ?? 0n,
  }));
  const all = parts.reduce((sum, { stake }) => sum + stake, 0n);
  const pooled = parts.reduce((sum, { delegated }) => sum + delegated, 0n);
  const weigh = (stake: bigint, delegated: bigint) =>
    pooled === 0n ? mulDiv(ONE, stake, all) : mulDiv(ONE / 2n, stake, all) + mulDiv(ONE / 2n, delegated, pooled);
  const weights = new Map<SubnetId, bigint>(parts.map(({ id, stake, delegated }) => [id, weigh(stake, delegated)]));
  return { ...state, emission: { total: subnetsEmission(electable, state.params.epochLength), weights } };
}

function countedStake(subnet: TwinSubnet): bigint {
  return electableOf(subnet).reduce((sum, node) => sum + least(node.stake, subnet.maxStake), 0n);
}

/** E_sub of chain.md 5.1, planck. */
export function subnetsEmission(electable: number, epochLength: number): bigint {
  const used = least(ONE, mulDiv(BigInt(electable), ONE, MAX_ELECTABLE));
  const yearly = 75_000n * TENSOR + mulDiv(25_000n * TENSOR, ONE - used, ONE);
  const epoch = yearly / (BLOCKS_PER_YEAR / BigInt(epochLength));
  return epoch - mul(epoch, percent(20));
}

function slotBlock(state: TwinState, subnet: TwinSubnet): Transition {
  const epoch = epochAt(state.block, subnet.slot, state.params.epochLength);
  const settled = settle(state, subnet, epoch);
  const after = settled.state.subnets.get(subnet.id) ?? subnet;
  const chosen = isLive(state, after) ? elect(settled.state, after, epoch) : undefined;
  const elected = chosen === undefined ? after : { ...after, elected: withEntry(after.elected, epoch, chosen) };
  const events =
    chosen === undefined ? [] : [event('ValidatorElected', { subnetId: subnet.id, epoch, subnetNodeId: chosen })];
  return {
    state: withSubnet(settled.state, forget(elected, (epoch - HISTORY_EPOCHS) as Epoch)),
    events: [...settled.events, ...events],
  };
}

function forget(subnet: TwinSubnet, epoch: Epoch): TwinSubnet {
  if (!subnet.elected.has(epoch)) return subnet;
  return {
    ...subnet,
    elected: withoutEntry(subnet.elected, epoch),
    submissions: withoutEntry(subnet.submissions, epoch),
    results: withoutEntry(subnet.results, epoch),
  };
}

/** Weighted by stake and reputation, drawn by a hash of the chain's entropy (chain.md 4.4, with SHA-256 for BLAKE2). */
function elect(state: TwinState, subnet: TwinSubnet, epoch: Epoch): NodeId | undefined {
  const weights = electableOf(subnet).map(({ id, stake, reputation }) => ({
    id,
    weight: mul(least(stake, subnet.maxStake), reputation),
  }));
  const total = weights.reduce((sum, { weight }) => sum + weight, 0n);
  if (total === 0n) return undefined;
  const seed = sha256(concatBytes(tag('twin/elect'), state.genesis, u32le(subnet.id), u32le(epoch), state.entropy));
  let left = BigInt(`0x${toHex(seed)}`) % total;
  return weights.find(({ weight }) => {
    left -= weight;
    return left < 0n;
  })?.id;
}

/** chain.md 5.2, of the epoch before `epoch`. */
function settle(state: TwinState, subnet: TwinSubnet, epoch: Epoch): Transition {
  const past = (epoch - 1) as Epoch;
  const elected = subnet.elected.get(past);
  if (elected === undefined) return { state, events: [] };
  const submission = subnet.submissions.get(past);
  const { outcome, ratio } = judge(submission);
  const lenient = past === subnet.startEpoch;
  const moved = consequences(state, subnet, { epoch, elected, submission, outcome, ratio, lenient });
  const result: EpochResult = { outcome, attestationRatio: ratio, minted: moved.minted, slashed: moved.slashed };
  const kept = removeDisreputable(moved.subnet);
  const settled = { ...kept, results: withEntry(subnet.results, past, result) };
  return {
    state: keepStakes(withSubnet(moved.state, settled), moved.subnet, settled.nodes),
    events: [
      ...moved.events,
      event('RewardResult', { subnetId: subnet.id, epoch: past, attestationPercentage: ratio }),
    ],
  };
}

function judge(submission: TwinSubmission | undefined): {
  readonly outcome: EpochResult['outcome'];
  readonly ratio: bigint;
} {
  if (submission === undefined) return { outcome: 'Absent', ratio: 0n };
  const ratio = mulDiv(BigInt(submission.attests.length), ONE, BigInt(submission.validators.length));
  if (ratio < MIN_ATTESTATION) return { outcome: 'Rejected', ratio };
  return { outcome: paidScores(submission).length === 0 ? 'Empty' : 'Accepted', ratio };
}

function paidScores({ scores, validators }: TwinSubmission) {
  return scores.filter(({ nodeId, score }) => score > 0n && validators.includes(nodeId));
}

interface Case {
  readonly epoch: Epoch;
  readonly elected: NodeId;
  readonly submission: TwinSubmission | undefined;
  readonly outcome: EpochResult['outcome'];
  readonly ratio: bigint;
  readonly lenient: boolean;
}

interface Moved {
  readonly state: TwinState;
  readonly subnet: TwinSubnet;
  readonly minted: bigint;
  readonly slashed: bigint;
  readonly events: readonly ChainEvent[];
}

function consequences(state: TwinState, subnet: TwinSubnet, found: Case): Moved {
  const { submission, outcome, ratio, elected, epoch, lenient } = found;
  if (outcome === 'Accepted' && submission !== undefined) return accept(state, subnet, submission, ratio, epoch);
  if (outcome === 'Rejected' && submission !== undefined) return reject(state, subnet, submission, ratio);
  const nothing = { state, subnet, minted: 0n, slashed: 0n, events: [] };
  if (lenient) return nothing;
  const blamed = { ...subnet, reputation: lose(subnet.reputation, percent(5)) };
  if (outcome === 'Empty') return { ...nothing, subnet: blamed };
  return { ...nothing, subnet: changeReputation(blamed, elected, (r) => lose(r, percent(5))) };
}

/** Pay (5.3), reputation and ladder (5.4). */
function accept(state: TwinState, subnet: TwinSubnet, submission: TwinSubmission, ratio: bigint, epoch: Epoch): Moved {
  const earned = mul(state.emission.total, state.emission.weights.get(subnet.id) ?? 0n);
  const owner = mul(earned, percent(23));
  const pool = ledgerOf(state).pools.get(subnet.id);
  const delegated = pool !== undefined && pool.shares > 0n ? mul(earned - owner, subnet.delegatePart ?? 0n) : 0n;
  const pay = payNodes(earned - owner - delegated, submission);
  const paid = [...pay].reduce((so, [id, amount]) => addStake(so, id, amount), subnet);
  const known = [...pay]
    .filter(([id]) => subnet.nodes.has(id))
    .reduce((sum, [, amount]) => sum + amount, owner + delegated);
  const scored = new Set(submission.scores.filter(({ score }) => score > 0n).map(({ nodeId }) => nodeId));
  const judged = [...paid.nodes.values()].reduce(
    (so, node) => judgeNode(so, node, submission, scored, ratio, epoch),
    paid,
  );
  const risen = { ...judged, reputation: gain(judged.reputation) };
  const climbed = [...risen.nodes.values()].reduce((so, node) => climb(state, so, node, scored, epoch), risen);
  return {
    state: growPool(withBalance(state, subnet.owner, owner), subnet.id, delegated),
    subnet: climbed,
    minted: known,
    slashed: 0n,
    events: [event('SubnetRewards', { subnetId: subnet.id, nodeRewards: [...pay] })],
  };
}

function growPool(state: TwinState, id: SubnetId, amount: bigint): TwinState {
  const { pools } = ledgerOf(state);
  const pool = pools.get(id);
  if (pool === undefined || amount === 0n) return state;
  return withLedger(state, { pools: withEntry(pools, id, { ...pool, balance: pool.balance + amount }) });
}

/** Node id -> planck, of the nodes' part N of an epoch (chain.md 5.3; nodes' own parts for delegators are not modelled). */
export function payNodes(part: bigint, submission: TwinSubmission): ReadonlyMap<NodeId, bigint> {
  const bonusPool = mul(part, percent(10));
  const shared = part - bonusPool;
  const paid = paidScores(submission);
  const sum = paid.reduce((total, { score }) => total + score, 0n);
  const pay = new Map<NodeId, bigint>();
  const add = (id: NodeId, amount: bigint) => pay.set(id, (pay.get(id) ?? 0n) + amount);
  add(submission.proposer, mul(bonusPool, submission.proposerFactor));
  for (const { nodeId, score } of paid) {
    const vote = submission.attests.find((attest) => attest.nodeId === nodeId);
    add(nodeId, mul(mulDiv(shared, score, sum), vote?.rewardFactor ?? ATTESTOR_MIN_FACTOR));
  }
  return pay;
}

function addStake(subnet: TwinSubnet, id: NodeId, amount: bigint): TwinSubnet {
  const node = subnet.nodes.get(id);
  return node === undefined ? subnet : withNode(subnet, { ...node, stake: node.stake + amount });
}

function judgeNode(
  subnet: TwinSubnet,
  node: TwinNode,
  { validators, attests }: TwinSubmission,
  scored: ReadonlySet<NodeId>,
  ratio: bigint,
  epoch: Epoch,
): TwinSubnet {
  const isJudged = classRank(node.nodeClass) >= classRank('Included') && node.startEpoch < epoch;
  const isSilent =
    ratio >= SUPER_MAJORITY && validators.includes(node.id) && !attests.some(({ nodeId }) => nodeId === node.id);
  const judged = scored.has(node.id) ? gain(node.reputation) : lose(node.reputation, percent(10));
  const after = isJudged ? judged : node.reputation;
  return withNode(subnet, { ...node, reputation: isSilent ? lose(after, percent(10)) : after });
}

/** One step of the ladder (chain.md 4.3); the first epoch of a class counts neither way. */
function climb(
  { params }: TwinState,
  subnet: TwinSubnet,
  node: TwinNode,
  scored: ReadonlySet<NodeId>,
  epoch: Epoch,
): TwinSubnet {
  if (node.startEpoch + 1 >= epoch) return subnet;
  if (node.nodeClass === 'Idle') {
    const climbed = node.climbed + 1;
    const next = climbed >= params.idleEpochs ? promoted(node, 'Included', epoch) : { ...node, climbed };
    return withNode(subnet, next);
  }
  if (node.nodeClass !== 'Included') return subnet;
  const climbed = scored.has(node.id) ? node.climbed + 1 : 0;
  const isReady = climbed >= params.includedEpochs && node.reputation >= ONE;
  return withNode(subnet, isReady ? promoted(node, 'Validator', epoch) : { ...node, climbed });
}

function promoted(node: TwinNode, nodeClass: TwinNode['nodeClass'], startEpoch: Epoch): TwinNode {
  return { ...node, nodeClass, startEpoch, climbed: 0 };
}

/** Slash and reputation of a rejected proposal (chain.md 5.4). */
function reject(state: TwinState, subnet: TwinSubnet, submission: TwinSubmission, ratio: bigint): Moved {
  const missing = ONE - mulDiv(ratio, ONE, MIN_ATTESTATION);
  const proposer = subnet.nodes.get(submission.proposer);
  const stake = proposer?.stake ?? 0n;
  const slashed = least(least(stake, TENSOR), mul(mul(stake, percent(3.125)), missing));
  const cut = addStake(subnet, submission.proposer, -slashed);
  const blamed = changeReputation(cut, submission.proposer, (r) => lose(r, mul(percent(5), missing)));
  const voted = submission.attests.reduce(
    (so, { nodeId }) => changeReputation(so, nodeId, (r) => lose(r, mul(percent(10), missing))),
    blamed,
  );
  const fallen = { ...voted, reputation: lose(voted.reputation, mul(ONE / 8n, missing)) };
  return {
    state,
    subnet: fallen,
    minted: 0n,
    slashed,
    events: [event('Slashing', { subnetId: subnet.id, accountId: proposer?.hotkey, amount: slashed })],
  };
}

function changeReputation(subnet: TwinSubnet, id: NodeId, change: (reputation: bigint) => bigint): TwinSubnet {
  const node = subnet.nodes.get(id);
  return node === undefined ? subnet : withNode(subnet, { ...node, reputation: change(node.reputation) });
}

function removeDisreputable(subnet: TwinSubnet): TwinSubnet {
  const kept = [...subnet.nodes].filter(([, { reputation }]) => reputation >= MIN_REPUTATION);
  return kept.length === subnet.nodes.size ? subnet : { ...subnet, nodes: new Map(kept) };
}

/** A removed node's stake stays under its hotkey until the coldkey withdraws it. */
function keepStakes(state: TwinState, before: TwinSubnet, left: TwinSubnet['nodes']): TwinState {
  const gone = [...before.nodes.values()].filter(({ id }) => !left.has(id));
  return gone.reduce((so, { hotkey, stake }) => withLoose(so, before.id, hotkey, stake), state);
}

function lose(reputation: bigint, part: bigint): bigint {
  return reputation - mul(reputation, part);
}

function gain(reputation: bigint): bigint {
  return least(ONE, reputation + mul(reputation, percent(5)));
}
