// What the client asks of a dialect: the names, argument orders and meanings of one runtime's interface (chain.md 10.3).

import type { Address, BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../../types/ids.ts';
import type { CallSpec, Query } from '../substrate/runtime.ts';
import type {
  AccountState,
  ChainCapabilities,
  ChainInfo,
  EpochResult,
  Holdings,
  NodeStake,
  PeerInfo,
  PeerRole,
  Proposal,
  RegisterNode,
  RegisterSubnet,
  RosterState,
  Submission,
  Subnet,
  SubnetNode,
} from '../types.ts';

/** Asks at one block, or at the best one. */
export interface Reader {
  /** An answer that `parse` refuses is the error of a wrong runtime, not of the caller: CHAIN_UNSUPPORTED. */
  ask<T>(query: Query, parse: (value: unknown) => T): Promise<T>;
  /** A reader that stays at one block: for answers that take several questions. */
  pinned(): Promise<Reader>;
  at(block: Hash): Reader;
  /** Of the endpoint's best chain; undefined where there is no such block. */
  blockHash(number: BlockNumber): Promise<Hash | undefined>;
}

/** A read with its meaning. */
export type Read<T> = (reader: Reader) => Promise<T>;

/** The storage that tells who is in an epoch. */
export interface RosterStorage {
  /** Single values. */
  readonly values: readonly Query[];
  /** All keys of the map's part that counts: of `params` the first is their prefix. */
  readonly map: Query;
  /** Answers of `values` in their order, and what the map holds, by whole keys; throws on a shape that does not fit. */
  decode(
    values: readonly (string | null)[],
    entries: readonly (readonly [key: string, value: string])[],
  ): RosterState | undefined;
}

export interface Dialect {
  readonly name: ChainInfo['dialect'];
  readonly capabilities: ChainCapabilities;
  readonly epochLength: number;
  /** Whoever a proposal does not name loses reputation, also who had no part in the epoch that it judges:
   * such are named with a score of 0, which `submission` leaves out again. */
  readonly docksUnnamed: boolean;
  subnet(id: SubnetId): Read<Subnet | undefined>;
  subnetByName(name: string): Read<SubnetId | undefined>;
  node(subnet: SubnetId, node: NodeId): Read<SubnetNode | undefined>;
  nodes(subnet: SubnetId): Read<readonly SubnetNode[]>;
  /** By any of a node's three peer ids; 0 is none. */
  nodeIdOfPeer(subnet: SubnetId, peer: PeerId): Read<NodeId>;
  nodeIdOfHotkey(subnet: SubnetId, hotkey: Address): Read<NodeId | undefined>;
  electable(subnet: SubnetId): Read<readonly NodeId[]>;
  account(address: Address): Read<AccountState>;
  electedValidator(subnet: SubnetId, epoch: Epoch): Read<NodeId | undefined>;
  /** Not where it is told by more than storage, or by storage that this program does not know. */
  readonly rosterStorage?: (subnet: SubnetId, epoch: Epoch) => RosterStorage;
  submission(subnet: SubnetId, epoch: Epoch): Read<Submission | undefined>;
  result(subnet: SubnetId, epoch: Epoch): Read<EpochResult | undefined>;
  /** Of several epochs in one block, in their order. */
  results(subnet: SubnetId, epochs: readonly Epoch[]): Read<readonly (EpochResult | undefined)[]>;
  /** `minStake` in planck; 90 % of the subnet's minimum where undefined. */
  provesStake(subnet: SubnetId, peer: PeerId, minClass: number, minStake: bigint | undefined): Read<boolean>;
  stakes(coldkey: Address): Read<Holdings['stakes']>;
  delegations(account: Address): Read<Holdings['delegations']>;
  unbondings(account: Address): Read<Holdings['unbondings']>;

  registerSubnet(subnet: RegisterSubnet): CallSpec;
  activateSubnet(subnet: SubnetId): CallSpec;
  registerNode(node: RegisterNode): CallSpec;
  /** Not where nodes activate from a queue. */
  readonly activateNode?: (subnet: SubnetId, node: NodeId) => CallSpec;
  removeNode(subnet: SubnetId, node: NodeId): CallSpec;
  /** Not where registrations do not expire. */
  readonly cleanExpired?: (subnet: SubnetId) => CallSpec;
  updateHotkey(hotkey: Address, next: Address): CallSpec;
  updateColdkey(hotkey: Address, next: Address): CallSpec;
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
