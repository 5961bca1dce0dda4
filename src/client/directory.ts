// Who offers which shards right now: announces heard by gossip and asked from peers, signed by registered nodes, fresh at our head.
// Trusts the chain for who a node is; a record that is malformed, forged or of an unknown node leaves no trace.

import type { Chain } from '../chain/types.ts';
import type { Overlay, Verdict } from '../p2p/types.ts';
import type { Offer } from '../routing/coverage.ts';
import type { BlockNumber, NodeId, PeerId, ShardIndex, SubnetId } from '../types/ids.ts';
import type { Announce, SignedRecord } from '../types/record.ts';
import { classRank } from '../types/subnet.ts';
import { raceSignal } from '../util/async.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import {
  announceTopic,
  DIRECTORY_PROTOCOL,
  decodeAnnounce,
  decodeDirectory,
  isFresh,
  MAX_ANNOUNCES,
  MAX_DIRECTORY_BYTES,
} from '../wire/announce.ts';
import type { Verify } from '../wire/envelope.ts';
import { signedMessage } from '../wire/record.ts';

/** Peers asked in one refresh: each holds nearly the same announces. */
const ASKED_PEERS = 4;
const ASK_DEADLINE_MS = 5_000;
/** Registered (0) is not activated yet: it may not serve. */
const MIN_CLASS_RANK = 1;

export interface DirectoryOptions {
  readonly subnet: SubnetId;
  /** Genesis hash, 32 bytes. */
  readonly genesis: Uint8Array;
}

export interface DirectoryDeps {
  readonly overlay: Overlay;
  readonly chain: Pick<Chain, 'heads' | 'nodes'>;
  /** Checks a signature under a peer id (p2p/identity.ts). */
  readonly verify: Verify;
  readonly log: Log;
}

/** An offer with more of the announce that made it. */
export interface DatedOffer extends Offer {
  /** For weights and caches; 0 when its shards do not follow from that. */
  readonly memoryMiB: number;
  /** Shards that it is about to serve. */
  readonly coming?: readonly ShardIndex[];
  readonly block: BlockNumber;
}

export interface Directory {
  /** Follows heads and the announce topic until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Judges one announce and keeps it when it is the newest of its node. Own announces come this way too. */
  admit(record: Uint8Array): Promise<Verdict>;
  /** Fresh offers, ascending by node. */
  offers(): readonly DatedOffer[];
  /** The records behind the offers, as they travel. */
  records(): readonly Uint8Array[];
  /** Asks some connected peers for what they hold; peers that do not answer are skipped. */
  refresh(signal: AbortSignal): Promise<void>;
}

interface Entry {
  readonly peer: PeerId;
  readonly record: SignedRecord<Announce>;
}

