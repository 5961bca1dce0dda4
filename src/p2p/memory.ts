// The twin of libp2p.ts: a whole network within one process, without sockets, timers or keys, the same on every run.
// Deliveries happen one after the other, as microtasks or when `flush` is called. For tests and simulations.

import type { PeerId } from '../types/ids.ts';
import { peerFromAddress } from '../types/peer-id.ts';
import { equalBytes, toHex, utf8 } from '../util/bytes.ts';
import { sha256 } from '../util/hash.ts';
import { frameTooLarge, overlayClosed, recordRefused, refused, streamReset, unreachable } from './errors.ts';
import { createStreamPair } from './memory-stream.ts';
import { createRefusals, type Refusals } from './refusals.ts';
import { requestOver, serveRequest } from './request.ts';
import { bestRecord, createShelf, refusal, type Shelf } from './shelf.ts';
import {
  type FrameStream,
  type Identity,
  MAX_GOSSIP_BYTES,
  type Overlay,
  type ProtocolOptions,
  type RecordRules,
  type RefusalCode,
  type Verdict,
} from './types.ts';

export interface MemoryNetworkOptions {
  /** Decides which gossip messages are lost. */
  readonly seed?: number;
  /** Share of gossip messages lost on each hop, 0 to 1. */
  readonly gossipLoss?: number;
  /** 'microtask' delivers by itself; 'manual' only while `flush` runs. */
  readonly delivery?: 'microtask' | 'manual';
  /** What a stream's sender may be ahead of its reader. */
  readonly windowBytes?: number;
  /** Whether a peer that joins is connected to all others, as after some seconds of discovery. */
  readonly autoConnect?: boolean;
}

export interface MemoryNetwork {
  /** `rules` default to accepting every record, each key written once. A killed or closed peer may join again. */
  join(who: PeerId | Pick<Identity, 'peer'>, options?: { readonly records?: RecordRules }): Overlay;
  /** Only peers of one group reach each other from now on; who is in none is alone. */
  partition(groups: readonly (readonly PeerId[])[]): void;
  /** Ends a partition; with `autoConnect` all are connected again. */
  heal(): void;
  /** The peer is gone without a word: its connections break and its own overlay is closed. */
  kill(peer: PeerId): void;
  /** Delivers what is under way and what follows from it, until nothing moves any more. */
  flush(): Promise<void>;
}

/** About what yamux starts a stream with (network.md 4). */
const DEFAULT_WINDOW_BYTES = 256 << 10;
/** kad-dht's k: how many peers hold a record (network.md, decisions). */
const REPLICAS = 8;
/** Gossip messages remembered per peer, so that none is judged twice. */
const SEEN_LIMIT = 8192;
/** `flush` ends after so many microtask turns without anything new to deliver: longer chains of awaits wait for nothing of ours. */
const SETTLE_TURNS = 100;

const OPEN_RULES: RecordRules = {
  judge: async () => 'accept',
  replaces: () => false,
  maxRecordBytes: 1 << 20,
};

interface Served {
  readonly options: ProtocolOptions;
  readonly handler: (stream: FrameStream) => Promise<void>;
  /** Open streams by peer. */
  readonly open: Map<PeerId, number>;
}

interface Node {
  readonly self: PeerId;
  readonly rules: RecordRules;
  readonly shelf: Shelf;
  readonly refusals: Refusals;
  /** SHA-256 of contents, as hex. */
  readonly provided: Set<string>;
  readonly protocols: Map<string, Served>;
  readonly topics: Map<string, (message: Uint8Array, from: PeerId) => Promise<Verdict>>;
  readonly seen: Set<string>;
  readonly links: Set<Node>;
  /** Streams by what breaks them off. */
  readonly streams: Map<() => void, Node>;
  alive: boolean;
}

interface World {
  readonly nodes: Map<PeerId, Node>;
  readonly windowBytes: number;
  groups: readonly ReadonlySet<PeerId>[] | undefined;
  readonly post: (job: () => void) => void;
  readonly isLost: () => boolean;
}

