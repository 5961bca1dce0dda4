// A subnet of real nodes in this process: dev chain, chain client, libp2p on loopback, ONNX Runtime, journals on disk, each node made by
// node.ts. The test makes every block, and only when what the block before asked of the nodes has happened: nothing here waits for time.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSigner } from '../../src/chain/accounts.ts';
import { openSocket, type RpcSocket } from '../../src/chain/substrate/rpc-socket.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import type { Chain, Subnet } from '../../src/chain/types.ts';
import { type ClockParams, firstBlock, type Moment, phaseAt, windowsOf } from '../../src/consensus/phase.ts';
import { createDevChain } from '../../src/devchain/devchain.ts';
import { BUNDLED_SPEC } from '../../src/devnet/devnet.ts';
import { foundNetwork, type Member, skipToFirstEpoch } from '../../src/devnet/found.ts';
import { shardsText } from '../../src/devnet/plan.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import type { MoveEvent } from '../../src/node/mover.ts';
import { createNode, type Node, type NodeDeps, type NodeParts } from '../../src/node/node.ts';
import { pullModel } from '../../src/node/pull-model.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { BlockNumber, Epoch, NodeId } from '../../src/types/ids.ts';
import type { EpochKind, SignedRecord } from '../../src/types/record.ts';
import type { Policy } from '../../src/types/subnet.ts';
import { silentLog } from '../../src/util/log.ts';
import { decodeRecords, EVIDENCE_PROTOCOL } from '../../src/validator/evidence-protocol.ts';
import type { ValidatorEvent } from '../../src/validator/validator.ts';
import { decodeRecord } from '../../src/wire/record.ts';

const MODEL = new URL('../../models/tiny', import.meta.url).pathname;
/** Events among which the newest head is. */
const RECENT = 64;
/** The last block of a window that a record must have reached everybody by. */
const BEFORE = 1;

/** What stands between one node and the world. */
export interface Disguise {
  readonly parts?: (member: Member) => Partial<NodeParts>;
  readonly chain?: (chain: Chain, loopback: Loopback) => Chain;
  /** It answers no challenge of its own, so nobody waits for its work. */
  readonly idle?: boolean;
  /** Not everything reaches it as it was sent. */
  readonly deaf?: boolean;
  /** Proposes nothing when it is elected, so nobody waits for that. */
  readonly mute?: boolean;
  /** Kinds of records that nobody waits for, because this node keeps them back. */
  readonly withholds?: readonly EpochKind[];
  /** An attestor that holds the model and looks at what others serve. */
  readonly audits?: boolean;
  /** Runs when `start` is called, not from the beginning. */
  readonly late?: boolean;
  /** Chooses its shards itself, and moves, with so much memory for weights and caches. */
  readonly autoBytes?: number;
  /** Has nothing of the model at first and fetches from the others what it needs. */
  readonly pulls?: boolean;
}

export interface LoopbackOptions {
  readonly hosters: number;
  readonly attestors: number;
  /** By index, hosters first. */
  readonly disguises: Readonly<Record<number, Disguise>>;
  /** What differs from a usual policy. */
  readonly policy?: Partial<Policy>;
  /** Blocks go on as soon as nobody has anything to do but wait for one, whatever has reached whom by then. */
  readonly hurries?: boolean;
}

export interface LoopbackNode {
  readonly id: NodeId;
  readonly member: Member;
  readonly node: Node;
  readonly events: readonly ValidatorEvent[];
  /** Records that were shown to this node's validator. */
  readonly seen: ReadonlyMap<string, SignedRecord>;
  /** The newest announce of each hoster that it was shown, its own among them: block. */
  readonly announced: ReadonlyMap<NodeId, BlockNumber>;
  readonly moves: readonly MoveEvent[];
  /** Why it ended by itself, if it did; it is none of the nodes from then on. */
  readonly failure: unknown;
}

