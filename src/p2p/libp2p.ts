// The overlay on libp2p: peers over TCP, Noise and yamux, requests and long streams, gossip, records on the DHT. Network.md has the measurements.
// Trusts nobody: each stream is admitted by the protocol's own question, each message and record is judged by given functions, all tables are bounded.

import { TopicValidatorResult } from '@libp2p/gossipsub';
import type { Connection, Stream } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../types/ids.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import { equalBytes, utf8 } from '../util/bytes.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { frameTooLarge, overlayClosed, recordRefused, refused, streamReset, unreachable } from './errors.ts';
import { createKeeper } from './keeper.ts';
import { createNode, type NodeOptions, type OverlayNode } from './libp2p-node.ts';
import {
  createFrameStream,
  holdBack,
  lingerThenAbort,
  readAdmission,
  sayAdmitted,
  sayRefused,
} from './libp2p-stream.ts';
import { peerFromAddress } from './peer-id.ts';
import { keepIdentified } from './reidentify.ts';
import { requestOver, serveRequest } from './request.ts';
import { bestRecord, createShelf, refusal, type Shelf } from './shelf.ts';
import {
  type FrameStream,
  MAX_GOSSIP_BYTES,
  type Overlay,
  OverlayError,
  type ProtocolOptions,
  type Verdict,
} from './types.ts';

export interface OverlayOptions extends NodeOptions {
  /** Multiaddrs that end in /p2p/<peer>: dialled at the start, and again whenever they are lost. */
  readonly bootstrap: readonly string[];
  /** Peers to stay connected to, the roster for instance; read again every second. */
  readonly wanted?: () => readonly PeerId[];
}

interface OverlayDeps {
  readonly log: Log;
}

/** How often lost peers are looked for. */
const SWEEP_MS = 1000;
/** A protocol's question about a peer may have to read a roster; an opener waits no longer than for a handshake (protocol.md 14). */
const ADMISSION_MS = 10_000;
/** An address that does not answer at all. */
const DIAL_MS = 10_000;
const LOOKUP_PAUSE_MS = 5000;
/** Addresses kept of one peer: announcements name at most some. */
const MAX_LEARNED_ADDRESSES = 16;
/** Streams this side may have open to one peer by one protocol; how many are admitted is the other side's decision. */
const MAX_OUTBOUND_STREAMS = 256;

/** Starts a node and returns at once; bootstrap peers are dialled in the background. LISTEN_FAILED when no address can be listened on. */
export async function createOverlay(options: OverlayOptions, deps: OverlayDeps): Promise<Overlay> {
  const shelf = createShelf(options.records.replaces);
  const node = await startNode(options, shelf);
  const stopKeeping = keepConnected(node, options, deps.log);
  let closed = false;
  const assertOpen = () => {
    if (closed) throw overlayClosed();
  };
  const open: Overlay['openStream'] = async (peer, protocol, streamOptions) => {
    assertOpen();
    return openStream(node, peer, protocol, streamOptions);
  };
  const serve: Overlay['handleStream'] = async (protocol, protocolOptions, handler) => {
    assertOpen();
    await serveStreams(node, protocol, protocolOptions, handler, deps.log);
  };

  return {
    self: options.identity.peer,
    addresses: () => node.getMultiaddrs().map(String),
    peers: () => node.getPeers().map((peer) => peer.toString() as PeerId),
    async connect(address, signal) {
      assertOpen();
      const peer = peerFromAddress(address);
      if (peer === undefined) throw unreachable(address, 'the address does not end in /p2p/<peer id>');
      await dial(node, address, signal ?? AbortSignal.timeout(DIAL_MS));
      return peer;
    },
    async learn(peer, addresses) {
      assertOpen();
      const known = addresses.slice(0, MAX_LEARNED_ADDRESSES).flatMap(parseMultiaddr);
      await node.peerStore.merge(peerIdFromString(peer), { multiaddrs: known });
    },
    async disconnect(peer) {
      await node.hangUp(peerIdFromString(peer));
    },
    handleRequest: (protocol, protocolOptions, handler) => serve(protocol, protocolOptions, serveRequest(handler)),
    async request(peer, protocol, body, requestOptions) {
      if (body.length > requestOptions.maxFrameBytes) throw frameTooLarge(body.length, requestOptions.maxFrameBytes);
      return requestOver(await open(peer, protocol, requestOptions), protocol, body, requestOptions.signal);
    },
    handleStream: serve,
    openStream: open,
    subscribe(topic, judge) {
      assertOpen();
      subscribe(node, topic, judge, deps.log);
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
      const found = await getRecord(node, options, shelf, key, signal);
      if (found === undefined) signal.throwIfAborted();
      return found;
    },
    async close() {
      if (closed) return;
      closed = true;
      stopKeeping();
      await node.stop();
    },
  };
}

