// Turns relayed connections into direct ones where that is possible: dials the addresses that identify has told of a peer who is reached through a relay
// alone. DCUtR tries public addresses only (network.md 9); here the node's own rules say which may be dialled, so two nodes of one house find each other
// too. The relayed connection is left to the streams that are on it and closed behind the last of them. Knows no clock: `sweep` is told the time.

import type { Connection } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../types/ids.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { OverlayNode } from './libp2p-node.ts';
import { DIAL_MS } from './libp2p-streams.ts';

/** Whoever was dialled tries later than the one who dialled: mostly one of the two is enough. */
const FIRST_TRY_MS = 3_000;
/** Pause behind the first failure; doubled with each up to the longest. Addresses change seldom. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 600_000;
/** Dials at once. */
const MAX_DIALS = 4;
const MAX_ADDRESSES = 16;

const CIRCUIT = 'p2p-circuit';
/** Streams that come back by themselves on another connection. */
const HOUSEKEEPING = /^\/(ipfs|libp2p|meshsub|floodsub)\/|\/kad\//;

/** Whether a relay carries it. */
function isRelayed(connection: Pick<Connection, 'remoteAddr'>): boolean {
  return connection.remoteAddr.getComponents().some(({ name }) => name === CIRCUIT);
}

/** Connected peers that are reached through a relay alone. */
export function relayedPeers(node: Pick<OverlayNode, 'getConnections'>): readonly PeerId[] {
  const open = node.getConnections().filter(({ status }) => status === 'open');
  const direct = new Set(open.filter((one) => !isRelayed(one)).map(({ remotePeer }) => remotePeer.toString()));
  const relayed = new Set(open.filter(isRelayed).map(({ remotePeer }) => remotePeer.toString()));
  return [...relayed].filter((peer) => !direct.has(peer)) as PeerId[];
}

interface Attempt {
  readonly failures: number;
  readonly dueMs: number;
}

/** Follows the connections of a node; resolves when the attempts of this sweep have ended. */
export function createUpgrader(
  node: Pick<OverlayNode, 'getConnections' | 'dial' | 'peerStore'>,
  log: Log,
): { sweep(nowMs: number): Promise<void> } {
  const attempts = new Map<PeerId, Attempt>();
  const dialing = new Set<PeerId>();

  /** Of those that identify told, or that were learned otherwise. */
  async function addressesOf(peer: PeerId): Promise<Multiaddr[]> {
    const id = peerIdFromString(peer);
    if (!(await node.peerStore.has(id))) return [];
    const { addresses } = await node.peerStore.get(id);
    const texts = addresses.map(({ multiaddr: address }) => address.toString().replace(`/p2p/${peer}`, ''));
    const direct = texts.filter((text) => !text.includes(CIRCUIT)).slice(0, MAX_ADDRESSES);
    return [...new Set(direct)].map((text) => multiaddr(`${text}/p2p/${peer}`));
  }

  function firstTry(peer: PeerId, nowMs: number): Attempt {
    const isDialler = connectionsTo(peer).some(({ direction }) => direction === 'outbound');
    return { failures: 0, dueMs: isDialler ? nowMs : nowMs + FIRST_TRY_MS };
  }

  function connectionsTo(peer: PeerId): readonly Connection[] {
    return node.getConnections(peerIdFromString(peer));
  }

  async function upgrade(peer: PeerId, nowMs: number): Promise<void> {
    const { failures } = attempts.get(peer) ?? { failures: 0 };
    dialing.add(peer);
    try {
      const addresses = await addressesOf(peer);
      if (addresses.length === 0) throw new Error('no address but those at relays is known');
      // By force, for there is a connection already.
      await node.dial(addresses, { force: true, signal: AbortSignal.timeout(DIAL_MS) });
      attempts.delete(peer);
      log.info('direct connection', { peer });
    } catch (error) {
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
      attempts.set(peer, { failures: failures + 1, dueMs: nowMs + pauseMs });
      log.debug('no direct connection', { peer, failures: failures + 1, error: errorMessage(error) });
    } finally {
      dialing.delete(peer);
    }
  }

  /** Relayed connections beside a direct one that nothing is on any more. */
  function closeIdle(): void {
    const alone = new Set(relayedPeers(node));
    for (const connection of node.getConnections().filter(isRelayed)) {
      const peer = connection.remotePeer.toString() as PeerId;
      if (connection.status !== 'open' || alone.has(peer)) continue;
      if (connection.streams.some(({ protocol }) => !HOUSEKEEPING.test(protocol))) {
        log.debug('relayed connection left to its streams', { peer });
        continue;
      }
      connection.close().catch((error) => log.debug('relayed connection not closed', { error: errorMessage(error) }));
    }
  }

  return {
    async sweep(nowMs) {
      closeIdle();
      const relayed = relayedPeers(node);
      for (const peer of attempts.keys()) if (!relayed.includes(peer)) attempts.delete(peer);
      for (const peer of relayed) if (!attempts.has(peer)) attempts.set(peer, firstTry(peer, nowMs));
      const due = relayed.filter((peer) => !dialing.has(peer) && (attempts.get(peer)?.dueMs ?? 0) <= nowMs);
      await Promise.all(due.slice(0, Math.max(0, MAX_DIALS - dialing.size)).map((peer) => upgrade(peer, nowMs)));
    },
  };
}
