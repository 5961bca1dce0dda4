// `tessera activate-subnet`: the owner lets a registered subnet begin with the next epoch.

import type { Chain, SubnetNode } from '../../chain/types.ts';
import type { SubnetId } from '../../types/ids.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { nextRun } from '../next.ts';
import { requireNode, requireSubnet, signerOption, withChain } from '../session.ts';

export const activateSubnet = defineCommand({
  name: 'activate-subnet',
  describe: 'activate a registered subnet',
  examples: [
    'tessera activate-subnet --coldkey //dev:0 --subnet-id 128001',
    'tessera activate-subnet --coldkey //dev:0 --hotkey //dev:6   # and the node of that hotkey before it',
  ],
  options: ['rpc', 'coldkey', 'hotkey', 'subnet-id'],
  async run(context) {
    const { options, ask, io, log, signal } = context;
    const owner = await signerOption('coldkey', options.coldkey, ask);
    await withChain({ options, log, signal }, async (chain) => {
      await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const node = options.hotkey === undefined ? undefined : await activateOwn(context, chain, id);
      const { block } = await chain.activateSubnet(owner, id, { signal, dryRun: true });
      const subnet = await requireSubnet(chain, id, signal);
      io.result(
        { event: 'subnet-activated', subnet: id, startEpoch: subnet.startEpoch, block: block.number },
        `subnet ${id} activated in block ${block.number}; it is live from general epoch ${subnet.startEpoch}`,
      );
      io.note(
        node === undefined
          ? 'Next: start the nodes with tessera run, then ask: tessera generate "Once upon a time"'
          : `Next: ${nextRun(node, options.hotkey, context)}`,
      );
    });
  },
});

/** The owner's own node, if it is not active yet: a subnet begins with the nodes that are. */
async function activateOwn(
  { options, ask, io, signal }: CommandContext<'hotkey'>,
  chain: Chain,
  subnet: SubnetId,
): Promise<SubnetNode> {
  const hotkey = await signerOption('hotkey', options.hotkey, ask);
  const node = await requireNode(chain, subnet, { nodeId: undefined, hotkey }, signal);
  const { capabilities } = await chain.info(signal);
  if (node.nodeClass !== 'Registered' || !capabilities.explicitActivation) return node;
  const { block } = await chain.activateNode(hotkey, subnet, node.id, { signal, dryRun: true });
  const active = await chain.node(subnet, node.id, block.hash, signal);
  io.result(
    { event: 'node-activated', subnet, node: node.id, class: active?.nodeClass, block: block.number },
    `node ${node.id} is ${active?.nodeClass}`,
  );
  return node;
}
