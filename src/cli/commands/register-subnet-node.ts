// `tessera register-subnet-node`: registers a node and puts down its stake; says when it may activate.

import type { Subnet, SubnetNode } from '../../chain/types.ts';
import { readIdentityPeer } from '../../p2p/identity.ts';
import { ONE, type SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { fundHotkey, tellFunding } from '../fund.ts';
import { formatTensor } from '../io.ts';
import { nextCommand } from '../next.ts';
import { addressOption, identityFile, requireSubnet, signerOption, withChain, withPeer } from '../session.ts';

/** The registration burn is 1e13 to 5e13 planck (chain.md 3.4); this is far above it and far below any stake. */
const MAX_BURN = ONE / 100n;

export const registerSubnetNode = defineCommand({
  name: 'register-subnet-node',
  describe: 'register a node and put down its stake',
  examples: [
    'tessera register-subnet-node --coldkey //dev:0 --hotkey //dev:6 --stake 100 --announce-maddrs /ip4/127.0.0.1/tcp/31330',
  ],
  options: ['rpc', 'subnet-id', 'coldkey', 'hotkey', 'identity-path', 'stake', 'fund-hotkey', 'announce-maddrs'],
  async run(context) {
    const { options, ask, dataDir, io, log, signal } = context;
    const coldkey = await signerOption('coldkey', options.coldkey, ask);
    if (options.hotkey === undefined)
      throw new UsageError('--hotkey is needed: its key file, its 0x address, or //dev:N');
    const hotkey = await addressOption('hotkey', options.hotkey);
    const { peer } = readIdentityPeer(identityFile(options['identity-path'], dataDir));
    const address = options['announce-maddrs'][0];
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const receipt = await chain.registerNode(
        coldkey,
        {
          subnet: id,
          hotkey,
          peerInfo: address === undefined ? { peer } : { peer, multiaddr: withPeer(address, peer) },
          delegateRewardRate: 0n,
          stake: options.stake,
          maxBurn: MAX_BURN,
        },
        { signal, dryRun: true },
      );
      const funded = await fundHotkey(chain, coldkey, hotkey, options['fund-hotkey'], signal);
      const node = await chain.node(id, receipt.node, receipt.block.hash, signal);
      const startEpoch = node?.startEpoch ?? 0;
      const { activationGraceEpochs: grace } = subnet;
      const graceEnd = grace === undefined ? undefined : startEpoch + grace;
      io.result(
        {
          event: 'node-registered',
          subnet: id,
          node: receipt.node,
          peer,
          hotkey,
          stake: options.stake,
          startEpoch,
          graceEnd,
          funded,
          block: receipt.block.number,
        },
        `node ${receipt.node} registered in subnet ${id} with ${formatTensor(options.stake)} TENSOR of stake`,
      );
      await tellFunding(chain, hotkey, funded, { io, signal });
      const hot = { hotkey: options.hotkey };
      const commands = {
        activate: nextCommand('activate', hot, context),
        run: nextCommand('run', { ...hot, 'host-maddrs': address }, context),
        activateSubnet: nextCommand('activate-subnet', { coldkey: options.coldkey, ...hot }, context),
      };
      const isOwner = subnet.owner === coldkey.address;
      io.note(`Next${nextStep(subnet, { node, startEpoch, graceEnd, isOwner }, commands)}`);
    });
  },
});

function nextStep(
  { state }: Subnet,
  of: {
    readonly node: SubnetNode | undefined;
    readonly startEpoch: number;
    readonly graceEnd: number | undefined;
    readonly isOwner: boolean;
  },
  commands: { readonly activate: string; readonly run: string; readonly activateSubnet: string },
): string {
  const { node, startEpoch, graceEnd, isOwner } = of;
  if (node !== undefined && node.nodeClass !== 'Registered')
    return `, since on this chain the first nodes of a subnet are active at once: ${commands.run}`;
  if (graceEnd === undefined)
    return `, to wait until this chain activates it, not before subnet epoch ${startEpoch}: ${commands.activate} --wait`;
  if (state === 'Active')
    return `, to activate it from subnet epoch ${startEpoch} to ${graceEnd}: ${commands.activate} --wait`;
  return isOwner
    ? `, to activate it and with it your subnet (more nodes of the beginning register and activate before): ${commands.activateSubnet}`
    : `, now or any time before the subnet starts: ${commands.activate}`;
}
