// Nodes of one subnet in this process, on the twins of chain, overlay and journal: virtual blocks, no clock, no sockets. A block is over when
// everything that follows from it has happened (all of it is microtasks).

import { createMemoryChain, type MemoryChain } from '../../../src/chain/memory.ts';
import type { TwinParams } from '../../../src/chain/twin/state.ts';
import type { Chain, RegisterNode, Signer, Submission } from '../../../src/chain/types.ts';
import type { ChallengeInput } from '../../../src/consensus/challenge.ts';
import type { ClockParams } from '../../../src/consensus/phase.ts';
import { identityFromSeed, verifySignature } from '../../../src/p2p/identity.ts';
import { createMemoryNetwork, type MemoryNetwork } from '../../../src/p2p/memory.ts';
import type { Identity, Overlay } from '../../../src/p2p/types.ts';
import { createMemoryDisk, createMemoryJournal, killHolder, type MemoryDisk } from '../../../src/store/memory.ts';
import {
  type Address,
  type Epoch,
  type Hash,
  type NodeId,
  ONE,
  type ShardIndex,
  type SubnetId,
} from '../../../src/types/ids.ts';
import type { Manifest, ManifestShard } from '../../../src/types/model.ts';
import type { Policy } from '../../../src/types/subnet.ts';
import { toHex, u32le, utf8 } from '../../../src/util/bytes.ts';
import { sha256, shake256 } from '../../../src/util/hash.ts';
import { silentLog } from '../../../src/util/log.ts';
import {
  createValidator,
  type Validator,
  type ValidatorDeps,
  type ValidatorEvent,
} from '../../../src/validator/validator.ts';
import type { ManifestOf } from '../../../src/validator/work.ts';
import { encodePolicy, POLICY_DEFAULTS } from '../../../src/wire/policy.ts';

const WIDTH = 64;
const SHARDS = 4;
const CUT = 'four';
const TENSOR = 10n ** 18n;
const STAKE = 100n * TENSOR;

export type FakeEngine = NonNullable<ValidatorDeps['engine']>;

/** A computation that every honest node repeats exactly: each row mixed with its neighbours, around 1 in size. */
function compute(shard: number, input: ChallengeInput): Float32Array {
  const rows = input.kind === 'tokens' ? input.ids.length : input.count;
  const values = input.kind === 'tokens' ? Float32Array.from(input.ids) : input.data;
  return Float32Array.from({ length: rows * WIDTH }, (_, i) => {
    const x = values[i % values.length] as number;
    return Math.fround(Math.SQRT2 * Math.sin(x * 1.7 + i * 0.13 + shard));
  });
}

export const honestEngine: FakeEngine = { challenge: async (shard, rows) => compute(shard, rows) };

/** Values that have nothing to do with the input. */
export const noiseEngine: FakeEngine = {
  async challenge(shard, rows) {
    const out = compute(shard, rows);
    const noise = shake256(out.length * 2, utf8(`noise ${shard} ${out.length}`));
    return out.map((_, i) => ((noise[2 * i] as number) - (noise[2 * i + 1] as number)) / 100);
  },
};

/** What a node gets that computes in 8 bits to save memory: right to about one per cent. */
export const int8Engine: FakeEngine = {
  async challenge(shard, rows) {
    const out = compute(shard, rows);
    const scale = Math.max(...out.map(Math.abs)) / 127;
    return out.map((value) => Math.round(value / scale) * scale);
  },
};

/** Honest but on another machine: last bits differ. */
export const otherMachineEngine: FakeEngine = {
  challenge: async (shard, rows) => compute(shard, rows).map((value) => Math.fround(value * (1 + 6e-6))),
};

function bitsOf(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return view.getUint32(0);
}

