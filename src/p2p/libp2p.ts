// The overlay on libp2p: peers over TCP, Noise and yamux, requests and long streams, gossip, records on the DHT. Network.md has the measurements.
// Trusts nobody: each stream is admitted by the protocol's own question, each message and record is judged by given functions, all tables are bounded.

import { TopicValidatorResult } from '@libp2p/gossipsub';
import type { PeerData } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../types/ids.ts';
import { peerFromAddress } from '../types/peer-id.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { isPrivateAddress } from './address-scope.ts';
import { createBans } from './bans.ts';
import { createUpgrader, relayedPeers } from './direct.ts';
import { createDiscovery, type Discovery } from './discovery.ts';
import { frameTooLarge, overlayClosed, recordRefused, unreachable } from './errors.ts';
import type { GateRules } from './gate.ts';
import { createKeeper } from './keeper.ts';
import { createNode, type NodeOptions, type OverlayNode } from './libp2p-node.ts';
import { getRecord, provide, providers, putRecord } from './libp2p-records.ts';
import { DIAL_MS, dial, type NoteRefusal, openStream, serveStreams } from './libp2p-streams.ts';
import { encodeWanted, learnPeers, namePeers, PEERS_OPTIONS } from './peer-exchange.ts';
import { createPeerFile, type PeerFile } from './peer-file.ts';
import { createRefusals } from './refusals.ts';
import { keepIdentified } from './reidentify.ts';
import { requestOver, serveRequest } from './request.ts';
import { createShelf, refusal, type Shelf } from './shelf.ts';
import { createStanding, type Standing } from './standing.ts';
import { MAX_GOSSIP_BYTES, type Overlay, OverlayError, type Verdict } from './types.ts';

export interface OverlayOptions extends NodeOptions {
  /** Multiaddrs that end in /p2p/<peer>: dialled at the start, and again whenever they are lost. */
  readonly bootstrap: readonly string[];
  /** Peers to stay connected to, the roster for instance; read again every second. Who is no longer among them loses its connections. */
  readonly wanted?: () => readonly PeerId[];
  /** Where a wanted peer may be found, when nobody else has said so. */
  readonly addressesOf?: (peer: PeerId) => readonly string[];
  /** Whether to meet peers that other peers name: yes, if not given. */
  readonly discovers?: boolean;
  /** Connections of peers that are neither wanted nor known, all together. */
  readonly strangers?: number;
  /** Whether a peer finds room like a wanted one, though nobody dials it: the client of a node with stake. None unless given. */
  readonly isKnown?: (peer: PeerId) => boolean;
  /** Connections at a time whose peer has not said who it is. */
  readonly nameless?: number;
  /** Where peers are kept for the next start; nowhere unless given. */
  readonly peersFile?: string;
}

interface OverlayDeps {
  readonly log: Log;
}

/** How often lost peers are looked for. */
const SWEEP_MS = 1000;
/** Between two lookups of wanted peers whose address nobody has told us. */
const LOOKUP_PAUSE_MS = 5000;
/** Addresses kept of one peer: announcements name at most some. */
const MAX_LEARNED_ADDRESSES = 16;
/** Should libp2p ever have to choose, it closes connections of peers with less. */
const WANTED_TAG = { tags: { 'tessera-wanted': { value: 100 } } };
const NO_TAG = { tags: { 'tessera-wanted': undefined } };

