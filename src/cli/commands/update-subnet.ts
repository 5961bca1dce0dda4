// `tessera update-subnet`: the owner changes policy and boot nodes. A new policy counts from the second next epoch on.

import type { Chain, Signer, Subnet } from '../../chain/types.ts';
import type { PeerId } from '../../types/ids.ts';
import type { Policy } from '../../types/subnet.ts';
import { decodePolicy, encodePolicy, POLICY_DEFAULTS } from '../../wire/policy.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { readPolicyFile } from '../policy.ts';
import { openModelOption, peerOfBootnode, requireSubnet, signerOption, withChain } from '../session.ts';

const OPTIONS = [
  'rpc',
  'subnet-id',
  'coldkey',
  'policy',
  'access',
  'model',
  'cut',
  'bootnode',
  'remove-bootnode',
] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

export const updateSubnet = defineCommand({
  name: 'update-subnet',
  describe: 'change the policy, the model or the boot nodes of a subnet',
  examples: [
    'tessera update-subnet --coldkey ~/cold.json --access registered',
    'tessera update-subnet --coldkey ~/cold.json --policy policy.yaml',
    'tessera update-subnet --coldkey ~/cold.json --bootnode /ip4/203.0.113.7/tcp/31330/p2p/12D3KooW... --remove-bootnode 12D3KooW...',
  ],
  options: OPTIONS,
  async run(context) {
    const { options, ask, io, signal } = context;
    const owner = await signerOption('coldkey', options.coldkey, ask);
    await withChain(context, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const policy = await updatePolicy(context, chain, owner, subnet);
      const bootnodes = await updateBootnodes(context, chain, owner, subnet);
      if (policy || bootnodes) {
        io.note(
          'Next: tessera status shows the subnet; nodes need the new model, if it changed, before the policy counts',
        );
        return;
      }
      throw new UsageError(
        'nothing to change: give --access, --policy, --model, --cut, --bootnode or --remove-bootnode',
      );
    });
  },
});

async function updatePolicy(context: Context, chain: Chain, owner: Signer, subnet: Subnet): Promise<boolean> {
  const { io, signal } = context;
  const change = await policyChange(context);
  if (Object.keys(change).length === 0) return false;
  const before = decodePolicy(subnet.misc);
  if (!before.ok && change.manifest === undefined)
    throw new UsageError(`the policy on chain cannot be read (${before.why}): give --model too, to write it anew`);
  const policy = { ...(before.ok ? before.policy : POLICY_DEFAULTS), ...change } as Policy;
  const encoded = encodePolicy(policy);
  const checked = decodePolicy(encoded);
  if (!checked.ok) throw new UsageError(`this would be no policy: ${checked.why}`);
  const { block } = await chain.updateMisc(owner, subnet.id, encoded, { signal, dryRun: true });
  io.result(
    { event: 'policy-updated', subnet: subnet.id, policy, block: block.number },
    `the policy of subnet ${subnet.id} is changed from the second next epoch on: ${Object.keys(change).join(', ')}`,
  );
  return true;
}

async function policyChange({ options, given }: Context): Promise<Partial<Policy>> {
  const file = options.policy === undefined ? {} : readPolicyFile(options.policy);
  const access = given('access') ? { access: options.access } : {};
  if (!given('model') && !given('cut')) return { ...file, ...access };
  const model = await openModelOption(options.model);
  const cut = options.cut ?? Object.keys(model.manifest.cuts)[0];
  if (cut === undefined || model.manifest.cuts[cut] === undefined)
    throw new UsageError(`the model has no cut ${cut}; it has ${Object.keys(model.manifest.cuts).join(', ')}`);
  return { ...file, ...access, manifest: model.hash, cut };
}

async function updateBootnodes(context: Context, chain: Chain, owner: Signer, subnet: Subnet): Promise<boolean> {
  const { options, io, signal } = context;
  const add = new Map(options.bootnode.map((address) => [peerOfBootnode(address), address]));
  const remove = options['remove-bootnode'].map((peer) => peer as PeerId);
  const unknown = remove.filter((peer) => !subnet.bootnodes.has(peer));
  if (unknown.length > 0) throw new UsageError(`not a boot node of subnet ${subnet.id}: ${unknown.join(', ')}`);
  if (add.size + remove.length === 0) return false;
  const { block } = await chain.updateBootnodes(owner, subnet.id, { add, remove }, { signal, dryRun: true });
  io.result(
    { event: 'bootnodes-updated', subnet: subnet.id, added: [...add.keys()], removed: remove, block: block.number },
    `boot nodes of subnet ${subnet.id}: ${add.size} added or changed, ${remove.length} removed`,
  );
  return true;
}