export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const mail = createMail(options.delivery ?? 'microtask');
  const autoConnect = options.autoConnect ?? true;
  const random = createRandom(options.seed ?? 1);
  const gossipLoss = options.gossipLoss ?? 0;
  const world: World = {
    nodes: new Map(),
    windowBytes: options.windowBytes ?? DEFAULT_WINDOW_BYTES,
    groups: undefined,
    post: mail.post,
    isLost: () => random() < gossipLoss,
  };

  function meetAll(node: Node): void {
    for (const other of world.nodes.values()) if (canReach(world, node, other)) link(node, other);
  }

  return {
    join(who, joinOptions = {}) {
      const self = typeof who === 'string' ? who : who.peer;
      if (world.nodes.get(self)?.alive) throw new Error(`${self} has joined already`);
      const node = createNode(self, joinOptions.records ?? OPEN_RULES);
      world.nodes.set(self, node);
      if (autoConnect) meetAll(node);
      return createMemoryOverlay(world, node);
    },
    partition(groups) {
      world.groups = groups.map((group) => new Set(group));
      for (const node of world.nodes.values())
        for (const other of node.links) if (!canReach(world, node, other)) cut(node, other);
    },
    heal() {
      world.groups = undefined;
      if (autoConnect) for (const node of world.nodes.values()) meetAll(node);
    },
    kill(peer) {
      const node = world.nodes.get(peer);
      if (node !== undefined) die(node);
    },
    flush: mail.flush,
  };
}

/** First come, first served. */
function createMail(delivery: 'microtask' | 'manual'): { post(job: () => void): void; flush(): Promise<void> } {
  const queue: (() => void)[] = [];
  let scheduled = false;

  function deliver(): void {
    scheduled = false;
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) job();
  }

  return {
    post(job) {
      queue.push(job);
      if (delivery === 'manual' || scheduled) return;
      scheduled = true;
      queueMicrotask(deliver);
    },
    async flush() {
      for (let quiet = 0; quiet < SETTLE_TURNS; quiet += 1) {
        if (queue.length > 0) quiet = 0;
        deliver();
        await Promise.resolve();
      }
    },
  };
}

/** Numbers in [0, 1): a linear congruential generator is enough to choose what gets lost. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function createNode(self: PeerId, rules: RecordRules): Node {
  return {
    self,
    rules,
    shelf: createShelf(rules.replaces),
    refusals: createRefusals(),
    provided: new Set(),
    protocols: new Map(),
    topics: new Map(),
    seen: new Set(),
    links: new Set(),
    streams: new Map(),
    alive: true,
  };
}

function canReach(world: World, a: Node, b: Node): boolean {
  if (a === b || !a.alive || !b.alive) return false;
  return world.groups?.some((group) => group.has(a.self) && group.has(b.self)) ?? true;
}

function link(a: Node, b: Node): void {
  a.links.add(b);
  b.links.add(a);
}

function cut(a: Node, b: Node): void {
  a.links.delete(b);
  b.links.delete(a);
  for (const [sever, other] of [...a.streams]) if (other === b) sever();
}

function die(node: Node): void {
  node.alive = false;
  for (const other of [...node.links]) cut(node, other);
}

/** The node behind a peer id, connected; PEER_UNREACHABLE when there is none or a partition lies between. */
function reach(world: World, node: Node, peer: PeerId): Node {
  const other = world.nodes.get(peer);
  if (other === undefined) throw unreachable(peer, 'nobody of that name has joined');
  if (!canReach(world, node, other)) throw unreachable(peer, 'it does not answer');
  link(node, other);
  return other;
}