function manifestOfFour(): Manifest {
  const shard = (k: number): ManifestShard => ({
    id: `s${k}`,
    format: 'f16',
    from: k,
    to: k + 1,
    first: k === 0,
    last: k === SHARDS - 1,
    graph: `s${k}.onnx`,
    weights: [],
    inputs: [],
    outputs: [],
    det: { graph: `s${k}.onnx` },
    tau: 1024,
    rmsBits: bitsOf(1),
    gBits: bitsOf(1 / 37837.23),
    probe: [],
    auditable: true,
    memory: { weights: 0, kvPerToken: 0 },
  });
  const shards = Array.from({ length: SHARDS }, (_, k) => shard(k));
  return {
    format: 'tessera-model/1',
    name: 'four',
    license: 'MIT',
    arch: 'llama',
    shape: { blocks: 4, width: WIDTH, ffn: 1, heads: 1, kvHeads: 1, headDim: 1, vocab: 512, maxContext: 64, eps: 1e-5 },
    rope: { theta: 1 },
    tie: false,
    tokenizer: { file: 't', bos: 1, eos: [2], specials: 8 },
    chatTemplate: 'c',
    files: {},
    cuts: { [CUT]: shards.map(({ id }) => id) },
    shards,
  };
}

const MANIFEST = manifestOfFour();
const MANIFEST_HASH = toHex(sha256(utf8('four')));

/** Of the model that every swarm runs. */
export const manifestOf: ManifestOf = (hash) => (hash === MANIFEST_HASH ? MANIFEST : undefined);

export interface SwarmOptions {
  readonly hosters: number;
  readonly attestors: number;
  readonly epochLength?: number;
  /** Engine of hoster i, default honest. */
  readonly engines?: Readonly<Record<number, FakeEngine>>;
  /** Wraps what node i (hosters first) sees of chain and overlay. */
  readonly wrap?: Readonly<Record<number, (deps: ValidatorDeps, swarm: Swarm) => ValidatorDeps>>;
  /** Wraps what each node sees, those that join later included. */
  readonly wrapAll?: (deps: ValidatorDeps, node: number, swarm: Swarm) => ValidatorDeps;
  /** Rules of the chain other than the twin's own. */
  readonly chain?: Partial<TwinParams>;
  /** Of the policy. */
  readonly challengeTokens?: number;
  /** Nodes that may join later. */
  readonly spare?: number;
  readonly gossipLoss?: number;
  /** Decides elections and challenges, and which gossip is lost. */
  readonly seed?: number;
  /** Whether the attestors hold all shards and audit. */
  readonly audits?: boolean;
  /** Shards of hoster i; default all but shard i mod 4. */
  readonly shardsOf?: (i: number) => readonly number[];
}

export interface SwarmNode {
  readonly id: NodeId;
  readonly identity: Identity;
  readonly disk: MemoryDisk;
  readonly events: ValidatorEvent[];
  readonly validator: Validator;
  readonly overlay: Overlay;
  readonly running: boolean;
  start(): void;
  /** As SIGKILL: nothing more is sent or written. */
  kill(): Promise<void>;
}

export interface Swarm {
  readonly chain: MemoryChain;
  readonly network: MemoryNetwork;
  readonly subnet: SubnetId;
  readonly clock: ClockParams;
  readonly genesis: Hash;
  /** The first live epoch. */
  readonly firstEpoch: Epoch;
  readonly nodes: readonly SwarmNode[];
  /** Runs to the block at this offset of an epoch. */
  runTo(epoch: number, offset: number): Promise<void>;
  submission(epoch: number): Promise<Submission | undefined>;
  /** Node id -> score of the submission of an epoch. */
  scores(epoch: number): Promise<ReadonlyMap<number, bigint>>;
  /** Registers another hoster; it runs from the block on in which that happens, and is to be activated later. */
  join(): Promise<SwarmNode>;
  activate(node: SwarmNode): Promise<void>;
  /** Takes a node's seat away and ends it. */
  leave(node: SwarmNode): Promise<void>;
  stop(): Promise<void>;
}