export function createDirectory(options: DirectoryOptions, deps: DirectoryDeps): Directory {
  const { overlay } = deps;
  const members = createMembers(options.subnet, deps.chain);
  const entries = new Map<NodeId, Entry>();
  let head = 0 as BlockNumber;
  let asked = 0;
  /** One round at a time, shared by all who wait for it. */
  let refreshing: Promise<void> | undefined;

  async function admit(bytes: Uint8Array): Promise<Verdict> {
    const decoded = decodeAnnounce(bytes, { ...options, head });
    if (!decoded.ok) return decoded.code === 'RECORD_OUT_OF_WINDOW' ? 'ignore' : 'reject';
    const { record } = decoded;
    if (isKnown(record)) return 'ignore';
    const isSigner = (peer: PeerId) => deps.verify(peer, signedMessage(record.bodyBytes), record.signature);
    const signer = await members.signerOf(record.body.node, head, isSigner);
    if (signer === 'forged') return 'reject';
    if (signer === 'unknown' || isKnown(record)) return 'ignore';
    const { peer } = signer;
    entries.set(record.body.node, { peer, record });
    await learn(peer, record.body.addresses);
    return 'accept';
  }

  function isKnown({ body }: SignedRecord<Announce>): boolean {
    const held = entries.get(body.node);
    return held === undefined ? entries.size >= MAX_ANNOUNCES : held.record.body.block >= body.block;
  }

  /** Only addresses that name the signer; a bad one costs the node its reachability, nothing else. */
  async function learn(peer: PeerId, addresses: readonly string[]): Promise<void> {
    if (peer === overlay.self) return;
    try {
      await overlay.learn(
        peer,
        addresses.filter((address) => address.endsWith(`/p2p/${peer}`)),
      );
    } catch (error) {
      deps.log.debug('addresses not learned', { peer, error: errorMessage(error) });
    }
  }

  function dropStale(): void {
    for (const [node, { record }] of entries) if (!isFresh(record.body, head)) entries.delete(node);
  }

  async function ask(peer: PeerId): Promise<void> {
    const limits = { maxFrameBytes: MAX_DIRECTORY_BYTES, signal: AbortSignal.timeout(ASK_DEADLINE_MS) };
    const answer = await overlay.request(peer, DIRECTORY_PROTOCOL, new Uint8Array(0), limits);
    const records = decodeDirectory(answer);
    if (!records.ok) return deps.log.info('unreadable directory', { peer, why: records.why });
    for (const record of records.value) await admit(record);
  }

  async function askSome(): Promise<void> {
    const peers = nextPeers();
    const answers = await Promise.allSettled(peers.map(ask));
    for (const [i, result] of answers.entries()) {
      if (result.status === 'rejected') {
        deps.log.debug('directory not answered', { peer: peers[i], code: errorCode(result.reason) });
      }
    }
  }

  /** Others each time: those asked before may be no hosters. */
  function nextPeers(): readonly PeerId[] {
    const peers = overlay.peers();
    const from = asked % Math.max(1, peers.length);
    asked += ASKED_PEERS;
    return [...peers.slice(from), ...peers.slice(0, from)].slice(0, ASKED_PEERS);
  }

  async function follow(signal: AbortSignal): Promise<void> {
    for await (const next of deps.chain.heads('best', signal)) {
      head = next.number;
      dropStale();
    }
  }

  return {
    async run(signal) {
      overlay.subscribe(announceTopic(options.subnet), (message) => admit(message));
      try {
        await follow(signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
    admit,
    offers: () => sorted(entries).map(({ peer, record: { body } }) => offerOf(peer, body)),
    records: () => sorted(entries).map(({ record }) => record.bytes),
    async refresh(signal) {
      refreshing ??= askSome().finally(() => {
        refreshing = undefined;
      });
      await raceSignal(refreshing, signal);
    },
  };
}

function sorted(entries: ReadonlyMap<NodeId, Entry>): readonly Entry[] {
  return [...entries.values()].sort((a, b) => a.record.body.node - b.record.body.node);
}

function offerOf(peer: PeerId, announce: Announce): DatedOffer {
  const { node, shards, coming, load, rowsPerSecond, freePositions, memoryMiB, block } = announce;
  const offer = { node, peer, shards, load, rowsPerSecond, freePositions, memoryMiB, block };
  return coming === undefined ? offer : { ...offer, coming };
}

type Signer = { readonly peer: PeerId } | 'unknown' | 'forged';

/**
 * Peers of the subnet's activated nodes; read from the chain when an unknown node speaks or a known one with another key, at most once per head:
 * a node that has changed its peer id must not have those punished who pass on its announces.
 */
function createMembers(subnet: SubnetId, chain: Pick<Chain, 'nodes'>) {
  let peers: ReadonlyMap<NodeId, PeerId> = new Map();
  let readAt: BlockNumber | undefined;
  let reading: Promise<void> | undefined;

  async function read(head: BlockNumber): Promise<void> {
    const nodes = await chain.nodes(subnet);
    const active = nodes.filter((node) => classRank(node.nodeClass) >= MIN_CLASS_RANK);
    peers = new Map(active.map((node) => [node.id, node.peerInfo.peer]));
    readAt = head;
  }

  function judge(node: NodeId, isSigner: (peer: PeerId) => boolean): Signer {
    const peer = peers.get(node);
    if (peer === undefined) return 'unknown';
    return isSigner(peer) ? { peer } : 'forged';
  }

  return {
    async signerOf(node: NodeId, head: BlockNumber, isSigner: (peer: PeerId) => boolean): Promise<Signer> {
      const known = judge(node, isSigner);
      const isOld = readAt === undefined || head >= readAt + MEMBERS_LIFE_BLOCKS;
      if (!isOld && (typeof known === 'object' || head === readAt)) return known;
      reading ??= read(head).finally(() => {
        reading = undefined;
      });
      // Who was a member when the chain last answered stands until it answers again.
      await reading.catch((error) => {
        if (typeof known !== 'object') throw error;
      });
      return judge(node, isSigner);
    },
  };
}

/** A node that left is noticed after so many blocks: its announces expire within 15. */
const MEMBERS_LIFE_BLOCKS = 20;
