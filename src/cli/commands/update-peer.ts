// `tessera update-peer`: tells the chain the new address or peer id of a node, its boot node or its client. Hotkey or coldkey may.

import { readIdentityPeer } from '../../p2p/identity.ts';
import type { SubnetId } from '../../types/ids.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { identityFile, nodeOption, signerOption, withChain, withPeer } from '../session.ts';

const FILES = { node: 'peer_id', bootnode: 'bootstrap_peer_id', client: 'client_peer_id' } as const;

export const updatePeer = defineCommand({
  name: 'update-peer',
  describe: 'change the address or peer id under which a node, its boot node or its client is known',
  examples: [
    'tessera update-peer --hotkey ~/.tessera/keys/hotkey.json --announce-maddrs /ip4/203.0.113.7/tcp/31330',
    'tessera update-peer --hotkey ~/.tessera/keys/hotkey.json --peer-role client',
    'tessera update-peer --hotkey ~/.tessera/keys/hotkey.json --peer-role bootnode --clear',
  ],
  options: [
    'rpc',
    'subnet-id',
    'subnet-node-id',
    'hotkey',
    'coldkey',
    'peer-role',
    'identity-path',
    'announce-maddrs',
    'clear',
  ],
  async run({ options, ask, dataDir, io, log, signal }) {
    const role = options['peer-role'];
    if (options.clear && role === 'node')
      throw new UsageError('a node needs a peer: only bootnode and client can be cleared');
    const byColdkey = options.hotkey === undefined && options.coldkey !== undefined;
    const key = byColdkey
      ? await signerOption('coldkey', options.coldkey, ask)
      : await signerOption('hotkey', options.hotkey, ask);
    const info = options.clear ? undefined : peerInfo(options, dataDir, FILES[role]);
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = options['subnet-id'] as SubnetId;
      const { id: node } = await nodeOption(chain, subnet, options, signal);
      const of = { subnet, node, role };
      const { block } = await chain.updatePeer(key, of, info, { signal, dryRun: true });
      io.result(
        {
          event: 'peer-updated',
          subnet,
          node,
          role,
          peer: info?.peer,
          multiaddr: info?.multiaddr,
          block: block.number,
        },
        info === undefined
          ? `node ${node} has no ${role} peer any more`
          : `node ${node}: ${role} is ${info.peer} at ${info.multiaddr ?? 'an address that peers tell each other'}`,
      );
      io.note(
        role === 'node'
          ? 'Next: restart the node with this identity and address (tessera run); others see the change in the next finalized block'
          : 'Next: others see the change in the next finalized block',
      );
    });
  },
});

function peerInfo(
  options: { readonly 'identity-path': string | undefined; readonly 'announce-maddrs': readonly string[] },
  dataDir: string,
  file: string,
) {
  const { peer } = readIdentityPeer(identityFile(options['identity-path'], dataDir, file));
  const [address] = options['announce-maddrs'];
  return address === undefined ? { peer } : { peer, multiaddr: withPeer(address, peer) };
}
