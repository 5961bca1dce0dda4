// `tessera activate-subnet`: the owner lets a registered subnet begin with the next epoch.

import type { SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { requireSubnet, signerOption, withChain } from '../session.ts';

export const activateSubnet = defineCommand({
  name: 'activate-subnet',
  describe: 'activate a registered subnet',
  examples: ['tessera activate-subnet --coldkey //dev:0 --subnet-id 128001'],
  options: ['rpc', 'coldkey', 'subnet-id'],
  async run({ options, ask, io, log, signal }) {
    const owner = await signerOption('coldkey', options.coldkey, ask);
    await withChain({ options, log, signal }, async (chain) => {
      await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const { block } = await chain.activateSubnet(owner, id, { signal, dryRun: true });
      const subnet = await requireSubnet(chain, id, signal);
      io.result(
        { event: 'subnet-activated', subnet: id, startEpoch: subnet.startEpoch, block: block.number },
        `subnet ${id} activated in block ${block.number}; it is live from general epoch ${subnet.startEpoch}`,
      );
      io.note('Next: start the nodes with tessera run, then ask: tessera generate "Once upon a time"');
    });
  },
});
