// Stake, delegation and withdrawal of the chain's twin (chain.md 3.4, 5.5): the pallet's checks in its order, floors as written.

import type { Address, NodeId, SubnetId } from '../../types/ids.ts';
import type { Holdings } from '../types.ts';
import {
  type Call,
  ensure,
  epochIn,
  event,
  type Ledger,
  ledgerOf,
  looseKey,
  mulDiv,
  Refusal,
  spendable,
  type TwinNode,
  type TwinPool,
  type TwinState,
  type TwinSubnet,
  withBalance,
  withEntry,
  withLedger,
  withLoose,
  withNode,
  withoutEntry,
  withSubnet,
} from './state.ts';

/** Virtual shares that every pool begins with, against one virtual planck. */
const VIRTUAL_SHARES = 1000n;
const MIN_DEPOSIT = 1000n;
const MAX_UNBONDINGS = 32;
/** Both cooldowns of preset devnet. */
const COOLDOWN_EPOCHS = 1;

export function addStake(id: SubnetId, nodeId: NodeId, hotkey: Address, amount: bigint): Call {
  return (state, origin) => {
    const subnet = liveSubnet(state, id);
    ensure(state.owners.get(hotkey) === origin, 'NotKeyOwner');
    const node = subnet.nodes.get(nodeId);
    ensure(node?.hotkey === hotkey, 'InvalidSubnetNodeId');
    ensure(amount > 0n, 'InvalidAmount');
    const stake = node.stake + amount;
    ensure(stake >= subnet.minStake, 'MinStakeNotReached');
    ensure(stake <= subnet.maxStake, 'MaxStakeReached');
    ensure(spendable(state, origin) >= amount, 'NotEnoughBalanceToStake');
    return {
      state: withSubnet(withBalance(state, origin, -amount), withNode(subnet, { ...node, stake })),
      events: [event('StakeAdded', { subnetId: id, subnetNodeId: nodeId, hotkey, amount })],
    };
  };
}

export function removeStake(id: SubnetId, hotkey: Address, amount: bigint): Call {
  return (state, origin) => {
    ensure(state.owners.get(hotkey) === origin, 'NotKeyOwner');
    ensure(amount > 0n, 'AmountZero');
    const subnet = state.subnets.get(id);
    const node = subnet === undefined ? undefined : nodeOf(subnet, hotkey);
    const stake = node?.stake ?? ledgerOf(state).loose.get(looseKey(id, hotkey)) ?? 0n;
    ensure(stake >= amount, 'NotEnoughStakeToWithdraw');
    const left = stake - amount;
    if (subnet !== undefined && node !== undefined) checkStakeLeft(state, subnet, node, left);
    const { state: waiting, claimBlock } = unbond(state, origin, amount);
    return {
      state:
        subnet !== undefined && node !== undefined
          ? withSubnet(waiting, withNode(subnet, { ...node, stake: left }))
          : withLoose(waiting, id, hotkey, left),
      events: [event('StakeRemoved', { subnetId: id, hotkey, amount, claimBlock })],
    };
  };
}

/** A node of a living subnet keeps its minimum, and keeps all of it while it is elected. */
function checkStakeLeft(state: TwinState, subnet: TwinSubnet, node: TwinNode, left: bigint): void {
  ensure(subnet.elected.get(epochIn(state, subnet)) !== node.id, 'ElectedValidatorCannotUnstake');
  ensure(left >= subnet.minStake, 'MinStakeNotReached');
}

export function claimUnbondings(): Call {
  return (state, origin) => {
    const waiting = ledgerOf(state).unbonding.get(origin) ?? new Map<number, bigint>();
    const ripe = [...waiting].filter(([block]) => block <= state.block);
    ensure(ripe.length > 0, 'NoStakeUnbondingsOrCooldownNotMet');
    const amount = ripe.reduce((sum, [, part]) => sum + part, 0n);
    const left = new Map([...waiting].filter(([block]) => block > state.block));
    return {
      state: withBalance(withUnbonding(state, origin, left), origin, amount),
      events: [event('UnbondingClaimed', { account: origin, amount })],
    };
  };
}

export function delegate(id: SubnetId, amount: bigint): Call {
  return (state, origin) => {
    liveSubnet(state, id);
    ensure(amount >= MIN_DEPOSIT, 'MinDelegateStakeDepositNotReached');
    ensure(spendable(state, origin) >= amount, 'NotEnoughBalanceToStake');
    const pool = poolOf(ledgerOf(state), id);
    const shares = mulDiv(amount, pool.shares + VIRTUAL_SHARES, pool.balance + 1n);
    ensure(shares > 0n, 'CouldNotConvertToShares');
    const grown = withShares(
      { ...pool, shares: pool.shares + shares, balance: pool.balance + amount },
      origin,
      sharesOf(pool, origin) + shares,
    );
    return {
      state: withPool(withBalance(state, origin, -amount), id, grown),
      events: [event('DelegateStakeAdded', { subnetId: id, accountId: origin, amount, shares })],
    };
  };
}

