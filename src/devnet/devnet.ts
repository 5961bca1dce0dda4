// A whole network on one machine: the chain in this process, each node a process of its own, a client that asks the prompt. Everything
// goes the way it goes on a real network; only the clock is ours, and it waits for slow nodes (ticker.ts).

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectChain } from '../chain/substrate.ts';
import type { Chain, Subnet } from '../chain/types.ts';
import type { Client } from '../client/client.ts';
import { createDevChain, type DevChain } from '../devchain/devchain.ts';
import type { RawSpec } from '../devchain/spec.ts';
import type { Model } from '../model/open.ts';
import type { ScoredEpoch } from '../node/epochs.ts';
import { clientIdentity, createNetworkClient, type NetworkClient } from '../node/network-client.ts';
import { verifySignature } from '../p2p/identity.ts';
import type { Log } from '../util/log.ts';
import { ask, type EmbeddedText, embedPrompt, type GeneratedText } from './ask.ts';
import { openDoor } from './door.ts';
import { createFleet } from './fleet.ts';
import { foundNetwork, type Member, skipToFirstEpoch } from './found.ts';
import type { NodeEvent } from './processes.ts';
import { settledEpochs } from './settled.ts';
import { createTicker } from './ticker.ts';

export const BUNDLED_SPEC = fileURLToPath(new URL('../../chain/spec/devnet.json', import.meta.url));

export interface DevnetOptions {
  readonly hosters: number;
  readonly attestors: number;
  readonly blockMs: number;
  /** Accepted epochs after which the network stops; 0 = when the signal says so. */
  readonly epochs: number;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly rpcPort: number;
  /** Of the gateway; undefined: 8080, or one of the next that is free. */
  readonly httpPort: number | undefined;
  /** How long answers under way may go on when the network stops. */
  readonly drainSeconds: number;
  readonly dataDir: string;
  readonly modelFolder: string;
  /** Of the chain; default the bundled one. A folder that was kept goes on only with the spec that it began with. */
  readonly spec?: RawSpec;
}

export interface DevnetNode {
  readonly id: number;
  readonly peer: string;
  readonly role: 'hoster' | 'attestor';
  readonly shards: readonly number[];
}

/** What happens, in the order in which it happens. */
export type DevnetEvent =
  | { readonly event: 'chain-ready'; readonly endpoint: string; readonly genesis: string; readonly block: number }
  | (DevnetNode & {
      readonly event: 'node-active';
      readonly pid: number | undefined;
      readonly dataDir: string;
      readonly command: string;
    })
  | { readonly event: 'node-stopped'; readonly id: number; readonly code: number | null }
  | { readonly event: 'node-outcome'; readonly id: number; readonly outcome: NodeEvent }
  | { readonly event: 'gateway-ready'; readonly url: string }
  | ({ readonly event: 'generated' } & GeneratedText)
  | ({ readonly event: 'embedded' } & EmbeddedText)
  | ({ readonly event: 'epoch-settled' } & ScoredEpoch)
  | ({ readonly event: 'summary' } & DevnetSummary);

export interface DevnetSummary {
  readonly chain: { readonly endpoint: string; readonly genesis: string; readonly block: number };
  readonly subnet: number;
  readonly nodes: readonly DevnetNode[];
  readonly generated: readonly GeneratedText[];
  readonly epochs: readonly ScoredEpoch[];
  readonly stretchedBlocks: number;
}

export interface DevnetDeps {
  readonly model: Model;
  readonly log: Log;
  readonly tell: (event: DevnetEvent) => void;
}

/** Runs until `epochs` have been accepted or the signal aborts; everything it started is gone when it resolves. */
export async function runDevnet(options: DevnetOptions, deps: DevnetDeps, signal: AbortSignal): Promise<DevnetSummary> {
  mkdirSync(join(options.dataDir, 'chain'), { recursive: true, mode: 0o700 });
  const devchain = await createDevChain(
    {
      spec: options.spec ?? BUNDLED_SPEC,
      mode: 'manual',
      port: options.rpcPort,
      dbFile: join(options.dataDir, 'chain', 'blocks.jsonl'),
    },
    { log: deps.log.child('devchain') },
  );
  try {
    const { endpoint, genesisHash: genesis } = devchain;
    deps.tell({ event: 'chain-ready', endpoint, genesis, block: devchain.head().number });
    const chain = await connectChain({ endpoints: [endpoint] }, { log: deps.log.child('chain') });
    try {
      return await runNetwork(options, { ...deps, devchain, chain }, signal);
    } finally {
      await chain.close();
    }
  } finally {
    await devchain.close();
  }
}

