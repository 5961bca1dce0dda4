// The state of the chain's twin as plain values: a block's state is never changed, the next one shares what stayed the same, so that every
// old block can still be read. Shapes follow chain.md 3; a node's own part for delegators is not modelled.

import { type Address, type BlockNumber, type Epoch, type NodeId, ONE, type SubnetId } from '../../types/ids.ts';
import { epochAt } from '../clock.ts';
import type { AccountState, ChainEvent, EpochResult, Submission, Subnet, SubnetNode } from '../types.ts';

export const TENSOR = 10n ** 18n;

/** Existential deposit (chain.md 2). */
export const DEPOSIT = 500n;

export interface TwinParams {
  readonly epochLength: number;
  /** The slot of the first subnet. */
  readonly firstSlot: number;
  readonly minSubnetNodes: number;
  readonly activationGraceEpochs: number;
  readonly queueEpochs: number;
  readonly idleEpochs: number;
  readonly includedEpochs: number;
}

export interface TwinNode extends SubnetNode {
  /** Counted epochs in class Idle, respectively scored ones in a row in class Included. */
  readonly climbed: number;
}

export interface TwinSubnet extends Subnet {
  readonly activationGraceEpochs: number;
  readonly repo: string;
  /** Part of ONE of what a subnet earns that goes to its delegators; default none. */
  readonly delegatePart?: bigint;
  readonly registeredIn: number;
  readonly reputation: bigint;
  readonly lastNode: number;
  /** Start epoch that the queue gives out now, and to how many (chain.md 4.3). */
  readonly cursor: readonly [epoch: number, count: number];
  readonly nodes: ReadonlyMap<NodeId, TwinNode>;
  readonly elected: ReadonlyMap<Epoch, NodeId>;
  readonly submissions: ReadonlyMap<Epoch, TwinSubmission>;
  readonly results: ReadonlyMap<Epoch, EpochResult>;
}

export interface TwinSubmission extends Submission {
  /** f of the proposer (chain.md 5.3). */
  readonly proposerFactor: bigint;
}

/** Who delegates to a subnet. */
export interface TwinPool {
  readonly balance: bigint;
  readonly shares: bigint;
  readonly held: ReadonlyMap<Address, bigint>;
}

/** Money that is neither free nor the stake of a living node. */
export interface Ledger {
  /** Stake whose node is gone, by `looseKey`: it stays under the hotkey until it is withdrawn. */
  readonly loose: ReadonlyMap<string, bigint>;
  readonly pools: ReadonlyMap<SubnetId, TwinPool>;
  /** Account -> first block that pays -> planck. */
  readonly unbonding: ReadonlyMap<Address, ReadonlyMap<number, bigint>>;
}

export interface TwinState {
  readonly params: TwinParams;
  readonly block: BlockNumber;
  readonly genesis: Uint8Array;
  readonly entropy: Uint8Array;
  readonly accounts: ReadonlyMap<Address, AccountState>;
  readonly subnets: ReadonlyMap<SubnetId, TwinSubnet>;
  /** Hotkey -> its coldkey. */
  readonly owners: ReadonlyMap<Address, Address>;
  readonly lastSubnet: number;
  readonly registrationCost: { readonly last: bigint; readonly block: number };
  /** Emission of an epoch for all subnets, and each subnet's part of ONE (chain.md 5.1). */
  readonly emission: { readonly total: bigint; readonly weights: ReadonlyMap<SubnetId, bigint> };
  /** Absent while nothing is in it. */
  readonly ledger?: Ledger;
}

/** A state and what happened on the way to it. */
export interface Transition {
  readonly state: TwinState;
  readonly events: readonly ChainEvent[];
}

/** A call with its arguments, to be run for an origin in a block. */
export type Call = (state: TwinState, origin: Address) => Transition;

/** A dispatch error by its name in the pallet. */
export class Refusal extends Error {
  readonly pallet: string;

