// `tessera bootnode`: where new nodes ask first. Names peers to each other and carries the traffic of those that cannot be dialled; keeps no
// records, serves nothing, needs no stake. Ends with SIGINT or SIGTERM.

import { existsSync } from 'node:fs';
import { networkName } from '../../node/addresses.ts';
import { createBootnode } from '../../node/bootnode.ts';
import { createIdentityFile } from '../../p2p/identity.ts';
import { defineCommand } from '../command.ts';
import { identityFile, unlockIdentity, withChain } from '../session.ts';

export const bootnode = defineCommand({
  name: 'bootnode',
  describe: 'run a boot node: discovery and relay only',
  examples: [
    'tessera bootnode --host-maddrs /ip4/0.0.0.0/tcp/31330 /ip4/0.0.0.0/tcp/31331/ws --announce-maddrs /dns4/boot.example.org/tcp/31330',
    'tessera bootnode --identity-path keys/bootstrap_peer_id --network-key keys/network_key',
  ],
  options: ['rpc', 'identity-path', 'host-maddrs', 'announce-maddrs', 'initial-peers', 'network-key', 'reach'],
  async run({ options, dataDir, io, log, signal, ask }) {
    const file = identityFile(options['identity-path'], dataDir, 'bootstrap_peer_id');
    const identity = existsSync(file) ? await unlockIdentity(file, ask) : createIdentityFile(file);
    // Only to know which network this is: the chain is not needed afterwards.
    const network = await withChain({ options, log, signal }, async (chain) => networkName(await chain.info(signal)));
    const node = await createBootnode(
      {
        identity,
        network,
        listen: options['host-maddrs'],
        announce: options['announce-maddrs'],
        initialPeers: options['initial-peers'],
        networkKey: options['network-key'],
        reach: options.reach,
      },
      { log: log.child('p2p') },
    );
    const addresses = node.addresses();
    io.result(
      { event: 'ready', peer: identity.peer, role: 'bootnode', addresses },
      `boot node ${identity.peer} listens on ${addresses.join(' ')}`,
    );
    io.note('Its address goes into the subnet: tessera register-subnet --bootnode, or update-subnet --bootnode.');
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    await node.close();
    io.result({ event: 'stopped', peer: identity.peer }, 'boot node stopped');
  },
});
