// A small inference network in one process for the tests of hoster/ and client/: the overlay's twin, heads that the test pushes, and an
// engine whose answer depends on every row it has ever seen, so that a lost, repeated or misplaced row changes the tokens.

import { createHeadFeed } from '../../../src/chain/heads.ts';
import type { Chain, SubnetNode } from '../../../src/chain/types.ts';
import { type Client, createClient } from '../../../src/client/client.ts';
import { createDirectory, type Directory } from '../../../src/client/directory.ts';
import type { GeneratedToken, GenerateOptions } from '../../../src/client/generation.ts';
import { type Engine, EngineError, type KvSession, type Rows, type StepResult } from '../../../src/engine/types.ts';
import { createHoster, type Hoster } from '../../../src/hoster/hoster.ts';
import { HOSTER_LIMITS, type HosterLimits } from '../../../src/hoster/limits.ts';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../../src/p2p/memory.ts';
import type { Identity, Overlay } from '../../../src/p2p/types.ts';
import type { BlockNumber, Hash, NodeId, PeerId, ShardIndex, SubnetId } from '../../../src/types/ids.ts';
import type { Port } from '../../../src/types/model.ts';
import type { NamedTensor } from '../../../src/types/tensor.ts';
import { silentLog } from '../../../src/util/log.ts';

export const MODEL = {
  hash: 'ab'.repeat(32),
  width: 8,
  vocab: 97,
  maxContext: 300,
  shardCount: 4,
  cacheBytes: 1,
  outputRms: [1, 1, 1, 1],
} as const;
export const SUBNET = 128_001 as SubnetId;
export const GENESIS = new Uint8Array(32).fill(7);
export const GREEDY: GenerateOptions = { maxTokens: 12, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };
export const SAMPLED: GenerateOptions = {
  maxTokens: 12,
  temperature: 0.9,
  topK: 8,
  topP: 0.95,
  seed: 41n,
  stopIds: [],
};

export interface FakeEngine extends Engine {
  readonly open: ReadonlySet<KvSession>;
  onRelease(session: KvSession): void;
  /** Awaited before each step; may throw. */
  beforeStep: (at: number) => void | Promise<void>;
  /** Thrown by openSession when set. */
  refusal: EngineError | undefined;
}

/** Serves all shards of MODEL in exact integer arithmetic on values that f16 keeps. */
export function createFakeEngine(): FakeEngine {
  const open = new Set<KvSession>();
  const counters = { steps: 0, rows: 0 };
  const engine: FakeEngine = {
    open,
    onRelease: (session) => void open.delete(session),
    beforeStep: () => undefined,
    refusal: undefined,
    info: { provider: 'reference', why: 'a fake', threads: 1, version: '0' },
    load: async () => undefined,
    loaded: () => [],
    unload: async () => undefined,
    async openSession({ from, to }, { maxTokens }) {
      if (engine.refusal !== undefined) throw engine.refusal;
      const session = createFakeSession(from, to, maxTokens, engine, counters);
      open.add(session);
      return session;
    },
    async run({ from, to }, tensors) {
      await engine.beforeStep(0);
      if (engine.refusal !== undefined) throw engine.refusal;
      return runFake(from, to, tensors);
    },
    challenge: async () => new Float32Array(0),
    stats: () => ({
      shards: [],
      sessions: open.size,
      kvBytes: open.size * 10,
      kvBudgetBytes: 10_000,
      queued: 0,
      ...counters,
    }),
    close: async () => undefined,
  };
  return engine;
}

/** Inputs of a stateless model's shards: a sequence that each shard changes, and a weight that all of them need. */
export const FUNCTION_INPUTS: readonly (readonly Port[])[] = Array.from({ length: MODEL.shardCount }, (_, shard) => [
  { name: `x.${shard}`, dtype: 'f32', dims: ['B', 'S', 2] },
  { name: 'weight', dtype: 'i32', dims: ['B', 'S'] },
]);

/** Shard k makes x + (k + 1) w of x: what is left out, swapped or run twice changes the result. */
function runFake(from: number, to: number, tensors: readonly NamedTensor[]): readonly NamedTensor[] {
  const weight = tensors.find(({ name }) => name === 'weight')?.data ?? [];
  let x = tensors.find(({ name }) => name === `x.${from}`);
  for (let shard = from; x !== undefined && shard < to; shard += 1) {
    const before = x.data as Float32Array;
    const data = before.map((value, i) => value * 2 + (shard + 1) * Number(weight[i >> 1] ?? 0));
    x = { name: `x.${shard + 1}`, dims: x.dims, data };
  }
  if (x === undefined) throw new EngineError({ code: 'E_SHAPE', expected: `x.${from}`, found: 'none' }, 'no x');
  return [x];
}