interface NetworkDeps extends DevnetDeps {
  readonly devchain: DevChain;
  readonly chain: Chain;
}

async function runNetwork(options: DevnetOptions, deps: NetworkDeps, outer: AbortSignal): Promise<DevnetSummary> {
  const { devchain, chain, tell } = deps;
  const ending = new AbortController();
  const { signal } = ending;
  let finishAnswers = async (): Promise<void> => undefined;
  const leave = (): void => void finishAnswers().finally(() => ending.abort(outer.reason));
  if (outer.aborted) leave();
  outer.addEventListener('abort', leave, { once: true });
  const { subnet, members } = await foundNetwork(options, deps, signal);
  const fleet = createFleet({
    onActive: (member, { pid, commandLine: command }) =>
      tell({ event: 'node-active', ...describeNode(member), pid, dataDir: member.plan.dataDir, command }),
    onHead: (id, block) => ticker.report(id, block),
    onEvent: (id, outcome) => {
      // before its first epoch a network has nothing to do, and nobody can miss it
      if (Number(outcome.epoch ?? subnet.startEpoch) >= subnet.startEpoch) tell({ event: 'node-outcome', id, outcome });
    },
    onStopped: (id, code) => {
      ticker.wake();
      tell({ event: 'node-stopped', id, code });
    },
  });
  const ticker = createTicker(
    { blockMs: options.blockMs },
    { author: async () => (await devchain.newBlock()).number, liveNodes: fleet.live },
  );
  const generated: GeneratedText[] = [];
  const epochs: ScoredEpoch[] = [];
  const askOnce = async (client: Client): Promise<void> => {
    const asked = { client, model: deps.model };
    if (deps.model.manifest.arch === 'bert') {
      tell({ event: 'embedded', ...(await embedPrompt(options, asked, signal)) });
      return;
    }
    const answer = await ask(options, asked, signal);
    generated.push(answer);
    tell({ event: 'generated', ...answer });
  };
  const opened = new AsyncDisposableStack();
  try {
    await fleet.start(members, { rpc: [devchain.endpoint], subnet: subnet.id, model: options.modelFolder });
    const clock = await skipToFirstEpoch(subnet, devchain, chain, signal);
    const network = opened.adopt(await joinNetwork(options, subnet, deps, signal), (joined) => joined.close());
    const gateway = await openDoor(
      { port: options.httpPort, dataDir: options.dataDir },
      { ...deps, subnet, network, verify: verifySignature },
      signal,
    );
    opened.adopt(gateway, (open) => open.close());
    finishAnswers = () => gateway.drain(AbortSignal.timeout(options.drainSeconds * 1000));
    tell({ event: 'gateway-ready', url: gateway.url });
    const work = Promise.all([
      collectEpochs({ ...clock, subnet: subnet.id, wanted: options.epochs }, epochs, deps, signal),
      askOnce(network.client).catch((error: unknown) => {
        if (!outer.aborted) throw error;
      }),
    ]).finally(leave);
    await Promise.all([ticker.run(signal), work]);
  } finally {
    ending.abort();
    await opened.disposeAsync();
    await fleet.stop();
  }
  const summary: DevnetSummary = {
    chain: { endpoint: devchain.endpoint, genesis: devchain.genesisHash, block: devchain.head().number },
    subnet: subnet.id,
    nodes: members.map(describeNode),
    generated,
    epochs,
    stretchedBlocks: ticker.stretched(),
  };
  tell({ event: 'summary', ...summary });
  return summary;
}

/** As one that asks, and that looks at what the nodes do. */
async function joinNetwork(
  { dataDir }: DevnetOptions,
  subnet: Subnet,
  { chain, model, log }: NetworkDeps,
  signal: AbortSignal,
): Promise<NetworkClient> {
  const deps = { chain, subnet, model, identity: await clientIdentity(dataDir), log: log.child('client') };
  return createNetworkClient({ initialPeers: [], listening: true }, deps, signal);
}

function describeNode({ id, plan, identity }: Member): DevnetNode {
  return { id, peer: identity.peer, role: plan.role, shards: plan.shards };
}

/** Tells every settled epoch and keeps the accepted ones, until there are as many as wanted. */
async function collectEpochs(
  options: Parameters<typeof settledEpochs>[0] & { readonly wanted: number },
  accepted: ScoredEpoch[],
  { chain, tell }: NetworkDeps,
  signal: AbortSignal,
): Promise<void> {
  for await (const settled of settledEpochs(options, chain, signal)) {
    tell({ event: 'epoch-settled', ...settled });
    if (settled.outcome === 'Accepted') accepted.push(settled);
    if (options.wanted > 0 && accepted.length >= options.wanted) return;
  }
}
