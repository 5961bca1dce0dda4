// `tessera register-subnet`: an owner opens a subnet for one model under one policy.

import { readIdentityPeer } from '../../p2p/identity.ts';
import { type Address, ONE } from '../../types/ids.ts';
import { encodePolicy, POLICY_DEFAULTS } from '../../wire/policy.ts';
import { defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { nextCommand } from '../next.ts';
import { readPolicyFile } from '../policy.ts';
import {
  addressOption,
  identityFile,
  openModelOption,
  peerOfBootnode,
  signerOption,
  withChain,
  withPeer,
} from '../session.ts';

const DELEGATE_SHARE = ONE / 10n;
/** The price of a subnet doubles with each registration; an owner who minds sets a limit on chain tools. */
const MAX_COST = 1_000_000n * ONE;

/** The first account of a development chain that is meant for nodes. */
const DEV_HOTKEY = '//dev:6';

export const registerSubnet = defineCommand({
  name: 'register-subnet',
  describe: 'register a subnet with a model and a policy',
  examples: [
    'tessera register-subnet --coldkey //dev:0 --name stories --bootnode /ip4/127.0.0.1/tcp/31330/p2p/12D3KooW...',
    'tessera register-subnet --coldkey //dev:0 --data-dir n1 --announce-maddrs /ip4/127.0.0.1/tcp/31330   # the own node is the boot node',
  ],
  options: [
    'rpc',
    'coldkey',
    'name',
    'model',
    'cut',
    'bootnode',
    'identity-path',
    'announce-maddrs',
    'min-stake',
    'max-stake',
    'initial-coldkeys',
    'access',
    'policy',
  ],
  async run({ options, ask, dataDir, dataDirGiven, given, source, io, log, signal }) {
    const owner = await signerOption('coldkey', options.coldkey, ask);
    const addresses = options.bootnode.length > 0 ? options.bootnode : ownAddresses(options, dataDir);
    const bootnodes = new Map(addresses.map((address) => [peerOfBootnode(address), address]));
    const model = await openModelOption(options.model);
    const cut = options.cut ?? Object.keys(model.manifest.cuts)[0];
    if (cut === undefined || model.manifest.cuts[cut] === undefined) {
      throw new UsageError(`the model has no cut ${cut}; it has ${Object.keys(model.manifest.cuts).join(', ')}`);
    }
    const initialColdkeys = await readColdkeys(options['initial-coldkeys']);
    const policy = options.policy === undefined ? {} : readPolicyFile(options.policy);
    await withChain({ options, log, signal }, async (chain) => {
      const receipt = await chain.registerSubnet(
        owner,
        {
          name: options.name,
          repo: `tessera/${options.name}`,
          description: `${model.manifest.name} in ${model.manifest.cuts[cut]?.length} shards`,
          misc: encodePolicy({
            ...POLICY_DEFAULTS,
            access: options.access,
            ...policy,
            ...(given('access') ? { access: options.access } : {}),
            manifest: model.hash,
            cut,
          }),
          minStake: options['min-stake'],
          maxStake: options['max-stake'],
          delegateStakePercentage: DELEGATE_SHARE,
          bootnodes,
          initialColdkeys,
          maxCost: MAX_COST,
        },
        { signal, dryRun: true },
      );
      io.result(
        {
          event: 'subnet-registered',
          subnet: receipt.subnet,
          owner: owner.address,
          manifest: model.hash,
          block: receipt.block.number,
        },
        `subnet ${receipt.subnet} registered in block ${receipt.block.number}`,
      );
      const node = nextCommand(
        'register-subnet-node',
        {
          coldkey: options.coldkey,
          hotkey: options.coldkey?.startsWith('//dev:') ? DEV_HOTKEY : 'ACCOUNT',
          'announce-maddrs': options['announce-maddrs'][0] ?? 'ADDRESS',
          'subnet-id': receipt.subnet,
        },
        {
          options: { rpc: options.rpc },
          source: (name) => (name === 'rpc' ? source(name) : ''),
          dataDir,
          dataDirGiven,
        },
      );
      io.note(`Next: ${node}`);
      io.note('When all nodes of the beginning are registered and active: tessera activate-subnet');
    });
  },
});

/** `//dev:0`, `0x...`, a key file; each with `=N` behind it for N nodes instead of one. */
async function readColdkeys(named: readonly string[]): Promise<ReadonlyMap<Address, number>> {
  const entries = named
    .flatMap((words) => words.split(','))
    .map(async (word) => {
      const [, name = word, count = '1'] = /^(.*)=(\d{1,5})$/.exec(word) ?? [];
      return [await addressOption('initial-coldkeys', name), Number(count)] as const;
    });
  return new Map(await Promise.all(entries));
}

function ownAddresses(
  options: { readonly 'identity-path': string | undefined; readonly 'announce-maddrs': readonly string[] },
  dataDir: string,
): string[] {
  if (options['announce-maddrs'].length === 0) {
    throw new UsageError(
      '--bootnode is needed: the multiaddr of the node that others meet first (or --announce-maddrs of the own node)',
    );
  }
  const { peer } = readIdentityPeer(identityFile(options['identity-path'], dataDir));
  return options['announce-maddrs'].map((address) => withPeer(address, peer));
}
