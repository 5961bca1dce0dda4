// `tessera clean-expired`: takes out nodes that did not activate in time. Anybody may, and it is free; their stake begins to cool down.

import type { SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { formatTensor } from '../io.ts';
import { signerOption, withChain } from '../session.ts';

/** As many as one call takes (chain.md 3.4). */
const MOST = 16;

export const cleanExpired = defineCommand({
  name: 'clean-expired',
  describe: 'take out nodes that did not activate in time, so that their owners get the stake back',
  examples: [
    'tessera clean-expired --coldkey ~/cold.json',
    'tessera clean-expired --hotkey //dev:6 --subnet-id 128001',
  ],
  options: ['rpc', 'subnet-id', 'coldkey', 'hotkey'],
  async run({ options, ask, io, log, signal }) {
    const key =
      options.coldkey === undefined
        ? await signerOption('hotkey', options.hotkey, ask)
        : await signerOption('coldkey', options.coldkey, ask);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = options['subnet-id'] as SubnetId;
      const before = await chain.nodes(subnet, undefined, signal);
      const { removed, block } = await chain.cleanExpired(key, subnet, { signal, dryRun: true });
      const nodes = before.filter(({ id }) => removed.includes(id));
      for (const { id, hotkey, coldkey, stake } of nodes)
        io.result(
          { event: 'node-expired', subnet, node: id, hotkey, coldkey, stake, block: block.number },
          `node ${id} is taken out of subnet ${subnet}; its ${formatTensor(stake)} TENSOR cool down for ${coldkey}`,
        );
      if (removed.length === MOST) io.note('There may be more: type it again.');
      const owners = [...new Set(nodes.map(({ coldkey }) => coldkey))].join(' ');
      io.note(
        `Next, for its owner (${owners}): tessera balance <account> says from which block on tessera stake claim pays; a new tessera register-subnet-node may come at once`,
      );
    });
  },
});
