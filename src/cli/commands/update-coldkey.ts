// `tessera update-coldkey`: hands a hotkey with its node and stake to another coldkey. That one signs nothing, so a wrong address would be the
// end of the stake: one that the chain has never seen is refused.

import type { Chain, Holdings } from '../../chain/types.ts';
import type { Address, SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { formatTensor, type Io } from '../io.ts';
import { addressOption, nodeOption, requireSubnet, signerOption, withChain } from '../session.ts';

export const updateColdkey = defineCommand({
  name: 'update-coldkey',
  describe: 'hand a node with its stake to another coldkey',
  examples: ['tessera update-coldkey --coldkey ~/cold.json --subnet-node-id 3 --new-coldkey 0x...'],
  options: ['rpc', 'subnet-id', 'subnet-node-id', 'coldkey', 'hotkey', 'new-coldkey'],
  async run({ options, ask, io, log, signal }) {
    const coldkey = await signerOption('coldkey', options.coldkey, ask);
    const typed = options['new-coldkey'];
    if (typed === undefined) throw new UsageError('--new-coldkey is needed: its 0x address, its key file, or //dev:N');
    const next = await addressOption('new-coldkey', typed);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const node = await nodeOption(chain, options['subnet-id'] as SubnetId, options, signal);
      const { hotkey, stake } = node;
      if (next === node.coldkey)
        throw new UsageError(`${next} is the coldkey already: name another with --new-coldkey`);
      const before = await chain.holdings(coldkey.address, signal);
      await checkHeir(chain, next, { hotkey, before }, signal);
      const { block } = await chain.updateColdkey(coldkey, { hotkey, next }, { signal, dryRun: true });
      io.result(
        {
          event: 'coldkey-updated',
          subnet: subnet.id,
          node: node.id,
          hotkey,
          stake,
          coldkey: next,
          before: coldkey.address,
          block: block.number,
        },
        `node ${node.id} of subnet ${subnet.id} with its ${formatTensor(stake)} TENSOR belongs to ${next} now; it runs on as it is`,
      );
      tellRest(coldkey.address, await chain.holdings(coldkey.address, signal), io);
      if (subnet.owner === coldkey.address)
        io.note(`${coldkey.address} still owns subnet ${subnet.id}: no call hands that over`);
      io.note(`Next: tessera balance ${next} shows what it has; from now on only that key can move the stake`);
    });
  },
});

/** Who is to own it must be somebody, and on a chain where coldkeys change places, somebody without anything. */
async function checkHeir(
  chain: Chain,
  next: Address,
  { hotkey, before }: { readonly hotkey: Address; readonly before: Holdings },
  signal: AbortSignal,
): Promise<void> {
  const { free, nonce } = await chain.account(next, signal);
  if (free === 0n && nonce === 0)
    throw new UsageError(
      `the chain has never seen account ${next}, and a stake that is handed to a wrong address is lost: check it, and send it 0.01 TENSOR first, which it needs for fees`,
    );
  if ((await chain.info(signal)).capabilities.coldkeyPerHotkey) return;
  const more = before.stakes.find((one) => one.hotkey !== hotkey);
  if (more !== undefined)
    throw new UsageError(
      `on this chain two coldkeys change places as a whole, and this one has another hotkey (${more.hotkey}) whose stake could not be reached afterwards: take its node and stake out first`,
    );
  const theirs = await chain.holdings(next, signal);
  if (theirs.stakes.length > 0 || theirs.unbondings.length > 0)
    throw new UsageError(
      `on this chain two coldkeys change places as a whole, and ${next} has stake or withdrawals of its own: name an account that has neither`,
    );
}

/** What stays behind. */
function tellRest(account: Address, { unbondings, delegations }: Holdings, io: Io): void {
  const cooling = unbondings.reduce((sum, { amount }) => sum + amount, 0n);
  if (cooling > 0n) io.note(`${formatTensor(cooling)} TENSOR that cool down stay ${account}'s: tessera stake claim`);
  if (delegations.length > 0)
    io.note(`what ${account} delegates stays its own; tessera delegate transfer --to hands it on`);
}
