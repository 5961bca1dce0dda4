// One settlement on the chain's twin: validators, a proposal and votes in; pay, slash and reputations out (chain.md 5). The vectors of
// test/vectors/settlement.json are what this computes, and what the pallet must compute too (chain/pallets/network/src/tests/vectors.rs).

import { attest, propose } from '../../src/chain/twin/calls.ts';
import { beginBlock } from '../../src/chain/twin/settle.ts';
import type { Transition, TwinNode, TwinState, TwinSubnet } from '../../src/chain/twin/state.ts';
import type { Address, BlockNumber, Epoch, NodeId, PeerId, SubnetId } from '../../src/types/ids.ts';

/** Planck and fractions of 10^18 are decimal strings; offsets are blocks after the first of the epoch, below 20. */
export interface SettlementCase {
  /** Of node 1, 2, ...: all of class Validator. */
  readonly validators: readonly { readonly stake: string; readonly reputation: string }[];
  readonly subnetReputation: string;
  readonly proposer: number;
  /** Absent: nobody proposes. Scores are pairs of node id and score. */
  readonly proposal?: { readonly offset: number; readonly scores: readonly (readonly [number, string])[] };
  /** Pairs of node id and offset, by ascending offset. */
  readonly votes: readonly (readonly [number, number])[];
}

export interface Settlement {
  readonly outcome: string;
  readonly ratio: string;
  readonly minted: string;
  readonly slashed: string;
  /** What the owner is paid. */
  readonly owner: string;
  /** Stake and reputation of node 1, 2, ...; null for a node that was removed. */
  readonly validators: readonly ({ readonly stake: string; readonly reputation: string } | null)[];
  readonly subnetReputation: string;
}

const LENGTH = 20;
const SLOT = 3;
/** The first live epoch is settled leniently, so it is the second that is told. */
const EPOCH = 2 as Epoch;
const FIRST = EPOCH * LENGTH + SLOT;
const SUBNET = 128_001 as SubnetId;
const OWNER = address(0);

function address(n: number): Address {
  return `0x${n.toString(16).padStart(40, '0')}` as Address;
}

function node({ stake, reputation }: SettlementCase['validators'][number], index: number): TwinNode {
  return {
    id: (index + 1) as NodeId,
    hotkey: address(index + 1),
    coldkey: address(1000 + index),
    peerInfo: { peer: `peer ${index}` as PeerId },
    nodeClass: 'Validator',
    startEpoch: 0 as Epoch,
    stake: BigInt(stake),
    reputation: BigInt(reputation),
    climbed: 0,
  };
}

function begin({ validators, subnetReputation, proposer }: SettlementCase): TwinState {
  const nodes = validators.map(node);
  const subnet: TwinSubnet = {
    id: SUBNET,
    name: 'vectors',
    repo: '',
    owner: OWNER,
    state: 'Active',
    slot: SLOT,
    startEpoch: 1,
    minStake: 10n ** 20n,
    maxStake: 10n ** 21n,
    misc: new Uint8Array(),
    bootnodes: new Map(),
    activationGraceEpochs: 3,
    registeredIn: 0,
    reputation: BigInt(subnetReputation),
    lastNode: nodes.length,
    cursor: [1, 0],
    nodes: new Map(nodes.map((each) => [each.id, each])),
    elected: new Map([[EPOCH, proposer as NodeId]]),
    submissions: new Map(),
    results: new Map(),
  };
  return {
    params: {
      epochLength: LENGTH,
      firstSlot: SLOT,
      minSubnetNodes: 1,
      activationGraceEpochs: 3,
      queueEpochs: 1,
      idleEpochs: 1,
      includedEpochs: 1,
    },
    block: FIRST as BlockNumber,
    genesis: new Uint8Array(32),
    entropy: new Uint8Array(32),
    accounts: new Map(),
    subnets: new Map([[SUBNET, subnet]]),
    owners: new Map(),
    lastSubnet: SUBNET,
    registrationCost: { last: 0n, block: 0 },
    emission: { total: 0n, weights: new Map() },
  };
}

function at(state: TwinState, offset: number): TwinState {
  return { ...state, block: (FIRST + offset) as BlockNumber };
}

/** The epoch played and settled. */
export function settlementOf(given: SettlementCase): Settlement {
  const none = new Uint8Array();
  let state = begin(given);
  const did = (transition: Transition): void => {
    state = transition.state;
  };
  if (given.proposal !== undefined) {
    const scores = given.proposal.scores.map(([id, score]) => ({ nodeId: id as NodeId, score: BigInt(score) }));
    const call = propose({ subnet: SUBNET, scores, args: none, attestData: none });
    did(call(at(state, given.proposal.offset), address(given.proposer)));
  }
  for (const [id, offset] of given.votes) did(attest(SUBNET, none)(at(state, offset), address(id)));
  // the emission's block and the slot block of the next epoch
  for (const offset of [LENGTH - 1, LENGTH]) did(beginBlock(at(state, offset - 1), none));
  return told(state, given.validators.length);
}

function told(state: TwinState, count: number): Settlement {
  const subnet = state.subnets.get(SUBNET);
  const result = subnet?.results.get(EPOCH);
  if (subnet === undefined || result === undefined) throw new Error('the epoch was not settled');
  return {
    outcome: result.outcome,
    ratio: String(result.attestationRatio),
    minted: String(result.minted),
    slashed: String(result.slashed),
    owner: String(state.accounts.get(OWNER)?.free ?? 0n),
    validators: Array.from({ length: count }, (_, index) => {
      const found = subnet.nodes.get((index + 1) as NodeId);
      return found === undefined ? null : { stake: String(found.stake), reputation: String(found.reputation) };
    }),
    subnetReputation: String(subnet.reputation),
  };
}