/** Starts a node and returns at once; bootstrap peers are dialled in the background. LISTEN_FAILED when no address can be listened on. */
export async function createOverlay(options: OverlayOptions, deps: OverlayDeps): Promise<Overlay> {
  const shelf = createShelf(options.records.replaces);
  const bans = createBans();
  const refusals = createRefusals((peer, code) => {
    if (!bans.note(peer, code, performance.now())) return;
    deps.log.warn('peer banned', { peer, code });
    void hangUp(peer);
  });
  const standing = createStanding(options.wanted ?? (() => []), {
    enter: (peer) => mark(peer, WANTED_TAG),
    leave: (peer) => {
      mark(peer, NO_TAG);
      void hangUp(peer);
    },
  });
  const named = new Set(options.bootstrap);
  const node = await startNode(options, shelf, {
    isBanned: (peer) => bans.isBanned(peer, performance.now()),
    isWanted: (peer) => standing.has(peer) || options.isKnown?.(peer) === true,
    mayDial: (address) => options.privateAddresses || named.has(address) || !isPrivateAddress(address),
    note: refusals.note,
    ...(options.strangers === undefined ? {} : { strangers: options.strangers }),
    ...(options.nameless === undefined ? {} : { nameless: options.nameless }),
  });
  const hangUp = (peer: PeerId) =>
    node.hangUp(peerIdFromString(peer)).catch((error) => deps.log.debug('not hung up', { error: errorMessage(error) }));
  const mark = (peer: PeerId, tags: PeerData) => {
    node.peerStore
      .merge(peerIdFromString(peer), tags)
      .catch((error) => deps.log.debug('peer not marked', { error: errorMessage(error) }));
  };
  let closed = false;
  const assertOpen = () => {
    if (closed) throw overlayClosed();
  };
  const open: Overlay['openStream'] = async (peer, protocol, streamOptions) => {
    assertOpen();
    return openStream(node, peer, protocol, streamOptions, refusals.note);
  };
  const serve: Overlay['handleStream'] = async (protocol, protocolOptions, handler) => {
    assertOpen();
    await serveStreams(node, protocol, protocolOptions, handler, { note: refusals.note, log: deps.log });
  };
  const request: Overlay['request'] = async (peer, protocol, body, requestOptions) => {
    if (body.length > requestOptions.maxFrameBytes) throw frameTooLarge(body.length, requestOptions.maxFrameBytes);
    return requestOver(await open(peer, protocol, requestOptions), protocol, body, requestOptions.signal);
  };
  const handleRequest: Overlay['handleRequest'] = (protocol, protocolOptions, handler) =>
    serve(protocol, protocolOptions, serveRequest(handler, protocolOptions.maxFrameBytes));
  const discovery = await joinExchange(node, options, { request, handleRequest }, deps.log);
  const peerFile = await openPeerFile(node, options, discovery, deps.log);
  const stopKeeping = keepConnected(node, options, { standing, discovery, peerFile }, deps.log);

  return {
    self: options.identity.peer,
    addresses: () => node.getMultiaddrs().map(String),
    peers: () => node.getPeers().map((peer) => peer.toString() as PeerId),
    relayed: () => relayedPeers(node),
    async connect(address, signal) {
      assertOpen();
      const peer = peerFromAddress(address);
      if (peer === undefined) throw unreachable(address, 'the address does not end in /p2p/<peer id>');
      await dial(node, address, signal ?? AbortSignal.timeout(DIAL_MS));
      return peer;
    },
    async learn(peer, addresses) {
      assertOpen();
      await learn(node, peer, addresses);
    },
    async disconnect(peer) {
      await node.hangUp(peerIdFromString(peer));
    },
    refusals: refusals.all,
    handleRequest,
    request,
    handleStream: serve,
    openStream: open,
    subscribe(topic, judge) {
      assertOpen();
      subscribe(node, topic, judge, { note: refusals.note, log: deps.log });
    },
    async publish(topic, message) {
      assertOpen();
      if (message.length > MAX_GOSSIP_BYTES) throw frameTooLarge(message.length, MAX_GOSSIP_BYTES);
      // gossipsub would remember what it sent to nobody, and take a second attempt for a duplicate.
      if (node.services.pubsub.getSubscribers(topic).length === 0) return 0;
      return (await node.services.pubsub.publish(topic, message)).recipients.length;
    },
    async putRecord(key, value, signal) {
      assertOpen();
      signal.throwIfAborted();
      const why = await refusal(options.records, key, value);
      if (why !== undefined) throw recordRefused(key, why);
      if (!shelf.put(key, value)) throw recordRefused(key, 'another value is held under this key');
      return putRecord(node, key, value, signal);
    },
    async getRecord(key, signal) {
      assertOpen();
      const found = await getRecord(node, options.records, shelf, key, signal);
      if (found === undefined) signal.throwIfAborted();
      return found;
    },
    async provide(content, signal) {
      assertOpen();
      await provide(node, content, signal);
    },
    async providers(content, signal) {
      assertOpen();
      return providers(node, content, signal);
    },
    async close() {
      if (closed) return;
      closed = true;
      stopKeeping();
      await peerFile?.save();
      await node.stop();
    },
  };
}

/** libp2p tells of several addresses at once, in many lines and with the stack of each. */
function whyNot(told: string): string {
  if (told.includes('EADDRINUSE')) return 'the port is taken; stop what uses it, or name another with --host-maddrs';
  if (told.includes('EADDRNOTAVAIL'))
    return 'this machine has no such address; to listen on all it has: /ip4/0.0.0.0/tcp/PORT';
  if (told.includes('EACCES')) return 'this user may not listen there; ports below 1024 need more rights';
  return told.split('\n', 1)[0] ?? told;
}

async function startNode(options: OverlayOptions, shelf: Shelf, gate: GateRules): Promise<OverlayNode> {
  try {
    return await createNode(options, shelf, gate);
  } catch (cause) {
    throw new OverlayError(
      { code: 'LISTEN_FAILED', addresses: options.listen },
      `cannot listen on ${options.listen.join(', ')}: ${whyNot(errorMessage(cause))}`,
      { cause },
    );
  }
}

