// `tessera register-subnet-node`: registers a node and puts down its stake; says when it may activate.

import { readIdentityPeer } from '../../p2p/identity.ts';
import type { SubnetId } from '../../types/ids.ts';
import { ONE } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { formatTensor } from '../io.ts';
import { addressOption, identityFile, requireSubnet, signerOption, withChain, withPeer } from '../session.ts';

/** The registration burn is 1e13 to 5e13 planck (chain.md 3.4); this is far above it and far below any stake. */
const MAX_BURN = ONE / 100n;

export const registerSubnetNode = defineCommand({
  name: 'register-subnet-node',
  describe: 'register a node and put down its stake',
  examples: [
    'tessera register-subnet-node --coldkey //dev:0 --hotkey //dev:6 --stake 100 --announce-maddrs /ip4/127.0.0.1/tcp/31330',
  ],
  options: ['rpc', 'subnet-id', 'coldkey', 'hotkey', 'identity-path', 'stake', 'announce-maddrs'],
  async run({ options, ask, dataDir, io, log, signal }) {
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
      const node = await chain.node(id, receipt.node, receipt.block.hash, signal);
      const startEpoch = node?.startEpoch ?? 0;
      const graceEnd = startEpoch + subnet.activationGraceEpochs;
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
          block: receipt.block.number,
        },
        `node ${receipt.node} registered in subnet ${id} with ${formatTensor(options.stake)} TENSOR of stake`,
      );
      io.note(
        subnet.state === 'Active'
          ? `Next: activate it from subnet epoch ${startEpoch} to ${graceEnd}: tessera activate --wait --subnet-id ${id} --hotkey ${options.hotkey}`
          : `Next: activate it, now or any time before the subnet starts: tessera activate --subnet-id ${id} --hotkey ${options.hotkey}`,
      );
    });
  },
});