function createFakeSession(
  from: ShardIndex,
  to: ShardIndex,
  maxTokens: number,
  engine: FakeEngine,
  counters: { steps: number; rows: number },
): KvSession {
  /** One running state per shard, after each position. */
  const history: Map<number, number>[] = [];
  let states = new Map<number, number>();
  let length = 0;

  function shardOn(shard: number, row: readonly number[]): number[] {
    const state =
      ((states.get(shard) ?? shard + 1) * 31 + row.reduce((sum, value, i) => sum + value * (i + 3), 0)) % 1009;
    states.set(shard, state);
    return row.map((value, i) => (value + state * (i + 1) + shard) % 251);
  }

  async function step(at: number, rows: Rows, signal?: AbortSignal): Promise<StepResult> {
    await engine.beforeStep(at);
    if (signal?.aborted) throw new EngineError({ code: 'E_ABORTED', length }, 'aborted');
    if (at !== length) throw new EngineError({ code: 'E_POSITION', length, at }, `at ${at}, length ${length}`);
    const input = rowsIn(rows);
    if (length + input.length > maxTokens) throw new EngineError({ code: 'E_FULL', maxTokens }, 'full');
    counters.steps += 1;
    counters.rows += input.length;
    const output = input.map((row) => {
      let hidden: number[] = row;
      for (let shard: number = from; shard < to; shard += 1) hidden = shardOn(shard, hidden);
      history.push(new Map(states));
      return hidden;
    });
    length += input.length;
    return to === MODEL.shardCount ? topOf(output.at(-1) ?? []) : hiddenOf(output);
  }

  const session: KvSession = {
    get length() {
      return length;
    },
    maxTokens,
    from,
    to,
    step,
    truncate(to) {
      length = to;
      history.length = to;
      states = new Map(history.at(-1));
    },
    async release() {
      engine.onRelease(session);
    },
  };
  return session;
}

function rowsIn(rows: Rows): number[][] {
  if (rows.kind === 'tokens')
    return [...rows.ids].map((id) => Array.from({ length: MODEL.width }, (_, i) => (id * (i + 1)) % 251));
  return Array.from({ length: rows.count }, (_, i) => [...rows.data.subarray(i * MODEL.width, (i + 1) * MODEL.width)]);
}

function hiddenOf(rows: readonly number[][]): StepResult {
  return { kind: 'hidden', data: Float32Array.from(rows.flat()), count: rows.length };
}

function topOf(row: readonly number[]): StepResult {
  const ids = row.map((value, i) => (value * 7 + i * 13) % MODEL.vocab);
  const unique = [...new Set(ids)];
  const values = unique.map((_, i) => 5 - i / 4);
  const logSumExp = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
  return { kind: 'top', top: { ids: Int32Array.from(unique), values: Float32Array.from(values), logSumExp } };
}

type FakeChain = Pick<Chain, 'heads' | 'nodes'>;

export interface HosterNode {
  readonly node: NodeId;
  readonly peer: PeerId;
  readonly identity: Identity;
  readonly overlay: Overlay;
  readonly engine: FakeEngine;
  readonly hoster: Hoster;
  readonly directory: Directory;
  stop(): Promise<void>;
}

export interface Net {
  readonly network: MemoryNetwork;
  readonly hosters: readonly HosterNode[];
  readonly identity: Identity;
  readonly overlay: Overlay;
  readonly client: Client;
  readonly directory: Directory;
  readonly clock: { ms: number };
  readonly now: () => number;
  readonly heads: Chain['heads'];
  readonly nodes: Chain['nodes'];
  /** Pushes heads up to this block and lets everything settle. */
  runTo(block: number): Promise<void>;
  settle(): Promise<void>;
  close(): Promise<void>;
}

export interface NetOptions {
  readonly hosters?: number;
  readonly limits?: Partial<HosterLimits>;
  /** Default: every shard but shard i mod 4. */
  readonly shardsOf?: (i: number) => readonly number[];
  /** As announced; 64 unless given. */
  readonly memoryMiB?: (i: number) => number;
  readonly mayAsk?: (peer: PeerId) => boolean;
  readonly mayAudit?: (peer: PeerId) => boolean;
  readonly stakeOf?: (peer: PeerId) => bigint;
  readonly openChallenge?: (shard: ShardIndex) => Rows | undefined;
  /** Whether the model is a stateless one: FUNCTION_INPUTS. */
  readonly stateless?: boolean;
}

