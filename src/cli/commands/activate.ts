// `tessera activate`: the hotkey activates its node within the grace period; with --wait it waits for the start epoch first.

import type { Chain, Subnet, SubnetNode } from '../../chain/types.ts';
import { firstBlock } from '../../consensus/phase.ts';
import type { SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import type { Io } from '../io.ts';
import { nextRun } from '../next.ts';
import { createProgress } from '../progress.ts';
import { requireNode, requireSubnet, signerOption, withChain } from '../session.ts';

export const activate = defineCommand({
  name: 'activate',
  aliases: ['activate-subnet-node'],
  describe: 'activate a registered node',
  examples: ['tessera activate --wait --hotkey //dev:6'],
  options: ['rpc', 'subnet-id', 'subnet-node-id', 'hotkey', 'wait'],
  async run(context) {
    const { options, ask, io, log, signal } = context;
    const hotkey = await signerOption('hotkey', options.hotkey, ask);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const node = await requireNode(chain, id, { nodeId: options['subnet-node-id'], hotkey }, signal);
      const { capabilities } = await chain.info(signal);
      if (!capabilities.explicitActivation && node.nodeClass === 'Registered' && !options.wait) {
        tellQueue(subnet, node, io);
        return;
      }
      if (options.wait) await waitForStart(chain, subnet, node, io, signal);
      const { block } = await chain.activateNode(hotkey, id, node.id, { signal, dryRun: true });
      const active = await chain.node(id, node.id, block.hash, signal);
      io.result(
        {
          event: 'node-activated',
          subnet: id,
          node: node.id,
          class: active?.nodeClass,
          startEpoch: active?.startEpoch,
          block: block.number,
        },
        `node ${node.id} is ${active?.nodeClass} from subnet epoch ${active?.startEpoch}`,
      );
      io.note(`Next: ${nextRun(node, options.hotkey, context)}`);
    });
  },
});

/** Nothing is to be done on a chain where nodes activate by themselves. */
function tellQueue(subnet: Subnet, { id, startEpoch }: SubnetNode, io: Io): void {
  io.result(
    { event: 'node-queued', subnet: subnet.id, node: id, class: 'Registered', startEpoch },
    `node ${id} waits in the queue of subnet ${subnet.id}: on this chain nodes activate by themselves, this one not before subnet epoch ${startEpoch}`,
  );
  io.note('Next: tessera activate --wait follows the queue; then tessera run');
}

/** Follows the best head until the node's start epoch has begun. */
async function waitForStart(
  chain: Chain,
  subnet: Subnet,
  node: SubnetNode,
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  if (subnet.state !== 'Active') return;
  const { epochLength } = await chain.info(signal);
  const start = firstBlock(node.startEpoch, { slot: subnet.slot, epochLength });
  const first = (await chain.head('best', signal)).number;
  if (first >= start) return;
  io.note(`subnet epoch ${node.startEpoch} begins in block ${start}; now block ${first}`);
  const progress = createProgress({ label: 'waiting', unit: 'blocks', total: start - first });
  try {
    for await (const head of chain.heads('best', signal)) {
      progress.at(head.number - first);
      if (head.number >= start) return;
    }
  } finally {
    progress.end();
  }
  signal.throwIfAborted();
}
