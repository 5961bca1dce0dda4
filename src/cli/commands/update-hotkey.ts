// `tessera update-hotkey`: gives a node another hotkey, for one that was lost, leaked or is old. Id, stake and peers stay what they are.

import type { Chain } from '../../chain/types.ts';
import type { Address, SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { fundHotkey, tellFunding } from '../fund.ts';
import { formatTensor } from '../io.ts';
import { nextCommand } from '../next.ts';
import { addressOption, nodeOption, signerOption, withChain } from '../session.ts';

export const updateHotkey = defineCommand({
  name: 'update-hotkey',
  describe: 'give a node another hotkey',
  examples: [
    'tessera update-hotkey --coldkey ~/cold.json --subnet-node-id 3 --new-hotkey 0x... --fund-hotkey 0.01',
    'tessera update-hotkey --coldkey ~/cold.json --hotkey 0x... --new-hotkey ~/.tessera/keys/hotkey2.json',
  ],
  options: ['rpc', 'subnet-id', 'subnet-node-id', 'coldkey', 'hotkey', 'new-hotkey', 'fund-hotkey'],
  async run(context) {
    const { options, ask, io, log, signal } = context;
    const coldkey = await signerOption('coldkey', options.coldkey, ask);
    const typed = options['new-hotkey'];
    if (typed === undefined) throw new UsageError('--new-hotkey is needed: its key file, its 0x address, or //dev:N');
    const next = await addressOption('new-hotkey', typed);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = options['subnet-id'] as SubnetId;
      const hotkey = await oldHotkey(chain, subnet, options, signal);
      if (hotkey === next) throw new UsageError(`${next} is the hotkey already: name another with --new-hotkey`);
      const { block } = await chain.updateHotkey(coldkey, { hotkey, next }, { signal, dryRun: true });
      const funded = await fundHotkey(chain, coldkey, next, options['fund-hotkey'], signal);
      const node = await chain.nodeByHotkey(subnet, next, block.hash, signal);
      io.result(
        { event: 'hotkey-updated', subnet, node: node?.id, hotkey: next, before: hotkey, funded, block: block.number },
        node === undefined
          ? `what stake hotkey ${hotkey} held is under ${next} now`
          : `node ${node.id} of subnet ${subnet} has hotkey ${next} now, and no longer ${hotkey}`,
      );
      await tellFunding(chain, next, funded, { io, signal });
      const { free } = await chain.account(hotkey, signal);
      if (free > 0n) io.note(`hotkey ${hotkey} keeps the ${formatTensor(free, 6)} TENSOR that it has for fees`);
      if (node !== undefined)
        io.note(
          `Next, at once, for the chain takes no proposal or vote of the old key: stop the node and start it with the new one: ${nextCommand('run', { hotkey: typed }, context)} ...`,
        );
    });
  },
});

/** A hotkey is believed as it is: it may have stake left and no node. */
async function oldHotkey(
  chain: Chain,
  subnet: SubnetId,
  options: { readonly 'subnet-node-id': number | undefined; readonly hotkey: string | undefined },
  signal: AbortSignal,
): Promise<Address> {
  const named = options.hotkey === undefined ? undefined : await addressOption('hotkey', options.hotkey);
  if (options['subnet-node-id'] === undefined && named !== undefined) return named;
  const { id, hotkey } = await nodeOption(chain, subnet, options, signal);
  if (named === undefined || named === hotkey) return hotkey;
  throw new UsageError(`node ${id} has the hotkey ${hotkey}, not ${named}: correct --hotkey or --subnet-node-id`);
}