export async function createSwarm(options: SwarmOptions): Promise<Swarm> {
  const { hosters, attestors, epochLength = 20 } = options;
  const count = hosters + attestors;
  const accounts = Array.from({ length: 2 * (count + (options.spare ?? 0)) + 1 }, (_, i) => account(i));
  const chain = createMemoryChain({
    ...options.chain,
    epochLength,
    funds: new Map(accounts.map(({ address }) => [address, 10_000n * TENSOR])),
    seed: String(options.seed ?? ''),
  });
  const [owner, ...rest] = accounts as [Signer, ...Signer[]];
  const identities = Array.from({ length: count }, (_, i) => identityFromSeed(sha256(u32le(i))));
  const policy = {
    ...POLICY_DEFAULTS,
    manifest: MANIFEST_HASH,
    cut: CUT,
    ...(options.challengeTokens === undefined ? {} : { challengeTokens: options.challengeTokens }),
  };
  const subnet = await register(chain, { owner, accounts: rest, identities, policy });
  const nodes: SwarmNode[] = [];
  const found = await chain.chain.subnet(subnet);
  if (found === undefined) throw new Error('the subnet is not there');
  const { genesis } = await chain.chain.info();
  const clock = { slot: found.slot, epochLength };
  const network = createMemoryNetwork({ gossipLoss: options.gossipLoss ?? 0, seed: options.seed ?? 1 });
  const swarm: Swarm = {
    chain,
    network,
    subnet,
    clock,
    genesis,
    firstEpoch: found.startEpoch as Epoch,
    nodes,
    async runTo(epoch, offset) {
      await chain.runTo(epoch * epochLength + clock.slot + offset);
      await nextTurn();
    },
    submission: (epoch) => chain.chain.submission(subnet, epoch as Epoch),
    async scores(epoch) {
      const submitted = await chain.chain.submission(subnet, epoch as Epoch);
      return new Map((submitted?.scores ?? []).map(({ nodeId, score }) => [Number(nodeId), score]));
    },
    async join() {
      const index = nodes.length;
      const identity = identityFromSeed(sha256(u32le(index)));
      await chain.chain.registerNode(
        rest[2 * index] as Signer,
        registration(subnet, rest[2 * index + 1] as Signer, identity),
      );
      const node = made(index, identity, { shards: shardsOf(index), audits: false, engine: honestEngine });
      nodes.push(node);
      node.start();
      return node;
    },
    async activate({ id }) {
      await chain.chain.activateNode(rest[2 * id - 1] as Signer, subnet, id);
    },
    async leave(node) {
      await chain.chain.removeNode(rest[2 * node.id - 1] as Signer, subnet, node.id);
      await node.kill();
    },
    async stop() {
      await Promise.all(swarm.nodes.map((node) => node.kill()));
    },
  };
  const shardsOf = options.shardsOf ?? ((i: number) => [0, 1, 2, 3].filter((k) => k !== i % SHARDS));
  const wrapOf = (i: number): Parts['wrap'] => {
    const [all, own] = [options.wrapAll, options.wrap?.[i]];
    return all === undefined ? own : (deps, of) => all(own === undefined ? deps : own(deps, of), i + 1, of);
  };
  const made = (
    index: number,
    identity: Identity,
    what: { readonly shards: readonly number[]; readonly audits: boolean; readonly engine: FakeEngine | undefined },
  ): SwarmNode =>
    createNode(
      swarm,
      {
        index,
        identity,
        hotkey: rest[2 * index + 1] as Signer,
        shards: what.shards as ShardIndex[],
        audits: what.audits,
      },
      { engine: what.engine, wrap: wrapOf(index) },
    );
  nodes.push(
    ...identities.map((identity, i) => {
      const isHoster = i < hosters;
      const audits = !isHoster && options.audits === true;
      const shards = isHoster ? shardsOf(i) : audits ? [0, 1, 2, 3] : [];
      const engine = isHoster || audits ? (options.engines?.[i] ?? honestEngine) : undefined;
      return made(i, identity, { shards, audits, engine });
    }),
  );
  for (const node of swarm.nodes) node.start();
  return swarm;
}

interface Seat {
  readonly index: number;
  readonly identity: Identity;
  readonly hotkey: Signer;
  readonly shards: readonly ShardIndex[];
  readonly audits: boolean;
}

interface Parts {
  readonly engine: FakeEngine | undefined;
  readonly wrap: ((deps: ValidatorDeps, swarm: Swarm) => ValidatorDeps) | undefined;
}

