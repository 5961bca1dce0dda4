// A whole network on one machine: the chain in this process, each node a process of its own, a client that asks the prompt. Everything
// goes the way it goes on a real network; only the clock is ours, and it waits for slow nodes (ticker.ts).

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectChain } from '../chain/substrate.ts';
import type { Chain, Subnet } from '../chain/types.ts';
import { firstBlock } from '../consensus/phase.ts';
import { createDevChain, type DevChain } from '../devchain/devchain.ts';
import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import { collectAnswer, generateOptions } from '../node/answer.ts';
import type { ScoredEpoch } from '../node/epochs.ts';
import { createNetworkClient } from '../node/network-client.ts';
import { createIdentityFile, type OpenIdentity, openIdentity } from '../p2p/identity.ts';
import type { Epoch, SubnetId } from '../types/ids.ts';
import type { Log } from '../util/log.ts';
import { findFreePorts, type NodePlan, planNodes } from './plan.ts';
import { type NodeEvent, type NodeProcess, startNode } from './processes.ts';
import { settledEpochs } from './settled.ts';
import { setUpNetwork } from './setup.ts';
import { type DevnetState, readState, writeState } from './state.ts';
import { createTicker, type Ticker } from './ticker.ts';

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
  readonly dataDir: string;
  readonly modelFolder: string;
}

