// `tessera stake add|remove|claim`: the owner's money in a node. What is removed cools down first and is then claimed.

import type { Chain, Holdings, Signer, Subnet } from '../../chain/types.ts';
import type { Address, SubnetId } from '../../types/ids.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { formatTensor } from '../io.ts';
import { addressOption, nodeOption, requireSubnet, signerOption, withChain } from '../session.ts';

const OPTIONS = ['rpc', 'subnet-id', 'subnet-node-id', 'coldkey', 'hotkey', 'amount'] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

export const stake = defineCommand({
  name: 'stake',
  describe: 'add to, remove from or claim the stake of a node',
  examples: [
    'tessera stake add --amount 50 --coldkey ~/cold.json --subnet-node-id 3',
    'tessera stake remove --coldkey ~/cold.json --subnet-node-id 3     # all above the minimum',
    'tessera stake claim --coldkey ~/cold.json',
  ],
  options: OPTIONS,
  actions: {
    add: 'put down more',
    remove: 'take back what is above the minimum (all, once the node is removed); it cools down first',
    claim: 'pay out what has cooled down, of stake and delegations',
  },
  async run(context) {
    const { options, ask } = context;
    const coldkey = await signerOption('coldkey', options.coldkey, ask);
    await withChain(context, (chain) => {
      if (context.action === 'add') return add(context, chain, coldkey);
      return context.action === 'remove' ? remove(context, chain, coldkey) : claim(context, chain, coldkey);
    });
  },
});

async function add({ options, io, signal }: Context, chain: Chain, coldkey: Signer): Promise<void> {
  const { amount } = options;
  if (amount === undefined) throw new UsageError('--amount is needed: how many TENSOR to add');
  const subnet = options['subnet-id'] as SubnetId;
  const { id: node, hotkey } = await nodeOption(chain, subnet, options, signal);
  const { block } = await chain.addStake(coldkey, { subnet, node, hotkey, amount }, { signal, dryRun: true });
  const now = (await chain.node(subnet, node, block.hash, signal))?.stake ?? amount;
  io.result(
    { event: 'stake-added', subnet, node, amount, stake: now, block: block.number },
    `${formatTensor(amount)} TENSOR added: node ${node} has ${formatTensor(now)} TENSOR of stake`,
  );
  io.note('Next: tessera status shows the node; tessera balance what the account has left');
}

async function remove({ options, io, signal }: Context, chain: Chain, coldkey: Signer): Promise<void> {
  const subnet = options['subnet-id'] as SubnetId;
  const hotkey = await hotkeyOf(chain, subnet, options, signal);
  const amount = options.amount ?? (await removable(chain, subnet, hotkey, coldkey.address, signal));
  const before = await chain.holdings(coldkey.address, signal);
  const receipt = await chain.removeStake(coldkey, { subnet, hotkey, amount }, { signal, dryRun: true });
  const claimBlock = claimBlockOf(before, await chain.holdings(coldkey.address, signal));
  io.result(
    { event: 'stake-removed', subnet, hotkey, amount, claimBlock, block: receipt.block.number },
    `${formatTensor(amount)} TENSOR removed from hotkey ${hotkey}; it cools down until block ${claimBlock}`,
  );
  io.note(`Next, from block ${claimBlock} on: tessera stake claim --coldkey ${options.coldkey}`);
}

/** Of a node that is gone only the hotkey is left, so a hotkey is believed as it is. */
async function hotkeyOf(
  chain: Chain,
  subnet: SubnetId,
  options: { readonly 'subnet-node-id': number | undefined; readonly hotkey: string | undefined },
  signal: AbortSignal,
): Promise<Address> {
  if (options.hotkey !== undefined) return addressOption('hotkey', options.hotkey);
  return (await nodeOption(chain, subnet, options, signal)).hotkey;
}

async function removable(
  chain: Chain,
  subnet: SubnetId,
  hotkey: Address,
  coldkey: Address,
  signal: AbortSignal,
): Promise<bigint> {
  const { stakes } = await chain.holdings(coldkey, signal);
  const held = stakes.find((one) => one.subnet === subnet && one.hotkey === hotkey)?.amount ?? 0n;
  const node = await chain.nodeByHotkey(subnet, hotkey, undefined, signal);
  const bound: Subnet | undefined = node === undefined ? undefined : await requireSubnet(chain, subnet, signal);
  const amount = held - (bound?.minStake ?? 0n);
  if (amount > 0n) return amount;
  const why =
    held === 0n
      ? `account ${coldkey} has no stake under hotkey ${hotkey}`
      : `a node keeps ${formatTensor(bound?.minStake ?? 0n)} TENSOR; to take everything, first: tessera remove-node`;
  throw new UsageError(`nothing can be removed: ${why}`);
}

async function claim({ options, io, signal }: Context, chain: Chain, coldkey: Signer): Promise<void> {
  const before = await chain.holdings(coldkey.address, signal);
  const receipt = await chain.claimUnbondings(coldkey, { signal, dryRun: true });
  const ripe = before.unbondings.filter(({ claimBlock }) => claimBlock <= receipt.block.number);
  const claimed = ripe.reduce((sum, { amount }) => sum + amount, 0n);
  const { unbondings } = await chain.holdings(coldkey.address, signal);
  io.result(
    { event: 'claimed', account: coldkey.address, amount: claimed, waiting: unbondings, block: receipt.block.number },
    `${formatTensor(claimed)} TENSOR paid to ${coldkey.address}`,
  );
  const [next] = unbondings;
  io.note(
    next === undefined
      ? 'Nothing else is waiting.'
      : `Next, from block ${next.claimBlock} on: tessera stake claim --coldkey ${options.coldkey} (${formatTensor(next.amount)} TENSOR)`,
  );
}

/** First block that pays what began to cool down between the two; 0 where nothing did. */
export function claimBlockOf(before: Holdings, after: Holdings): number {
  const had = new Map(before.unbondings.map(({ claimBlock, amount }) => [claimBlock, amount]));
  const grown = after.unbondings.filter(({ claimBlock, amount }) => amount > (had.get(claimBlock) ?? 0n));
  return grown.at(-1)?.claimBlock ?? 0;
}