async function startNode(options: OverlayOptions, shelf: Shelf): Promise<OverlayNode> {
  try {
    return await createNode(options, shelf);
  } catch (cause) {
    throw new OverlayError(
      { code: 'LISTEN_FAILED', addresses: options.listen },
      `cannot listen on ${options.listen.join(', ')}: ${errorMessage(cause)}; is the port taken?`,
      { cause },
    );
  }
}

/** Dials bootstrap and wanted peers now and whenever they are lost. Returns what ends it. */
function keepConnected(node: OverlayNode, options: OverlayOptions, log: Log): () => void {
  const self = options.identity.peer;
  const connected = (peer: PeerId | undefined) =>
    peer === undefined || peer === self || node.getConnections(peerIdFromString(peer)).length > 0;
  const keeper = createKeeper({
    wanted: () => [...options.bootstrap, ...(options.wanted?.() ?? [])],
    isConnected: (target) => connected(peerFromAddress(target)),
    dial: dialWanted(node),
    log,
  });
  const identified = keepIdentified(node, options.isDhtServer ?? (() => true), log);
  const sweep = async () => {
    try {
      identified.sweep();
      await keeper.sweep(performance.now());
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
function dialWanted(node: OverlayNode): (target: string) => Promise<boolean> {
  let nextLookupMs = performance.now() + LOOKUP_PAUSE_MS;
  return async (target) => {
    if (!target.startsWith('/') && !(await hasAddress(node, target))) {
      if (performance.now() < nextLookupMs) return false;
      nextLookupMs = performance.now() + LOOKUP_PAUSE_MS;
    }
    await dial(node, target, AbortSignal.timeout(DIAL_MS));
    return true;
  };
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

/** @param target a peer id, or a multiaddr that ends in one */
async function dial(node: OverlayNode, target: string, signal: AbortSignal): Promise<Connection> {
  signal.throwIfAborted();
  try {
    const address = target.startsWith('/') ? multiaddr(target) : peerIdFromString(target);
    return await raceSignal(node.dial(address, { signal }), signal);
  } catch (error) {
    throw asUnreachable(target, error, signal);
  }
}

/** A caller who gave up gets its own reason back, a deadline that passed counts as no answer. */
function asUnreachable(target: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted && !isTimeout(signal.reason)) return signal.reason;
  return unreachable(target, errorMessage(error), error);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

async function openStream(
  node: OverlayNode,
  peer: PeerId,
  protocol: string,
  options: { readonly maxFrameBytes: number; readonly signal: AbortSignal },
): Promise<FrameStream> {
  const stream = await newStream(node, peer, protocol, options.signal);
  const admitted = await readAdmission(stream, options.signal).catch((error) => {
    stream.abort(error);
    throw options.signal.aborted ? error : streamReset(peer, protocol, errorMessage(error), error);
  });
  if (!admitted) {
    stream.abort(new Error('not admitted'));
    throw refused(peer, protocol, 'it does not admit this peer, or no more streams of it');
  }
  return createFrameStream(stream, peer, options.maxFrameBytes, 'opener');
}

/** A connection may be gone without our knowing: the first stream finds out, and nothing was sent yet, so it is dialled once more. */
async function newStream(node: OverlayNode, peer: PeerId, protocol: string, signal: AbortSignal): Promise<Stream> {
  const connection = await dial(node, peer, signal);
  try {
    return await negotiate(connection, peer, protocol, signal);
  } catch (error) {
    if (errorCode(error) !== 'STREAM_RESET' || connection.status === 'open') throw error;
    return negotiate(await dial(node, peer, signal), peer, protocol, signal);
  }
}

async function negotiate(connection: Connection, peer: PeerId, protocol: string, signal: AbortSignal): Promise<Stream> {
  try {
    return await connection.newStream(protocol, { signal, maxOutboundStreams: MAX_OUTBOUND_STREAMS });
  } catch (cause) {
    signal.throwIfAborted();
    if (cause instanceof Error && cause.name === 'UnsupportedProtocolError')
      throw refused(peer, protocol, 'it does not serve this protocol');
    throw streamReset(peer, protocol, errorMessage(cause), cause);
  }
}

async function serveStreams(
  node: OverlayNode,
  protocol: string,
  options: ProtocolOptions,
  handler: (stream: FrameStream) => Promise<void>,
  log: Log,
): Promise<void> {
  const open = new Map<PeerId, number>();
  const count = (peer: PeerId, change: number) => {
    const now = (open.get(peer) ?? 0) + change;
    if (now > 0) open.set(peer, now);
    else open.delete(peer);
  };
  const serveOne = async (stream: Stream, connection: Connection) => {
    const peer = connection.remotePeer.toString() as PeerId;
    holdBack(stream);
    // Counted before the question is asked, so that questions about one peer are bounded too.
    const hasRoom = (open.get(peer) ?? 0) < options.maxStreamsPerPeer;
    count(peer, 1);
    stream.addEventListener('close', () => count(peer, -1));
    if (!hasRoom || !(await isAdmitted(options, peer))) return sayRefused(stream);
    sayAdmitted(stream);
    await runHandler(handler, stream, createFrameStream(stream, peer, options.maxFrameBytes, 'answerer'), log);
  };
  await node.handle(
    protocol,
    (stream, connection) => {
      serveOne(stream, connection).catch((error) => stream.abort(error));
    },
    // Streams to be refused must get as far as our answer. A later handler takes the place of an earlier one.
    { maxInboundStreams: 2 * options.maxStreamsPerPeer, maxOutboundStreams: MAX_OUTBOUND_STREAMS, force: true },
  );
}

async function isAdmitted(options: ProtocolOptions, peer: PeerId): Promise<boolean> {
  try {
    return await raceSignal(Promise.resolve(options.admit(peer)), withDeadline(undefined, ADMISSION_MS));
  } catch {
    return false;
  }
}

/** The stream ends when the handler does; a handler that throws breaks it off. */
async function runHandler(
  handler: (stream: FrameStream) => Promise<void>,
  stream: Stream,
  frames: FrameStream,
  log: Log,
): Promise<void> {
  try {
    await handler(frames);
    await frames.close();
    lingerThenAbort(stream);
  } catch (error) {
    log.debug('stream broken off by its handler', { protocol: stream.protocol, error: errorMessage(error) });
    frames.abort(error instanceof Error ? error : new Error(String(error)));
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
  log: Log,
): void {
  const { pubsub } = node.services;
  pubsub.topicValidators.set(topic, async (from, message) => {
    try {
      return TOPIC_VERDICTS[await judge(new Uint8Array(message.data), from.toString() as PeerId)];
    } catch (error) {
      log.warn('gossip judge failed', { topic, error: errorMessage(error) });
      return TOPIC_VERDICTS.ignore;
    }
  });
  pubsub.subscribe(topic);
}

/** PUTs to the nearest peers; how many stored it when all have answered or the signal aborts. */
async function putRecord(node: OverlayNode, key: string, value: Uint8Array, signal: AbortSignal): Promise<number> {
  if (node.getPeers().length === 0) return 0;
  let stored = 0;
  await drain(node.services.dht.put(utf8(key), value, { signal }), signal, (event) => {
    if (event.name !== 'PEER_RESPONSE' || event.messageName !== 'PUT_VALUE') return;
    if (event.record !== undefined && equalBytes(event.record.value, value)) stored += 1;
  });
  return stored;
}

/** The best of the own record and what the nearest peers hold, judged again: a reply may come from anybody. */
async function getRecord(
  node: OverlayNode,
  options: OverlayOptions,
  shelf: Shelf,
  key: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const own = shelf.get(key);
  const values: Uint8Array[] = own === undefined ? [] : [own];
  if (node.getPeers().length > 0) {
    await drain(node.services.dht.get(utf8(key), { signal }), signal, (event) => {
      if (event.name !== 'PEER_RESPONSE' || event.record === undefined) return;
      const { value } = event.record;
      if (!values.some((other) => equalBytes(other, value))) values.push(new Uint8Array(value));
    });
  }
  const sound: Uint8Array[] = [];
  for (const value of values) if ((await refusal(options.records, key, value)) === undefined) sound.push(value);
  return bestRecord(options.records.replaces, key, sound);
}

/** Reads a query to its end or until the signal aborts. A query that fails is one that found nothing more. */
async function drain<T>(query: AsyncIterable<T>, signal: AbortSignal, see: (event: T) => void): Promise<void> {
  const all = async () => {
    for await (const event of query) see(event);
  };
  await raceSignal(all(), signal).catch(() => undefined);
}