export interface GeneratedText {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly route: readonly { readonly node: number; readonly peer: string; readonly shards: readonly number[] }[];
  readonly tokensPerSecond: number;
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
  | ({ readonly event: 'generated' } & GeneratedText)
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

interface Member {
  readonly plan: NodePlan;
  readonly identity: OpenIdentity;
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
      spec: BUNDLED_SPEC,
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
  const signal = AbortSignal.any([outer, ending.signal]);
  const { subnet, members, ids } = await foundNetwork(options, deps, signal);
  const live = new Set<number>();
  const ticker = createTicker(
    { blockMs: options.blockMs },
    { author: async () => (await devchain.newBlock()).number, liveNodes: () => [...live] },
  );
  const processes = await startNodes({ members, ids, subnet: subnet.id }, { options, deps, ticker, live });
  try {
    const first = await skipToFirstEpoch(subnet, devchain, chain, signal);
    const ticking = ticker.run(signal);
    const generated: GeneratedText[] = [];
    const asking = ask(options, subnet, deps, signal).then((answer) => {
      generated.push(answer);
      tell({ event: 'generated', ...answer });
    });
    const epochs = await watchEpochs(options.epochs, { subnet, first }, deps, signal);
    await asking.catch((error: unknown) => {
      if (!outer.aborted) throw error;
    });
    ending.abort();
    await ticking;
    const summary: DevnetSummary = {
      chain: { endpoint: devchain.endpoint, genesis: devchain.genesisHash, block: devchain.head().number },
      subnet: subnet.id,
      nodes: members.map(({ plan, identity }, i) => describeNode(plan, identity, ids[i] ?? 0)),
      generated,
      epochs,
      stretchedBlocks: ticker.stretched(),
    };
    tell({ event: 'summary', ...summary });
    return summary;
  } finally {
    ending.abort();
    await Promise.all(processes.map((process) => process.stop()));
  }
}

interface Founded {
  readonly subnet: Subnet;
  readonly members: readonly Member[];
  /** Node ids by index. */
  readonly ids: readonly number[];
}

/** The network of the data directory, or a new one. */
async function foundNetwork(
  options: DevnetOptions,
  { chain, devchain, model }: NetworkDeps,
  signal: AbortSignal,
): Promise<Founded> {
  const known = readState(options.dataDir);
  const cut = Object.keys(model.manifest.cuts)[0] ?? '';
  const shardCount = cutShards(model.manifest, cut).length;
  const size = known ?? options;
  const ports =
    known?.nodes.map(({ port }) => port) ?? (await findFreePorts(options.hosters + options.attestors, Math.random));
  const plans = planNodes(
    { hosters: size.hosters, attestors: size.attestors, shardCount, dataDir: options.dataDir },
    ports,
  );
  const members = plans.map((plan) => ({ plan, identity: nodeIdentity(plan) }));
  if (known !== undefined)
    return {
      subnet: await readSubnet(chain, known.subnet as SubnetId, signal),
      members,
      ids: known.nodes.map(({ id }) => id),
    };
  const stopAuthoring = devchain.authorOnDemand();
  try {
    const setup = await setUpNetwork(members, { chain, model, cut }, signal);
    const ids = setup.nodes.map(({ id }) => id as number);
    writeState(options.dataDir, stateOf(options, setup.subnet, ids, plans));
    return { subnet: await readSubnet(chain, setup.subnet, signal), members, ids };
  } finally {
    stopAuthoring();
  }
}

function stateOf(
  { hosters, attestors }: DevnetOptions,
  subnet: number,
  ids: readonly number[],
  plans: readonly NodePlan[],
): DevnetState {
  return { subnet, hosters, attestors, nodes: plans.map(({ port }, i) => ({ id: ids[i] ?? 0, port })) };
}

async function readSubnet(chain: Chain, id: SubnetId, signal: AbortSignal): Promise<Subnet> {
  const subnet = await chain.subnet(id, undefined, signal);
  if (subnet === undefined)
    throw new RangeError(`subnet ${id} of devnet.json is not on this chain; begin anew with another --data-dir`);
  return subnet;
}

function nodeIdentity({ dataDir }: NodePlan): OpenIdentity {
  const file = join(dataDir, 'keys', 'peer_id');
  return existsSync(file) ? openIdentity(file) : createIdentityFile(file);
}

/** Starts all processes and resolves when each is ready; from then on they are waited for by the ticker until they end. */
function startNodes(
  {
    members,
    ids,
    subnet,
  }: { readonly members: readonly Member[]; readonly ids: readonly number[]; readonly subnet: number },
  context: {
    readonly options: DevnetOptions;
    readonly deps: NetworkDeps;
    readonly ticker: Ticker;
    readonly live: Set<number>;
  },
): Promise<NodeProcess[]> {
  const command = { rpc: context.deps.devchain.endpoint, subnet, model: context.options.modelFolder };
  return Promise.all(members.map((member, i) => startMember(member, ids[i] ?? 0, command, context)));
}

async function startMember(
  { plan, identity }: Member,
  id: number,
  command: Parameters<typeof startNode>[1],
  { deps, ticker, live }: { readonly deps: NetworkDeps; readonly ticker: Ticker; readonly live: Set<number> },
): Promise<NodeProcess> {
  const ready = Promise.withResolvers<void>();
  const process = await startNode(plan, command, {
    onEvent: (event) => {
      if (event.event === 'ready') ready.resolve();
      else if (event.event === 'head') ticker.report(id, Number(event.block));
      else deps.tell({ event: 'node-outcome', id, outcome: event });
    },
    onExit: (code) => {
      live.delete(id);
      ticker.report(id, 0);
      deps.tell({ event: 'node-stopped', id, code });
      ready.reject(
        new Error(
          `node ${id} ended with exit code ${code} before it was ready; see ${join(plan.dataDir, 'node.log')}${lastWords(plan)}`,
        ),
      );
    },
  });
  await ready.promise;
  live.add(id);
  const { pid, commandLine } = process;
  deps.tell({
    event: 'node-active',
    ...describeNode(plan, identity, id),
    pid,
    dataDir: plan.dataDir,
    command: commandLine,
  });
  return process;
}

/** The end of what a node said on stderr. */
function lastWords({ dataDir }: NodePlan): string {
  const lines = readFileSync(join(dataDir, 'node.log'), 'utf8').trimEnd().split('\n');
  return `:\n${lines.slice(-3).join('\n')}`;
}

function describeNode(plan: NodePlan, identity: OpenIdentity, id: number): DevnetNode {
  return { id, peer: identity.peer, role: plan.role, shards: plan.shards };
}

/** Authors set-up blocks at once up to the last one before the subnet's first live epoch; answers that epoch, or the current one of a resumed network. */
async function skipToFirstEpoch(
  subnet: Subnet,
  devchain: DevChain,
  chain: Chain,
  signal: AbortSignal,
): Promise<{ epoch: Epoch; epochLength: number }> {
  const { epochLength } = await chain.info(signal);
  const clock = { slot: subnet.slot, epochLength };
  const first = subnet.startEpoch as Epoch;
  const missing = firstBlock(first, clock) - 1 - devchain.head().number;
  if (missing > 0) await devchain.newBlock(missing);
  const now = Math.floor((devchain.head().number + 1 - subnet.slot) / epochLength);
  return { epoch: Math.max(first, now) as Epoch, epochLength };
}

async function watchEpochs(
  wanted: number,
  {
    subnet,
    first,
  }: { readonly subnet: Subnet; readonly first: { readonly epoch: Epoch; readonly epochLength: number } },
  { chain, tell }: NetworkDeps,
  signal: AbortSignal,
): Promise<ScoredEpoch[]> {
  const found: ScoredEpoch[] = [];
  const clock = { subnet: subnet.id, slot: subnet.slot, epochLength: first.epochLength, first: first.epoch };
  for await (const settled of settledEpochs(clock, chain, signal)) {
    tell({ event: 'epoch-settled', ...settled });
    if (settled.outcome === 'Accepted') found.push(settled);
    if (wanted > 0 && found.length >= wanted) break;
  }
  return found;
}

async function ask(
  options: DevnetOptions,
  subnet: Subnet,
  { chain, model, log }: NetworkDeps,
  signal: AbortSignal,
): Promise<GeneratedText> {
  const file = join(options.dataDir, 'keys', 'client_peer_id');
  const identity = existsSync(file) ? openIdentity(file) : createIdentityFile(file);
  const tokenizer = await openTokenizer(model);
  const network = await createNetworkClient(
    { initialPeers: [] },
    { chain, subnet, model, identity, log: log.child('client') },
    signal,
  );
  try {
    const chosen = generateOptions(
      { maxTokens: options.maxTokens, temperature: 0, topK: 64, topP: 1, seed: 0 },
      tokenizer,
    );
    const started = performance.now();
    const generation = network.client.generate(tokenizer.encodePrompt(options.prompt), chosen, signal);
    const { text, tokens } = await collectAnswer(generation, { tokenizer, stop: [] }, () => undefined);
    const tokensPerSecond = Math.round((10_000 * tokens.length) / (performance.now() - started)) / 10;
    const route = generation.route.map(({ node, peer, from, to }) => ({
      node,
      peer,
      shards: Array.from({ length: to - from }, (_, i) => from + i),
    }));
    return { prompt: options.prompt, text, tokens, route, tokensPerSecond };
  } finally {
    await network.close();
  }
}
