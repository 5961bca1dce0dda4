// The libp2p node under the overlay: transports, limits and services with the settings that network.md measured.

import { privateKeyFromProtobuf } from '@libp2p/crypto/keys';
import { type GossipSub, gossipsub } from '@libp2p/gossipsub';
import { type Identify, identify, identifyPush } from '@libp2p/identify';
import type { Libp2p } from '@libp2p/interface';
import { type KadDHT, kadDHT, passthroughMapper, removePrivateAddressesMapper } from '@libp2p/kad-dht';
import { noise } from '@libp2p/noise';
import { peerIdFromString } from '@libp2p/peer-id';
import { ping } from '@libp2p/ping';
import { preSharedKey } from '@libp2p/pnet';
import { tcp } from '@libp2p/tcp';
import { webSockets } from '@libp2p/websockets';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import type { PeerId } from '../types/ids.ts';
import { createGate, type GateRules, MAX_STRANGERS } from './gate.ts';
import type { OpenIdentity } from './identity.ts';
import { OverlayDatastore, recordKeyText } from './libp2p-datastore.ts';
import { MAX_WINDOW_BYTES } from './libp2p-frames.ts';
import { reachDiscovery, reachServices, reachTransports } from './reach.ts';
import type { Reach } from './reach-names.ts';
import { bestRecord, RECORD_NAMESPACE, refusal, type Shelf } from './shelf.ts';
import { sturdyMuxer } from './sturdy-muxer.ts';
import { MAX_GOSSIP_BYTES, type RecordRules } from './types.ts';

export interface NodeOptions {
  readonly identity: OpenIdentity;
  /** Multiaddrs to listen on; none for a client that is never dialled. */
  readonly listen: readonly string[];
  /** Multiaddrs to tell others instead of those listened on. */
  readonly announce?: readonly string[];
  /** Names the network in the DHT's protocol id, so that two networks never mix: hex digits of the genesis hash. */
  readonly network: string;
  /** Roster nodes serve the DHT, others are its clients. */
  readonly dhtServer: boolean;
  /** Which peers may hold records for others; asked when they connect, each second until it is so, and when others name
   *  them. All, if not given. */
  readonly isDhtServer?: (peer: PeerId) => boolean;
  /** The gossip topics of this node; messages of others are not carried. */
  readonly topics: readonly string[];
  readonly records: RecordRules;
  /** Whether private addresses that others name are dialled and named on: true on a loopback or local network. */
  readonly privateAddresses: boolean;
  /** How to be met by others; only dialling through relays, if not given. */
  readonly reach?: readonly Reach[];
  /** Whether others may meet through this node. */
  readonly relay?: boolean;
  /** The pre-shared key of a private network (network-key.ts): who does not have it is not spoken to. */
  readonly networkKey?: Uint8Array;
}

export type OverlayNode = Libp2p<{ identify: Identify; dht: KadDHT; pubsub: GossipSub }>;

/** 256 nodes of a subnet, dialled from both sides at once, and the strangers that the gate lets in. */
const MAX_CONNECTIONS = 512 + MAX_STRANGERS;
/** A devnet starts its nodes at once on one address: 12 simultaneous dials met the default of 5 (network.md 4). */
const CONNECTIONS_PER_SECOND = 64;
/** What a sender may have queued on one stream beyond the window, four of the longest frames, before the stream is given up. */
const WRITE_BUFFER_BYTES = 64 << 20;
/** protocol.md 14: idle session 10 min. */
const IDLE_STREAM_MS = 600_000;
/**
 * One failed ping closes a connection, so the wait is long: with 5 s, 16 nodes on two busy cores lost healthy connections all the time. A killed
 * process is noticed at once by its socket, a stopped one in 20 to 40 s; sessions have deadlines of their own.
 */
const MONITOR = { pingInterval: 10_000, pingTimeout: { minTimeout: 20_000, maxTimeout: 30_000 } };
const PING_ANSWER_MS = 30_000;
/** ping shares its protocol with the monitor; with the default of 1 stream the monitor kills healthy connections (network.md 7). */
const PING_STREAMS = 64;
/** A batch of messages asked for by id comes as one RPC. */
const MAX_GOSSIP_RPC_BYTES = 64 * MAX_GOSSIP_BYTES;
/** Nothing waits for the DHT, and with 0.5 to 2 s most PUTs failed on busy cores though the peers were well. */
const DHT_MESSAGE = { minTimeout: 2000, maxTimeout: 10_000 };
/** Records on k = 8 peers: measured five times cheaper than 20 (network.md 2). */
const REPLICAS = 8;