  constructor(error: string, pallet = 'Network') {
    super(error);
    this.pallet = pallet;
  }
}

export function ensure(condition: boolean, error: string): asserts condition {
  if (!condition) throw new Refusal(error);
}

export function withEntry<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): ReadonlyMap<K, V> {
  return new Map(map).set(key, value);
}

export function withoutEntry<K, V>(map: ReadonlyMap<K, V>, key: K): ReadonlyMap<K, V> {
  const next = new Map(map);
  next.delete(key);
  return next;
}

export function withSubnet(state: TwinState, subnet: TwinSubnet): TwinState {
  return { ...state, subnets: withEntry(state.subnets, subnet.id, subnet) };
}

export function withNode(subnet: TwinSubnet, node: TwinNode): TwinSubnet {
  return { ...subnet, nodes: withEntry(subnet.nodes, node.id, node) };
}

export function accountOf(state: TwinState, address: Address): AccountState {
  return state.accounts.get(address) ?? { free: 0n, nonce: 0 };
}

/** Adds to (or takes from) a free balance; the caller has checked that it is there. */
export function withBalance(state: TwinState, address: Address, change: bigint): TwinState {
  const account = accountOf(state, address);
  return { ...state, accounts: withEntry(state.accounts, address, { ...account, free: account.free + change }) };
}

const EMPTY_LEDGER: Ledger = { loose: new Map(), pools: new Map(), unbonding: new Map() };

export function ledgerOf({ ledger = EMPTY_LEDGER }: TwinState): Ledger {
  return ledger;
}

export function withLedger(state: TwinState, change: Partial<Ledger>): TwinState {
  return { ...state, ledger: { ...ledgerOf(state), ...change } };
}

export function looseKey(subnet: SubnetId, hotkey: Address): string {
  return `${subnet}/${hotkey}`;
}

/** Sets what lies under a hotkey without a node; with nothing left the hotkey belongs to nobody again. */
export function withLoose(state: TwinState, subnet: SubnetId, hotkey: Address, stake: bigint): TwinState {
  const { loose } = ledgerOf(state);
  const key = looseKey(subnet, hotkey);
  if (stake > 0n) return withLedger(state, { loose: withEntry(loose, key, stake) });
  return withLedger({ ...state, owners: withoutEntry(state.owners, hotkey) }, { loose: withoutEntry(loose, key) });
}

/** What an account can spend and stay alive. */
export function spendable(state: TwinState, address: Address): bigint {
  return accountOf(state, address).free - DEPOSIT;
}

export function event(name: string, data: Readonly<Record<string, unknown>>, pallet = 'Network'): ChainEvent {
  return { pallet, name, data };
}

/** floor(a * b / c) (chain.md 5). */
export function mulDiv(a: bigint, b: bigint, c: bigint): bigint {
  return c === 0n ? 0n : (a * b) / c;
}

export function mul(a: bigint, part: bigint): bigint {
  return mulDiv(a, part, ONE);
}

export function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

export function percent(n: number): bigint {
  return BigInt(Math.round(n * 1000)) * (ONE / 100_000n);
}

/** General epoch (chain.md 4.1). */
export function generalEpoch({ block, params }: TwinState): number {
  return Math.floor(block / params.epochLength);
}

/** Subnet epoch (chain.md 4.1). */
export function epochIn({ block, params }: TwinState, { slot }: TwinSubnet): Epoch {
  return epochAt(block, slot, params.epochLength);
}

export function isLive(state: TwinState, subnet: TwinSubnet): boolean {
  return subnet.state === 'Active' && subnet.startEpoch <= generalEpoch(state);
}

/** Nodes of class Validator: they can be elected and may vote. Ascending, as ids are given out in order. */
export function electableOf(subnet: TwinSubnet): readonly TwinNode[] {
  return [...subnet.nodes.values()].filter((node) => node.nodeClass === 'Validator').sort((a, b) => a.id - b.id);
}
