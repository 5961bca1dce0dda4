// Identifies connected peers once more where a service would miss a change otherwise. kad-dht asks only when a peer connects whether it may enter
// the routing table, but every new node joins the roster later. gossipsub does not open a new stream when one of two connections closes.

import type { PeerId as Libp2pPeerId } from '@libp2p/interface';
import type { PeerId } from '../types/ids.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { OverlayNode } from './libp2p-node.ts';

/** As long as a handshake may take (protocol.md 14). */
const IDENTIFY_MS = 10_000;

/** Follows the peers of a node; `sweep`, called now and then, looks for those that have become DHT servers. */
export function keepIdentified(node: OverlayNode, isDhtServer: (peer: PeerId) => boolean, log: Log): { sweep(): void } {
  /** Peers that were no servers when they came: as many as there are connections, which the connection manager bounds. */
  const waiting = new Map<PeerId, Libp2pPeerId>();

  function identifyAgain(peerId: Libp2pPeerId): void {
    const connection = node.getConnections(peerId).find(({ status }) => status === 'open');
    if (connection === undefined) return;
    node.services.identify
      .identify(connection, { signal: AbortSignal.timeout(IDENTIFY_MS) })
      .catch((error) => log.debug('peer not identified again', { error: errorMessage(error) }));
  }

  node.addEventListener('peer:identify', ({ detail: { peerId } }) => {
    const peer = peerId.toString() as PeerId;
    if (isDhtServer(peer)) waiting.delete(peer);
    else waiting.set(peer, peerId);
  });
  node.addEventListener('peer:disconnect', ({ detail }) => waiting.delete(detail.toString() as PeerId));
  node.addEventListener('connection:close', ({ detail }) => identifyAgain(detail.remotePeer));

  return {
    sweep() {
      for (const [peer, peerId] of waiting) {
        if (!isDhtServer(peer)) continue;
        waiting.delete(peer);
        identifyAgain(peerId);
      }
    },
  };
}