/** Serves and uses the exchange of peers. */
async function joinExchange(
  node: OverlayNode,
  options: OverlayOptions,
  { request, handleRequest }: Pick<Overlay, 'request' | 'handleRequest'>,
  log: Log,
): Promise<Discovery> {
  const protocol = `/tessera/${options.network}/peers/1`;
  const { maxFrameBytes } = PEERS_OPTIONS;
  const isMember = options.isDhtServer ?? (() => false);
  await handleRequest(protocol, PEERS_OPTIONS, (body, from) => namePeers(node, isMember, body, from));
  const connected = () => node.getPeers().map((peer) => peer.toString() as PeerId);
  const discovery = createDiscovery({
    connected,
    missing() {
      const there = new Set([options.identity.peer, ...connected()]);
      return (options.wanted?.() ?? []).filter((peer) => !there.has(peer));
    },
    async ask(peer, wanted) {
      const asking = { maxFrameBytes, signal: AbortSignal.timeout(DIAL_MS) };
      return learnPeers(node, await request(peer, protocol, encodeWanted(wanted), asking), log);
    },
    dial: async (peer) => void (await dial(node, peer, AbortSignal.timeout(DIAL_MS))),
    log,
  });
  node.addEventListener('peer:discovery', ({ detail }) => {
    const peer = peerFromAddress(detail.id.toString());
    if (peer !== undefined) discovery.add(peer);
  });
  return discovery;
}

/** Those who were known before are candidates from the start. */
async function openPeerFile(
  node: OverlayNode,
  { peersFile, isDhtServer }: OverlayOptions,
  discovery: Discovery,
  log: Log,
): Promise<PeerFile | undefined> {
  if (peersFile === undefined) return undefined;
  const file = createPeerFile(peersFile, { node, isMember: isDhtServer ?? (() => false), log });
  for (const peer of await file.load()) discovery.add(peer);
  return file;
}

/** Dials bootstrap and wanted peers now and whenever they are lost. Returns what ends it. */
function keepConnected(
  node: OverlayNode,
  options: OverlayOptions,
  {
    standing,
    discovery,
    peerFile,
  }: { readonly standing: Standing; readonly discovery: Discovery; readonly peerFile: PeerFile | undefined },
  log: Log,
): () => void {
  const self = options.identity.peer;
  const connected = (peer: PeerId | undefined) =>
    peer === undefined || peer === self || node.getConnections(peerIdFromString(peer)).length > 0;
  const keeper = createKeeper({
    wanted: () => [...options.bootstrap, ...(options.wanted?.() ?? [])],
    isConnected: (target) => connected(peerFromAddress(target)),
    dial: dialWanted(node, options.addressesOf ?? (() => [])),
    log,
  });
  const identified = keepIdentified(node, options.isDhtServer ?? (() => true), log);
  const upgrader = createUpgrader(node, log);
  const sweep = async () => {
    try {
      standing.sweep();
      identified.sweep();
      const nowMs = performance.now();
      const meet = options.discovers === false ? undefined : discovery.sweep(nowMs);
      await Promise.all([keeper.sweep(nowMs), meet, upgrader.sweep(nowMs), peerFile?.sweep(nowMs)]);
    } catch (error) {
      log.warn('peers not looked after', { error: errorMessage(error) });
    }
  };
  void sweep();
  const timer = setInterval(() => void sweep(), SWEEP_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Dials a wanted peer by what is known of it. A peer without addresses is looked up on the DHT, one at a time and now and then: a lookup costs
 * as much as some hundred requests (network.md 2), and announcements mostly come first.
 */
function dialWanted(
  node: OverlayNode,
  addressesOf: (peer: PeerId) => readonly string[],
): (target: string) => Promise<boolean> {
  let nextLookupMs = performance.now() + LOOKUP_PAUSE_MS;
  return async (target) => {
    if (!target.startsWith('/')) await learn(node, target as PeerId, addressesOf(target as PeerId));
    if (!target.startsWith('/') && !(await hasAddress(node, target))) {
      if (performance.now() < nextLookupMs) return false;
      nextLookupMs = performance.now() + LOOKUP_PAUSE_MS;
    }
    await dial(node, target, AbortSignal.timeout(DIAL_MS));
    return true;
  };
}

async function learn(node: OverlayNode, peer: PeerId, addresses: readonly string[]): Promise<void> {
  const known = addresses.slice(0, MAX_LEARNED_ADDRESSES).flatMap(parseMultiaddr);
  if (known.length > 0) await node.peerStore.merge(peerIdFromString(peer), { multiaddrs: known });
}

async function hasAddress(node: OverlayNode, target: string): Promise<boolean> {
  const peer = peerIdFromString(target);
  return (await node.peerStore.has(peer)) && (await node.peerStore.get(peer)).addresses.length > 0;
}

function parseMultiaddr(text: string): Multiaddr[] {
  try {
    return [multiaddr(text)];
  } catch {
    return [];
  }
}

const TOPIC_VERDICTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const;

function subscribe(
  node: OverlayNode,
  topic: string,
  judge: (message: Uint8Array, from: PeerId) => Promise<Verdict>,
  { note, log }: { readonly note: NoteRefusal; readonly log: Log },
): void {
  const { pubsub } = node.services;
  pubsub.topicValidators.set(topic, async (from, message) => {
    try {
      const peer = from.toString() as PeerId;
      const verdict = await judge(new Uint8Array(message.data), peer);
      if (verdict === 'reject') note(peer, 'MESSAGE_REJECTED');
      return TOPIC_VERDICTS[verdict];
    } catch (error) {
      log.warn('gossip judge failed', { topic, error: errorMessage(error) });
      return TOPIC_VERDICTS.ignore;
    }
  });
  pubsub.subscribe(topic);
}
