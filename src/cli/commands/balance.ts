// `tessera balance`: all the money of an account: free, staked, delegated, cooling down.

import type { AccountState, Holdings } from '../../chain/types.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { formatTensor, table } from '../io.ts';
import { addressOption, withChain } from '../session.ts';

export const balance = defineCommand({
  name: 'balance',
  describe: 'show what an account has: free, staked, delegated, cooling down',
  examples: ['tessera balance 0xf24FF3a9CF04c71Dbc94D0b566f7A27B94566cac', 'tessera balance --coldkey //dev:0 --json'],
  options: ['rpc', 'coldkey', 'hotkey'],
  positional: 'account',
  async run({ options, text, io, log, signal }) {
    const named = text !== '' ? text : (options.coldkey ?? options.hotkey);
    if (named === undefined) throw new UsageError('whose balance? tessera balance 0x..., or --coldkey or --hotkey');
    const account = await addressOption('coldkey', named);
    await withChain({ options, log, signal }, async (chain) => {
      const { number: block } = await chain.head('best', signal);
      const [state, holdings] = await Promise.all([chain.account(account, signal), chain.holdings(account, signal)]);
      const sums = sumHoldings(state, holdings, block);
      io.result({ event: 'balance', account, block, ...sums, ...holdings }, describeBalance(account, sums, holdings));
      if (sums.claimable > 0n) io.note(`Next: tessera stake claim pays ${formatTensor(sums.claimable)} TENSOR now`);
    });
  },
});

interface Sums {
  readonly free: bigint;
  readonly staked: bigint;
  readonly delegated: bigint;
  readonly cooling: bigint;
  /** The part of `cooling` that can be claimed now. */
  readonly claimable: bigint;
}

export function sumHoldings({ free }: AccountState, holdings: Holdings, block: number): Sums {
  const ripe = holdings.unbondings.filter(({ claimBlock }) => claimBlock <= block);
  return {
    free,
    staked: sum(holdings.stakes.map(({ amount }) => amount)),
    delegated: sum(holdings.delegations.map(({ balance: worth }) => worth)),
    cooling: sum(holdings.unbondings.map(({ amount }) => amount)),
    claimable: sum(ripe.map(({ amount }) => amount)),
  };
}

function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, amount) => total + amount, 0n);
}

function describeBalance(account: string, sums: Sums, holdings: Holdings): string {
  const rows = [
    ['free', formatTensor(sums.free), ''],
    ...holdings.stakes.map(({ subnet, hotkey, amount }) => [
      'staked',
      formatTensor(amount),
      `subnet ${subnet}, hotkey ${hotkey}`,
    ]),
    ...holdings.delegations.map(({ subnet, shares, balance: worth }) => [
      'delegated',
      formatTensor(worth),
      `subnet ${subnet}, ${shares} shares`,
    ]),
    ...holdings.unbondings.map(({ claimBlock, amount }) => [
      'cooling',
      formatTensor(amount),
      `to be claimed from block ${claimBlock}`,
    ]),
  ];
  return `${account}\n${table(rows.map(([what = '', amount = '', where = '']) => [what, `${amount} TENSOR`, where]))}`;
}