export async function createNode(options: NodeOptions, shelf: Shelf, gate: GateRules): Promise<OverlayNode> {
  const self = peerIdFromString(options.identity.peer);
  const reach = options.reach ?? ['relay'];
  return createLibp2p({
    privateKey: privateKeyFromProtobuf(options.identity.protobuf),
    nodeInfo: { name: 'tessera', userAgent: 'tessera' },
    datastore: new OverlayDatastore(shelf, self.toCID().toString()),
    addresses: { listen: [...options.listen], announce: [...(options.announce ?? [])] },
    transports: [tcp(), webSockets(), ...reachTransports(reach)],
    peerDiscovery: reachDiscovery(reach, options.network),
    connectionEncrypters: [noise()],
    streamMuxers: [
      sturdyMuxer(
        yamux({
          streamOptions: {
            initialStreamWindowSize: 1 << 20,
            maxStreamWindowSize: MAX_WINDOW_BYTES,
            maxWriteBufferLength: WRITE_BUFFER_BYTES,
            inactivityTimeout: IDLE_STREAM_MS,
          },
        }),
      ),
    ],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: CONNECTIONS_PER_SECOND,
      // The gate bounds them: this limit would turn the newcomer away, and so let slow sockets keep everybody out.
      maxIncomingPendingConnections: Number.POSITIVE_INFINITY,
    },
    connectionMonitor: MONITOR,
    connectionGater: createGate(gate),
    ...(options.networkKey === undefined ? {} : { connectionProtector: preSharedKey({ psk: options.networkKey }) }),
    services: {
      identify: identify(),
      // Tells peers of addresses that came later: a place at a relay, a port of the router.
      identifyPush: identifyPush(),
      ping: ping({ timeout: PING_ANSWER_MS, maxInboundStreams: PING_STREAMS, maxOutboundStreams: PING_STREAMS }),
      dht: createDht(options),
      pubsub: createGossip(options.topics),
      ...reachServices(reach, options.relay ?? false),
    },
  });
}

function createDht(options: NodeOptions) {
  const { records } = options;
  const mapAddresses = options.privateAddresses ? passthroughMapper : removePrivateAddressesMapper;
  return kadDHT({
    protocol: `/tessera/${options.network}/kad/1.0.0`,
    clientMode: !options.dhtServer,
    kBucketSize: REPLICAS,
    // A peer without addresses enters no routing table and is named to nobody.
    peerInfoMapper: (info) =>
      (options.isDhtServer?.(info.id.toString() as PeerId) ?? true) ? mapAddresses(info) : { ...info, multiaddrs: [] },
    networkDialTimeout: DHT_MESSAGE,
    validators: { [RECORD_NAMESPACE]: (key, value) => validate(records, key, value) },
    selectors: { [RECORD_NAMESPACE]: (key, values) => select(records, key, values) },
  });
}

/** kad-dht wants an exception for what is not to be stored or believed. */
async function validate(rules: RecordRules, key: Uint8Array, value: Uint8Array): Promise<void> {
  const text = recordKeyText(key);
  const reason = text === undefined ? 'the key is no text' : await refusal(rules, text, value);
  if (reason !== undefined) throw new Error(reason);
}

function select(rules: RecordRules, key: Uint8Array, values: Uint8Array[]): number {
  const best = bestRecord(rules.replaces, recordKeyText(key) ?? '', values);
  return Math.max(0, best === undefined ? 0 : values.indexOf(best));
}

/**
 * Records carry their own signatures, so messages are not signed once more, and one record is one message whoever publishes it. Scores count
 * invalid messages alone: quiet peers and many peers on one address are no offence (network.md 3).
 */
function createGossip(topics: readonly string[]) {
  return gossipsub({
    D: 6,
    Dlo: 4,
    Dhi: 12,
    floodPublish: true,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    globalSignaturePolicy: 'StrictNoSign',
    // Through a relay too: its limits are wide.
    runOnLimitedConnection: true,
    allowedTopics: [...topics],
    maxInboundDataLength: MAX_GOSSIP_RPC_BYTES,
    maxOutboundBufferSize: 4 * MAX_GOSSIP_RPC_BYTES,
    scoreParams: {
      IPColocationFactorWeight: 0,
      behaviourPenaltyThreshold: 6,
      topics: Object.fromEntries(topics.map((topic) => [topic, INVALID_MESSAGES_ONLY])),
    },
  });
}

/** The square of the count times weights: 3 invalid messages are -90, below -80 a peer is not listened to; half is forgotten in 14 s. */
const INVALID_MESSAGES_ONLY = {
  topicWeight: 1,
  timeInMeshWeight: 0,
  timeInMeshQuantum: 1000,
  timeInMeshCap: 0,
  firstMessageDeliveriesWeight: 0,
  firstMessageDeliveriesDecay: 0.5,
  firstMessageDeliveriesCap: 0,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 0,
  meshMessageDeliveriesThreshold: 0,
  meshMessageDeliveriesWindow: 0,
  meshMessageDeliveriesActivation: 0,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -10,
  invalidMessageDeliveriesDecay: 0.95,
};
