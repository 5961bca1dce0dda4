// `tessera remove-node`: takes a node out of its subnet. Its stake stays under the hotkey until it is removed and claimed.

import type { SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { formatTensor } from '../io.ts';
import { nodeOption, signerOption, withChain } from '../session.ts';

export const removeNode = defineCommand({
  name: 'remove-node',
  describe: 'take a node out of its subnet',
  examples: [
    'tessera remove-node --coldkey ~/cold.json --subnet-node-id 3',
    'tessera remove-node --hotkey ~/.tessera/keys/hotkey.json',
  ],
  options: ['rpc', 'subnet-id', 'subnet-node-id', 'hotkey', 'coldkey'],
  async run({ options, ask, io, log, signal }) {
    const key =
      options.coldkey === undefined
        ? await signerOption('hotkey', options.hotkey, ask)
        : await signerOption('coldkey', options.coldkey, ask);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = options['subnet-id'] as SubnetId;
      const { id: node, hotkey, stake } = await nodeOption(chain, subnet, options, signal);
      const { block } = await chain.removeNode(key, subnet, node, { signal, dryRun: true });
      io.result(
        { event: 'node-removed', subnet, node, hotkey, stake, block: block.number },
        `node ${node} has left subnet ${subnet}; ${formatTensor(stake)} TENSOR stay under its hotkey ${hotkey}`,
      );
      io.note(`Next: stop the node, then: tessera stake remove --coldkey <owner> --hotkey ${hotkey}`);
    });
  },
});