function createMemoryOverlay(world: World, node: Node): Overlay {
  const assertOpen = () => {
    if (!node.alive) throw overlayClosed();
  };
  const serve = (protocol: string, options: ProtocolOptions, handler: Served['handler']) => {
    assertOpen();
    node.protocols.set(protocol, { options, handler, open: new Map() });
  };
  const open: Overlay['openStream'] = async (peer, protocol, options) => {
    assertOpen();
    return openStream(world, node, peer, protocol, options);
  };
  return {
    self: node.self,
    addresses: () => [`/memory/${node.self}/p2p/${node.self}`],
    peers: () => [...node.links].map((other) => other.self),
    relayed: () => [],
    async connect(address, signal) {
      assertOpen();
      signal?.throwIfAborted();
      const peer = peerFromAddress(address);
      if (peer === undefined) throw unreachable(address, 'the address does not end in /p2p/<peer id>');
      await hop(world);
      reach(world, node, peer);
      return peer;
    },
    async learn() {
      assertOpen();
    },
    async disconnect(peer) {
      const other = world.nodes.get(peer);
      if (other !== undefined) cut(node, other);
    },
    refusals: node.refusals.all,
    handleRequest: async (protocol, options, handler) =>
      serve(protocol, options, serveRequest(handler, options.maxFrameBytes)),
    async request(peer, protocol, body, options) {
      if (body.length > options.maxFrameBytes) throw frameTooLarge(body.length, options.maxFrameBytes);
      return requestOver(await open(peer, protocol, options), protocol, body, options.signal);
    },
    handleStream: async (protocol, options, handler) => serve(protocol, options, handler),
    openStream: open,
    subscribe(topic, judge) {
      assertOpen();
      node.topics.set(topic, judge);
    },
    async publish(topic, message) {
      assertOpen();
      if (message.length > MAX_GOSSIP_BYTES) throw frameTooLarge(message.length, MAX_GOSSIP_BYTES);
      if (![...node.links].some((other) => other.topics.has(topic))) return 0;
      const own = message.slice();
      return isNew(node, topic, own) ? spread(world, node, topic, own, undefined) : 0;
    },
    async putRecord(key, value, signal) {
      assertOpen();
      return putRecord(world, node, key, value, signal);
    },
    async getRecord(key, signal) {
      assertOpen();
      return getRecord(world, node, key, signal);
    },
    async provide(content) {
      assertOpen();
      node.provided.add(toHex(content));
    },
    async providers(content) {
      assertOpen();
      await hop(world);
      const name = toHex(content);
      return [...world.nodes.values()]
        .filter((other) => canReach(world, node, other) && other.provided.has(name))
        .map((other) => other.self);
    },
    async close() {
      die(node);
    },
  };
}

/** One delivery's worth of waiting. */
function hop(world: World): Promise<void> {
  return new Promise((resolve) => world.post(resolve));
}

async function openStream(
  world: World,
  node: Node,
  peer: PeerId,
  protocol: string,
  options: { readonly maxFrameBytes: number; readonly signal: AbortSignal },
): Promise<FrameStream> {
  options.signal.throwIfAborted();
  const other = reach(world, node, peer);
  await hop(world);
  const served = other.protocols.get(protocol);
  if (served === undefined) throw refused(peer, protocol, 'it does not serve this protocol');
  const why = await notAdmitted(served, node.self);
  if (why !== undefined) {
    other.refusals.note(node.self, why);
    throw refused(peer, protocol, 'it does not admit this peer, or no more streams of it');
  }
  await hop(world);
  options.signal.throwIfAborted();
  if (!node.links.has(other)) throw streamReset(peer, protocol, 'the connection closed');
  return startStream(world, node, other, protocol, served, options.maxFrameBytes);
}

/** Takes no slot yet: `startStream` counts once the opener is known to want the stream. */
async function notAdmitted(served: Served, peer: PeerId): Promise<RefusalCode | undefined> {
  if (!(await judged(async () => served.options.admit(peer), false))) return 'NOT_ADMITTED';
  return (served.open.get(peer) ?? 0) < served.options.maxStreamsPerPeer ? undefined : 'TOO_MANY_STREAMS';
}

function startStream(
  world: World,
  node: Node,
  other: Node,
  protocol: string,
  served: Served,
  maxFrameBytes: number,
): FrameStream {
  served.open.set(node.self, (served.open.get(node.self) ?? 0) + 1);
  const pair = createStreamPair({
    protocol,
    ends: [
      { peer: other.self, maxFrameBytes, onTooLarge: () => node.refusals.note(other.self, 'FRAME_TOO_LARGE') },
      {
        peer: node.self,
        maxFrameBytes: served.options.maxFrameBytes,
        onTooLarge: () => other.refusals.note(node.self, 'FRAME_TOO_LARGE'),
      },
    ],
    windowBytes: world.windowBytes,
    post: world.post,
    onGone() {
      served.open.set(node.self, (served.open.get(node.self) ?? 1) - 1);
      node.streams.delete(pair.sever);
      other.streams.delete(pair.sever);
    },
  });
  node.streams.set(pair.sever, other);
  other.streams.set(pair.sever, node);
  void runHandler(served.handler, pair.streams[1]);
  return pair.streams[0];
}

