// `tessera gateway`: the HTTP API and the page, alone against a subnet. `tessera gateway keys add|list|revoke`: who may use it.

import { join } from 'node:path';
import { addKey, readKeys, revokeKey } from '../../gateway/keys.ts';
import { createNetworkGateway } from '../../gateway/network.ts';
import { clientIdentity, createNetworkClient } from '../../node/network-client.ts';
import { verifySignature } from '../../p2p/identity.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { drainFirst } from '../drain.ts';
import { UsageError } from '../exit.ts';
import { table } from '../io.ts';
import { handOverOption, openModelOption, requireSubnet, withChain } from '../session.ts';

const OPTIONS = [
  'rpc',
  'subnet-id',
  'model',
  'initial-peers',
  'network-key',
  'keep-ends',
  'hand-over',
  'hand-share',
  'host',
  'port',
  'cors-origins',
  'drain-seconds',
  'concurrent-requests',
  'tokens-per-minute',
] as const;

type Context = CommandContext<(typeof OPTIONS)[number]>;

const HTTP_PORT = 8080;

export const gateway = defineCommand({
  name: 'gateway',
  describe: 'serve the OpenAI-compatible HTTP API and the page',
  examples: [
    'tessera gateway',
    'tessera gateway keys add my-app --tokens-per-minute 20000',
    'tessera gateway keys list',
    'tessera gateway keys revoke 1a2b3c4d',
    'tessera gateway --host 0.0.0.0   # needs a key',
  ],
  options: OPTIONS,
  positional: 'action',
  async run(context) {
    const [word = '', action = '', ...rest] = context.text.split(' ').filter((part) => part !== '');
    if (word === '') return serve(context);
    const run = word === 'keys' && Object.hasOwn(KEY_ACTIONS, action) ? KEY_ACTIONS[action] : undefined;
    if (run === undefined) throw new UsageError('say tessera gateway, or tessera gateway keys add|list|revoke');
    run(context, rest.join(' '));
  },
});

async function serve(context: Context): Promise<void> {
  const { options, ask, dataDir, io, log, signal } = context;
  /** What the gateway is made of goes on while it leaves. */
  const ending = new AbortController();
  const model = await openModelOption(options.model);
  await withChain(context, async (chain) => {
    const subnet = await requireSubnet(chain, options['subnet-id'], signal);
    const network = await createNetworkClient(
      {
        initialPeers: options['initial-peers'],
        networkKey: options['network-key'],
        keepEnds: options['keep-ends'],
        handOver: handOverOption(options),
        listening: true,
      },
      { chain, subnet, model, identity: await clientIdentity(dataDir, ask), log },
      ending.signal,
    );
    try {
      const served = await createNetworkGateway(
        {
          host: options.host,
          port: options.port ?? HTTP_PORT,
          corsOrigins: options['cors-origins'],
          keysFile: keysFile(dataDir),
        },
        { chain, subnet, model, network, verify: verifySignature, log },
        ending.signal,
      );
      io.result({ event: 'gateway-ready', url: served.url }, `gateway  ${served.url} (page), ${served.url}/v1 (API)`);
      const answers = { what: 'answers', open: () => served.open, drain: served.drain };
      const ended = drainFirst(answers, { seconds: options['drain-seconds'], io }, signal);
      await aborted(ended);
      await served.close();
      io.result({ event: 'stopped' }, 'gateway stopped');
    } finally {
      ending.abort();
      await network.close();
    }
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const KEY_ACTIONS: Readonly<Record<string, (context: Context, text: string) => void>> = {
  add({ options, dataDir, io }, name) {
    if (name === '') throw new UsageError('name the key: tessera gateway keys add NAME');
    const quota = {
      concurrentRequests: options['concurrent-requests'],
      tokensPerMinute: options['tokens-per-minute'],
    };
    const { key, entry } = addKey(keysFile(dataDir), name, quota, Math.floor(Date.now() / 1000));
    io.result({ event: 'key-added', id: entry.id, name, ...quota, key }, key);
    io.note(`Key ${entry.id} for ${name}. It is shown this once and not kept: store it now.`);
  },
  list({ dataDir, io }) {
    const keys = readKeys(keysFile(dataDir));
    const rows = keys.map(({ id, name, created, concurrentRequests, tokensPerMinute, revoked }) => [
      id,
      name,
      new Date(created * 1000).toISOString().slice(0, 10),
      String(concurrentRequests),
      String(tokensPerMinute),
      revoked ? 'revoked' : 'valid',
    ]);
    io.result(
      { event: 'keys', keys: keys.map(({ hash, ...shown }) => shown) },
      table([['id', 'name', 'made', 'requests', 'tokens/min', 'state'], ...rows]),
    );
  },
  revoke({ dataDir, io }, id) {
    const revoked = revokeKey(keysFile(dataDir), id);
    if (revoked === undefined) throw new UsageError(`no key has the id ${id}; see tessera gateway keys list`);
    io.result({ event: 'key-revoked', id, name: revoked.name }, `revoked ${id} (${revoked.name})`);
  },
};

function keysFile(dataDir: string): string {
  return join(dataDir, 'gateway-keys.json');
}