export function undelegate(id: SubnetId, shares: bigint): Call {
  return (state, origin) => {
    const pool = poolOf(ledgerOf(state), id);
    const taken = takeShares(pool, origin, shares);
    const amount = worth(pool, shares);
    ensure(amount > 0n, 'InvalidAmount');
    const shrunk = { ...taken, shares: pool.shares - shares, balance: pool.balance - amount };
    const { state: waiting, claimBlock } = unbond(withPool(state, id, shrunk), origin, amount);
    return {
      state: waiting,
      events: [event('DelegateStakeRemoved', { subnetId: id, accountId: origin, amount, shares, claimBlock })],
    };
  };
}

export function transferDelegation(id: SubnetId, to: Address, shares: bigint): Call {
  return (state, origin) => {
    const taken = takeShares(poolOf(ledgerOf(state), id), origin, shares);
    return {
      state: withPool(state, id, withShares(taken, to, sharesOf(taken, to) + shares)),
      events: [event('DelegateStakeTransferred', { subnetId: id, from: origin, to, shares })],
    };
  };
}

/** What an account owns besides its free balance. */
export function holdingsOf(state: TwinState, account: Address): Holdings {
  const { loose, pools, unbonding } = ledgerOf(state);
  const hotkeys = [...state.owners].filter(([, owner]) => owner === account).map(([hotkey]) => hotkey);
  const subnets = [...new Set([...state.subnets.keys(), ...[...loose.keys()].map(subnetOfLoose)])].sort();
  const stakes = hotkeys.flatMap((hotkey) =>
    subnets.flatMap((subnet) => {
      const live = state.subnets.get(subnet);
      const node = live === undefined ? undefined : nodeOf(live, hotkey);
      const amount = node?.stake ?? loose.get(looseKey(subnet, hotkey)) ?? 0n;
      return amount === 0n ? [] : [{ subnet, hotkey, amount }];
    }),
  );
  return {
    stakes,
    delegations: [...pools].flatMap(([subnet, pool]) => {
      const shares = sharesOf(pool, account);
      return shares === 0n ? [] : [{ subnet, shares, balance: worth(pool, shares) }];
    }),
    unbondings: [...(unbonding.get(account) ?? [])]
      .map(([claimBlock, amount]) => ({
        claimBlock: claimBlock as Holdings['unbondings'][number]['claimBlock'],
        amount,
      }))
      .sort((a, b) => a.claimBlock - b.claimBlock),
  };
}

function subnetOfLoose(key: string): SubnetId {
  return Number(key.split('/')[0]) as SubnetId;
}

function liveSubnet(state: TwinState, id: SubnetId): TwinSubnet {
  const subnet = state.subnets.get(id);
  ensure(subnet !== undefined, 'InvalidSubnetId');
  return subnet;
}

function nodeOf(subnet: TwinSubnet, hotkey: Address): TwinNode | undefined {
  return [...subnet.nodes.values()].find((node) => node.hotkey === hotkey);
}

/** Enters an amount into the ledger of what waits to be claimed. */
export function unbond(state: TwinState, account: Address, amount: bigint): { state: TwinState; claimBlock: number } {
  const claimBlock = state.block + COOLDOWN_EPOCHS * state.params.epochLength;
  const waiting = ledgerOf(state).unbonding.get(account) ?? new Map<number, bigint>();
  if (!waiting.has(claimBlock) && waiting.size >= MAX_UNBONDINGS) throw new Refusal('MaxUnlockingsReached');
  const sum = (waiting.get(claimBlock) ?? 0n) + amount;
  return { state: withUnbonding(state, account, withEntry(waiting, claimBlock, sum)), claimBlock };
}

function withUnbonding(state: TwinState, account: Address, waiting: ReadonlyMap<number, bigint>): TwinState {
  const { unbonding } = ledgerOf(state);
  return withLedger(state, {
    unbonding: waiting.size === 0 ? withoutEntry(unbonding, account) : withEntry(unbonding, account, waiting),
  });
}

function poolOf({ pools }: Ledger, id: SubnetId): TwinPool {
  return pools.get(id) ?? { balance: 0n, shares: 0n, held: new Map() };
}

function withPool(state: TwinState, id: SubnetId, pool: TwinPool): TwinState {
  return withLedger(state, { pools: withEntry(ledgerOf(state).pools, id, pool) });
}

function sharesOf({ held }: TwinPool, account: Address): bigint {
  return held.get(account) ?? 0n;
}

function withShares(pool: TwinPool, account: Address, shares: bigint): TwinPool {
  return { ...pool, held: shares === 0n ? withoutEntry(pool.held, account) : withEntry(pool.held, account, shares) };
}

function takeShares(pool: TwinPool, account: Address, shares: bigint): TwinPool {
  ensure(shares > 0n, 'AmountZero');
  const held = sharesOf(pool, account);
  ensure(held >= shares, 'NotEnoughStakeToWithdraw');
  return withShares(pool, account, held - shares);
}

function worth({ shares: all, balance }: TwinPool, shares: bigint): bigint {
  return mulDiv(shares, balance + 1n, all + VIRTUAL_SHARES);
}