export function identityOf(i: number): Identity {
  return identityFromSeed(new Uint8Array(32).fill(i + 1));
}

/** Hosters that have announced themselves at block 100, and a client that knows them. */
export async function startNet(options: NetOptions = {}): Promise<Net> {
  const network = createMemoryNetwork();
  const count = options.hosters ?? 4;
  const feed = createHeadFeed();
  const clock = { ms: 0 };
  const nodes = Array.from({ length: count }, (_, i) => ({
    id: (i + 1) as NodeId,
    nodeClass: 'Validator',
    peerInfo: { peer: identityOf(i).peer },
  })) as unknown as readonly SubnetNode[];
  const chain: FakeChain = { heads: (_kind, signal) => feed.stream(signal), nodes: async () => nodes };
  const hosters = Array.from({ length: count }, (_, i) => startHoster(i, network, chain, clock, options));
  const stopClient = new AbortController();
  const identity = identityOf(200);
  const overlay = network.join(identity);
  const directory = createDirectory(
    { subnet: SUBNET, genesis: GENESIS },
    { overlay, chain, verify: verifySignature, log: silentLog },
  );
  const running = directory.run(stopClient.signal);
  const client = createClient(
    { model: MODEL },
    { overlay, chain, directory, identity, verify: verifySignature, now: () => clock.ms, log: silentLog },
  );
  let block = 99;

  async function settle(): Promise<void> {
    for (let i = 0; i < 5; i += 1) {
      await network.flush();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const net: Net = {
    network,
    hosters,
    identity,
    overlay,
    client,
    directory,
    clock,
    now: () => clock.ms,
    heads: chain.heads,
    nodes: chain.nodes,
    settle,
    async runTo(target) {
      while (block < target) {
        block += 1;
        feed.publish({ number: block as BlockNumber, hash: `0x${'00'.repeat(32)}` as Hash });
        await settle();
      }
    },
    async close() {
      stopClient.abort();
      await Promise.all([running, ...hosters.map((hoster) => hoster.stop())]);
      feed.close();
    },
  };
  await net.runTo(100);
  return net;
}

function startHoster(
  i: number,
  network: MemoryNetwork,
  chain: FakeChain,
  clock: { ms: number },
  options: NetOptions,
): HosterNode {
  const identity = identityOf(i);
  const overlay = network.join(identity);
  const engine = createFakeEngine();
  const node = (i + 1) as NodeId;
  const all = Array.from({ length: MODEL.shardCount }, (_, shard) => shard);
  const shards = (options.shardsOf?.(i) ??
    all.filter((shard) => shard !== i % MODEL.shardCount)) as readonly ShardIndex[];
  const directory = createDirectory(
    { subnet: SUBNET, genesis: GENESIS },
    { overlay, chain, verify: verifySignature, log: silentLog },
  );
  const hoster = createHoster(
    {
      subnet: SUBNET,
      node,
      genesis: GENESIS,
      clock: { slot: 3, epochLength: 20 },
      model: options.stateless === true ? { ...MODEL, inputs: FUNCTION_INPUTS } : MODEL,
      shards,
      version: 'test',
      memoryMiB: options.memoryMiB?.(i) ?? 64,
      limits: { ...HOSTER_LIMITS, ...options.limits },
    },
    {
      overlay,
      engine,
      identity,
      chain,
      board: directory,
      verify: verifySignature,
      mayAsk: options.mayAsk ?? (() => true),
      ...(options.mayAudit === undefined ? {} : { mayAudit: options.mayAudit }),
      ...(options.stakeOf === undefined ? {} : { stakeOf: options.stakeOf }),
      ...(options.openChallenge === undefined ? {} : { openChallenge: options.openChallenge }),
      now: () => clock.ms,
      log: silentLog,
    },
  );
  const controller = new AbortController();
  const running = Promise.all([directory.run(controller.signal), hoster.run(controller.signal)]);
  return {
    node,
    peer: identity.peer,
    identity,
    overlay,
    engine,
    hoster,
    directory,
    async stop() {
      controller.abort();
      await running;
    },
  };
}

export async function collect(tokens: AsyncIterable<GeneratedToken>): Promise<GeneratedToken[]> {
  const all: GeneratedToken[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}

/** A prompt of `length` tokens. */
export function promptOf(length: number): number[] {
  return Array.from({ length }, (_, i) => (i * 29 + 5) % MODEL.vocab);
}