export interface Loopback {
  /** For processes beside this one. */
  readonly endpoint: string;
  readonly chain: Chain;
  readonly model: Model;
  readonly subnet: Subnet;
  readonly nodes: readonly LoopbackNode[];
  readonly firstEpoch: Epoch;
  readonly clock: ClockParams;
  /** Of the last block. */
  epoch(): Epoch;
  /** The block at an offset of an epoch, and all that it brings about before the next one. */
  runTo(epoch: number, offset: number): Promise<void>;
  /** Resolves when it holds; looked at again whenever something has happened. */
  until(holds: () => boolean): Promise<void>;
  /** Starts a late one, or one that was stopped. */
  start(id: number): Promise<LoopbackNode>;
  /** Ends one node; the others go on. */
  end(id: number): Promise<void>;
  stop(): Promise<void>;
}

interface Mutable extends LoopbackNode {
  node: Node;
  /** The epoch in which it was started. */
  readonly since: Epoch;
  readonly ending: AbortController;
  ended: Promise<void>;
  failure: unknown;
  readonly events: ValidatorEvent[];
  readonly seen: Map<string, SignedRecord>;
  readonly moves: MoveEvent[];
  readonly disguise: Disguise;
}

/** Conditions that are looked at again whenever something has happened. */
function createHub() {
  const waiting = new Set<() => void>();
  return {
    poke: () => {
      for (const look of waiting) look();
    },
    until: (holds: () => boolean): Promise<void> =>
      new Promise((resolve) => {
        const look = () => {
          if (!holds()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

export function recordName(kind: EpochKind, epoch: number, node: number): string {
  return `${kind}/${epoch}/${node}`;
}

export async function createLoopback(options: LoopbackOptions): Promise<Loopback> {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-loopback-'));
  const model = await openModel(MODEL);
  const devchain = await createDevChain({ spec: BUNDLED_SPEC, mode: 'manual' }, { log: silentLog });
  const chain = await connectChain({ endpoints: [devchain.endpoint] }, { log: silentLog });
  const ending = new AbortController();
  const { signal } = ending;
  const rpc = await openSocket(devchain.endpoint, signal);
  const { subnet, members } = await foundNetwork({ ...options, dataDir: folder }, { chain, devchain, model }, signal);
  const clock = await skipToFirstEpoch(subnet, devchain, chain, signal);
  const { first: firstEpoch } = clock;
  const windows = windowsOf(clock.epochLength);
  const hub = createHub();
  const nodes: Mutable[] = [];

  const loopback: Loopback = {
    endpoint: devchain.endpoint,
    chain,
    model,
    subnet,
    nodes,
    firstEpoch,
    clock,
    epoch: () => momentOf(devchain.head().number).epoch,
    async runTo(epoch, offset) {
      const goal = firstBlock(epoch as Epoch, clock) + offset;
      while (devchain.head().number < goal) await makeBlock();
    },
    until: hub.until,
    start: (id) => startNode(id - 1),
    async end(id) {
      const node = nodes.find((one) => one.id === id);
      node?.ending.abort();
      await node?.ended;
    },
    async stop() {
      ending.abort();
      await Promise.all([...nodes].map(({ ended }) => ended));
      rpc.close();
      await chain.close();
      await devchain.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };

  async function makeBlock(): Promise<void> {
    const block = (await devchain.newBlock()).number as BlockNumber;
    await hub.until(() => nodes.every(({ events }) => lastHead(events) >= block));
    if (options.hurries === true) return atRest();
    const { epoch, offset } = momentOf(block);
    if (!isWhole(epoch)) await atRest();
    else if (offset === 0 && (await canPropose(epoch))) await transactions('propose', epoch, 1);
    else if (offset === 1 && (await canPropose(epoch))) await voted(epoch);
    if (offset === windows.reveal - BEFORE) await everybodyHolds('hc', epoch);
    if (offset === windows.score - BEFORE) await everybodyHolds('hr', epoch);
    if (offset === windows.score - BEFORE) await everybodyHolds('sr', (epoch - 1) as Epoch);
    if (offset === windows.length - BEFORE) await everybodyHolds('sc', epoch);
  }

  function momentOf(block: number): Moment {
    const moment = phaseAt(block as BlockNumber, clock);
    if (moment === undefined) throw new RangeError(`block ${block} is in no epoch`);
    return moment;
  }

  /** Whether everybody has witnessed the epoch before (or there was none): else nobody can say in which block its scores are proposed. */
  function isWhole(epoch: Epoch): boolean {
    if (epoch <= firstEpoch) return true;
    return nodes.length === members.length && nodes.every(({ since }) => since < epoch - 1);
  }

  /** Calls of `attest` or `propose` per epoch. */
  const calls = new Map<string, number>();

  /** Of these, by node, those that wait for a block. */
  const pending = new Map<number, number>();

  function counting(inner: Chain, node: number): Chain {
    const note = async <T>(call: 'propose' | 'attest', epoch: Epoch, send: () => Promise<T>): Promise<T> => {
      const name = `${call} ${epoch}`;
      calls.set(name, (calls.get(name) ?? 0) + 1);
      pending.set(node, (pending.get(node) ?? 0) + 1);
      hub.poke();
      try {
        return await send();
      } finally {
        pending.set(node, (pending.get(node) ?? 1) - 1);
      }
    };
    return {
      ...inner,
      propose: (hotkey, proposal, submitOptions) =>
        note('propose', proposal.epoch, () => inner.propose(hotkey, proposal, submitOptions)),
      attest: (hotkey, id, epoch, data, submitOptions) =>
        note('attest', epoch, () => inner.attest(hotkey, id, epoch, data, submitOptions)),
    };
  }

  /** Until nobody has anything to do but wait for a block. */
  async function atRest(): Promise<void> {
    const isBusy = ({ id, node }: Mutable): boolean => node.validator.status().busy > (pending.get(id) ?? 0);
    const sent = (): number => nodes.reduce((sum, { id }) => sum + (pending.get(id) ?? 0), 0);
    while (nodes.some(isBusy) || (await pooled(rpc)) < sent()) await pooled(rpc);
  }

  /** A deaf one lacks what it would have to name: nobody waits for its proposal. */
  async function canPropose(epoch: Epoch): Promise<boolean> {
    const elected = await chain.electedValidator(subnet.id, epoch);
    return nodes.some(({ id, disguise }) => id === elected && disguise.deaf !== true && disguise.mute !== true);
  }

  /** Until that many transactions have been made and lie in the pool. */
  async function transactions(call: 'propose' | 'attest', epoch: Epoch, count: number): Promise<void> {
    await hub.until(() => (calls.get(`${call} ${epoch}`) ?? 0) >= count);
    while ((await pooled(rpc)) < count) signal.throwIfAborted();
  }

  /** Until everybody who runs, but the proposer, has voted or said why not. */
  async function voted(epoch: Epoch): Promise<void> {
    const submission = await chain.submission(subnet.id, epoch);
    const awaited = nodes.filter(({ id }) => submission?.validators.includes(id) && id !== submission.proposer);
    const abstained = () =>
      nodes.filter(({ events }) => events.some((event) => event.type === 'abstained' && event.epoch === epoch)).length;
    await hub.until(() => (calls.get(`attest ${epoch}`) ?? 0) + abstained() >= awaited.length);
    await transactions('attest', epoch, calls.get(`attest ${epoch}`) ?? 0);
  }

  /** Until what each node owes of a kind has reached everybody. */
  async function everybodyHolds(kind: EpochKind, epoch: Epoch): Promise<void> {
    const isWork = kind === 'hc' || kind === 'hr';
    if (epoch < firstEpoch) return;
    const owing = nodes.filter(({ node, disguise, since }) => {
      if (disguise.withholds?.includes(kind) || since >= epoch) return false;
      return !isWork || (node.shards.length > 0 && disguise.idle !== true);
    });
    const names = owing.map(({ id }) => recordName(kind, epoch, id));
    const ears = nodes.filter(({ disguise }) => disguise.deaf !== true);
    await hub.until(() => ears.every(({ seen }) => names.every((name) => seen.has(name))));
  }

  async function startNode(index: number): Promise<LoopbackNode> {
    const member = members[index];
    if (member === undefined) throw new RangeError(`no node ${index + 1}`);
    const disguise = options.disguises[index] ?? {};
    const seen = new Map<string, SignedRecord>();
    const announced = new Map<NodeId, BlockNumber>();
    const parts = disguise.parts?.(member) ?? {};
    const listening: NodeParts['createOverlay'] = async (overlayOptions, overlayDeps) =>
      withEars(await (parts.createOverlay ?? createOverlay)(overlayOptions, overlayDeps), (record) => {
        const { kind, epoch, node } = record.body;
        if (record.body.kind === 'an') announced.set(node, record.body.block);
        else seen.set(recordName(kind as EpochKind, epoch, node), record);
        hub.poke();
      });
    const nodeChain = disguise.chain?.(chain, loopback) ?? chain;
    const deps = await depsOf(member, { chain: counting(nodeChain, member.id), subnet, model });
    const { role, dataDir, port } = member.plan;
    const shards = disguise.autoBytes === undefined ? shardsText(member.plan.shards) : 'auto';
    const initialPeers = nodes.flatMap((other) => other.node.addresses);
    const wanted = { dataDir, role, shards, initialPeers, networkKey: undefined, fromPeers: true, urls: [] };
    const pulled =
      disguise.pulls === true ? await pullModel(wanted, { ...deps, onProgress: () => undefined }, signal) : {};
    const node = await createNode(
      {
        role,
        audits: disguise.audits ?? false,
        shards,
        memoryBytes: disguise.autoBytes,
        device: 'cpu',
        threads: 1,
        dataDir,
        listen: [`/ip4/127.0.0.1/tcp/${port}`],
        announce: [],
        initialPeers,
        newSwarm: nodes.length === 0,
        version: 'test',
        watchesKeys: disguise.parts === undefined,
      },
      { ...deps, ...pulled, parts: { ...parts, createOverlay: listening } },
      signal,
    );
    const events: ValidatorEvent[] = [];
    node.validator.on((event) => {
      events.push(event);
      hub.poke();
    });
    const moves: MoveEvent[] = [];
    node.onMove((event) => {
      moves.push(event);
      hub.poke();
    });
    const own = new AbortController();
    const since = phaseAt(devchain.head().number as BlockNumber, clock)?.epoch ?? firstEpoch;
    const ended = Promise.resolve();
    const failure = undefined;
    const started: Mutable = {
      id: member.id as NodeId,
      member,
      node,
      events,
      seen,
      announced,
      moves,
      disguise,
      since,
      ending: own,
      ended,
      failure,
    };
    started.ended = follow(started);
    nodes.push(started);
    return started;
  }

  async function follow(started: Mutable): Promise<void> {
    try {
      await started.node.run(AbortSignal.any([signal, started.ending.signal]));
    } catch (error) {
      started.failure = error;
    }
    nodes.splice(nodes.indexOf(started), 1);
    hub.poke();
  }

  for (const index of members.keys()) if (options.disguises[index]?.late !== true) await startNode(index);
  return loopback;
}

async function depsOf(
  { id, plan, identity }: Member,
  { chain, subnet, model }: { readonly chain: Chain; readonly subnet: Subnet; readonly model: Model },
): Promise<NodeDeps> {
  const node = await chain.node(subnet.id, id as NodeId);
  if (node === undefined) throw new Error(`node ${id} is not registered`);
  return { chain, subnet, node, hotkey: await openSigner(plan.hotkey), identity, model, log: silentLog };
}

type MadeOverlay = Awaited<ReturnType<typeof createOverlay>>;

/** Tells of every record that this node sends, hears or fetches. */
function withEars(overlay: MadeOverlay, hear: (record: SignedRecord) => void): MadeOverlay {
  const listen = (bytes: Uint8Array): void => {
    const decoded = decodeRecord(bytes);
    if (decoded.ok) hear(decoded.record);
  };
  return {
    ...overlay,
    publish: (topic, message) => {
      listen(message);
      return overlay.publish(topic, message);
    },
    subscribe: (topic, judge) =>
      overlay.subscribe(topic, async (message, from) => {
        const verdict = await judge(message, from);
        listen(message);
        return verdict;
      }),
    request: async (peer, protocol, body, requestOptions) => {
      const answer = await overlay.request(peer, protocol, body, requestOptions);
      // Heard when the asker has had its turn to admit them.
      if (protocol === EVIDENCE_PROTOCOL) setImmediate(() => decodeRecords(answer)?.forEach(listen));
      return answer;
    },
  };
}

/** What two heads bring about may end in another order. */
function lastHead(events: readonly ValidatorEvent[]): number {
  return Math.max(-1, ...events.slice(-RECENT).flatMap((event) => (event.type === 'head' ? [event.block] : [])));
}

async function pooled(rpc: RpcSocket): Promise<number> {
  return ((await rpc.send('author_pendingExtrinsics', [])) as unknown[]).length;
}
