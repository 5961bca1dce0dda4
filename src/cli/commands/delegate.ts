// `tessera delegate add|remove|transfer`: shares of the pool that a subnet's delegators hold together.

import type { Chain, Signer } from '../../chain/types.ts';
import type { SubnetId } from '../../types/ids.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { formatTensor } from '../io.ts';
import { addressOption, signerOption, withChain } from '../session.ts';
import { claimBlockOf } from './stake.ts';

const OPTIONS = ['rpc', 'subnet-id', 'coldkey', 'amount', 'to'] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

interface Held {
  readonly shares: bigint;
  readonly balance: bigint;
}

export const delegate = defineCommand({
  name: 'delegate',
  describe: 'delegate stake to a subnet, take it back, or hand it on',
  examples: [
    'tessera delegate add --amount 10 --coldkey ~/cold.json',
    'tessera delegate remove --coldkey ~/cold.json                     # all of it',
    'tessera delegate transfer --amount 5 --to 0x... --coldkey ~/cold.json',
  ],
  options: OPTIONS,
  actions: {
    add: 'buy shares of the pool',
    remove: 'sell shares (all, without --amount); the money cools down first',
    transfer: 'give shares to another account',
  },
  async run(context) {
    const account = await signerOption('coldkey', context.options.coldkey, context.ask);
    await withChain(context, (chain) => {
      if (context.action === 'add') return add(context, chain, account);
      return context.action === 'remove' ? remove(context, chain, account) : transfer(context, chain, account);
    });
  },
});

async function add({ options, io, signal }: Context, chain: Chain, account: Signer): Promise<void> {
  const { amount } = options;
  if (amount === undefined) throw new UsageError('--amount is needed: how many TENSOR to delegate');
  const subnet = options['subnet-id'] as SubnetId;
  const { block } = await chain.delegate(account, subnet, amount, { signal, dryRun: true });
  const held = await heldBy(chain, subnet, account, signal);
  io.result(
    {
      event: 'delegated',
      subnet,
      amount,
      shares: held?.shares ?? 0n,
      balance: held?.balance ?? 0n,
      block: block.number,
    },
    `${formatTensor(amount)} TENSOR delegated to subnet ${subnet}; the account's shares are worth ${formatTensor(held?.balance ?? 0n)} TENSOR`,
  );
  io.note('Next: the shares rise with every accepted epoch; tessera balance shows what they are worth');
}

async function remove({ options, io, signal }: Context, chain: Chain, account: Signer): Promise<void> {
  const subnet = options['subnet-id'] as SubnetId;
  const shares = await sharesToMove(chain, subnet, account, options.amount, signal);
  const before = await chain.holdings(account.address, signal);
  const receipt = await chain.undelegate(account, subnet, shares, { signal, dryRun: true });
  const claimBlock = claimBlockOf(before, await chain.holdings(account.address, signal));
  io.result(
    { event: 'undelegated', subnet, shares, claimBlock, block: receipt.block.number },
    `${shares} shares of subnet ${subnet} sold; the money cools down until block ${claimBlock}`,
  );
  io.note(`Next, from block ${claimBlock} on: tessera stake claim --coldkey ${options.coldkey}`);
}

async function transfer({ options, io, signal }: Context, chain: Chain, account: Signer): Promise<void> {
  if (options.to === undefined) throw new UsageError('--to is needed: the account that receives the shares');
  const to = await addressOption('to', options.to);
  const subnet = options['subnet-id'] as SubnetId;
  const shares = await sharesToMove(chain, subnet, account, options.amount, signal);
  const { block } = await chain.transferDelegation(account, { subnet, to, shares }, { signal, dryRun: true });
  io.result(
    { event: 'delegation-transferred', subnet, to, shares, block: block.number },
    `${shares} shares of subnet ${subnet} now belong to ${to}`,
  );
  io.note('Next: tessera balance shows what is left here');
}

async function heldBy(
  chain: Chain,
  subnet: SubnetId,
  { address }: Signer,
  signal: AbortSignal,
): Promise<Held | undefined> {
  return (await chain.holdings(address, signal)).delegations.find((one) => one.subnet === subnet);
}

async function sharesToMove(
  chain: Chain,
  subnet: SubnetId,
  account: Signer,
  amount: bigint | undefined,
  signal: AbortSignal,
): Promise<bigint> {
  const held = await heldBy(chain, subnet, account, signal);
  if (held === undefined) throw new UsageError(`account ${account.address} delegates nothing to subnet ${subnet}`);
  return sharesFor(held, amount);
}

/** How many shares are worth an amount now, rounded up and never more than there are; all of them without an amount. */
export function sharesFor({ shares, balance }: Held, amount: bigint | undefined): bigint {
  if (amount === undefined || amount >= balance || balance === 0n) return shares;
  return (amount * shares + balance - 1n) / balance;
}