function createNode(swarm: Swarm, seat: Seat, parts: Parts): SwarmNode {
  const { identity, hotkey, shards, audits } = seat;
  const id = (seat.index + 1) as NodeId;
  const disk = createMemoryDisk();
  const events: ValidatorEvent[] = [];
  let life: { validator: Validator; overlay: Overlay; stop: AbortController; done: Promise<void> } | undefined;
  let last: { validator: Validator; overlay: Overlay } | undefined;

  function alive() {
    const found = life ?? last;
    if (found === undefined) throw new Error(`node ${id} never ran`);
    return found;
  }

  return {
    id,
    identity,
    disk,
    events,
    get validator() {
      return alive().validator;
    },
    get overlay() {
      return alive().overlay;
    },
    get running() {
      return life !== undefined;
    },
    start() {
      // The overlay's record rules ask the validator, which is made with the overlay: bound late, as in the node.
      const late: { validator?: Validator } = {};
      const records = {
        judge: async (key: string, value: Uint8Array) => late.validator?.judge(key, value) ?? 'ignore',
        replaces: () => false,
        maxRecordBytes: 24 << 10,
      };
      const overlay = swarm.network.join(identity, { records });
      const journal = createMemoryJournal({ genesis: swarm.genesis, disk });
      const chain: Chain = swarm.chain.connect();
      const base: ValidatorDeps = {
        chain,
        overlay,
        journal,
        identity,
        hotkey,
        manifestOf,
        verify: verifySignature,
        log: silentLog,
        ...(parts.engine === undefined ? {} : { engine: parts.engine }),
      };
      const deps = parts.wrap === undefined ? base : parts.wrap(base, swarm);
      const { genesis, subnet, clock } = swarm;
      const validator = createValidator({ genesis, subnet, node: id, clock, shards, audits }, deps);
      late.validator = validator;
      validator.on((event) => events.push(event));
      const stop = new AbortController();
      life = { validator, overlay, stop, done: validator.run(stop.signal) };
    },
    async kill() {
      if (life === undefined) return;
      const { validator, overlay, stop, done } = life;
      last = { validator, overlay };
      life = undefined;
      swarm.network.kill(identity.peer);
      killHolder(disk);
      stop.abort();
      await done;
    },
  };
}

async function register(
  chain: MemoryChain,
  who: {
    readonly owner: Signer;
    readonly accounts: readonly Signer[];
    readonly identities: readonly Identity[];
    readonly policy: Policy;
  },
): Promise<SubnetId> {
  const bootnode = identityFromSeed(sha256(utf8('bootnode'))).peer;
  const { subnet } = await chain.include(
    chain.chain.registerSubnet(who.owner, {
      name: 'four',
      repo: 'r',
      description: 'd',
      misc: encodePolicy(who.policy),
      minStake: STAKE,
      maxStake: STAKE,
      delegateStakePercentage: ONE / 10n,
      bootnodes: new Map([[bootnode, `/ip4/127.0.0.1/tcp/1/p2p/${bootnode}`]]),
      maxCost: 100n * TENSOR,
    }),
  );
  for (const [i, identity] of who.identities.entries()) {
    const [coldkey, hotkey] = [who.accounts[2 * i], who.accounts[2 * i + 1]] as [Signer, Signer];
    const { node } = await chain.include(chain.chain.registerNode(coldkey, registration(subnet, hotkey, identity)));
    await chain.include(chain.chain.activateNode(hotkey, subnet, node));
  }
  await chain.include(chain.chain.activateSubnet(who.owner, subnet));
  return subnet;
}

function registration(subnet: SubnetId, hotkey: Signer, { peer }: Identity): RegisterNode {
  const peerInfo = { peer };
  return { subnet, hotkey: hotkey.address, peerInfo, delegateRewardRate: 0n, stake: STAKE, maxBurn: TENSOR };
}

function account(i: number): Signer {
  const address = `0x${toHex(sha256(utf8(`account ${i}`)).subarray(0, 20))}` as Address;
  return { address, sign: () => new Uint8Array(65) };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