/** The stream ends when the handler does; a handler that throws breaks it off. */
async function runHandler(handler: Served['handler'], stream: FrameStream): Promise<void> {
  try {
    await handler(stream);
    await stream.close();
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Sends a message to all neighbours in the topic but the one it came from; how many those are. */
function spread(world: World, node: Node, topic: string, message: Uint8Array, from: Node | undefined): number {
  const next = [...node.links].filter((other) => other !== from && other.topics.has(topic));
  for (const other of next) world.post(() => void receiveGossip(world, node, other, topic, message));
  return next.length;
}

async function receiveGossip(world: World, from: Node, node: Node, topic: string, message: Uint8Array): Promise<void> {
  const judge = node.topics.get(topic);
  if (judge === undefined || !node.links.has(from) || world.isLost() || !isNew(node, topic, message)) return;
  const verdict = await judged(() => judge(message.slice(), from.self), 'ignore');
  if (verdict === 'reject') node.refusals.note(from.self, 'MESSAGE_REJECTED');
  if (verdict === 'accept' && node.alive) spread(world, node, topic, message, from);
}

/** A message on its way to many is hashed once; nobody changes its bytes. */
const hashes = new WeakMap<Uint8Array, string>();

function hashOf(message: Uint8Array): string {
  const known = hashes.get(message) ?? toHex(sha256(message));
  hashes.set(message, known);
  return known;
}

/** Whether a node sees this message for the first time; by content, so that two publishers of one record are one. */
function isNew(node: Node, topic: string, message: Uint8Array): boolean {
  const id = `${topic} ${hashOf(message)}`;
  if (node.seen.has(id)) return false;
  node.seen.add(id);
  for (const oldest of node.seen) {
    if (node.seen.size <= SEEN_LIMIT) break;
    node.seen.delete(oldest);
  }
  return true;
}

async function putRecord(
  world: World,
  node: Node,
  key: string,
  value: Uint8Array,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  const why = await store(node, key, value);
  if (why !== undefined) throw recordRefused(key, why);
  const acks = closest(key, [...node.links]).map(async (other) => {
    await hop(world);
    return node.links.has(other) && (await store(other, key, value)) === undefined;
  });
  const stored = await Promise.all(acks);
  signal.throwIfAborted();
  return stored.filter(Boolean).length;
}

/** Judges and keeps a record; undefined, or why not. */
async function store(node: Node, key: string, value: Uint8Array): Promise<string | undefined> {
  const why = await refusal(node.rules, key, value);
  if (why !== undefined) return why;
  return node.shelf.put(key, value) ? undefined : 'another value is held under this key';
}

async function getRecord(world: World, node: Node, key: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  signal.throwIfAborted();
  const found: Uint8Array[] = [];
  for (const holder of [node, ...closest(key, [...node.links])]) {
    if (holder !== node) await hop(world);
    signal.throwIfAborted();
    const value = holder.shelf.get(key);
    if (value === undefined || found.some((other) => equalBytes(other, value))) continue;
    if ((await refusal(node.rules, key, value)) === undefined) found.push(value.slice());
  }
  return bestRecord(node.rules.replaces, key, found);
}

/** The peers that hold a key: the k nearest by XOR of hashes. */
function closest(key: string, nodes: readonly Node[]): Node[] {
  const target = sha256(utf8(key));
  const distance = (node: Node) => toHex(sha256(utf8(node.self)).map((byte, i) => byte ^ (target[i] ?? 0)));
  return nodes
    .map((node) => ({ node, at: distance(node) }))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .slice(0, REPLICAS)
    .map(({ node }) => node);
}

/** What a given rule says; a rule that throws counts as `otherwise`. */
async function judged<T>(ask: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await ask();
  } catch {
    return otherwise;
  }
}
