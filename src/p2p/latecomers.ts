// kad-dht asks once, when a peer connects, whether it may enter the routing table. A node that joins the roster later, which is every new one,
// is identified again then: that makes kad-dht ask again.

import type { PeerId as Libp2pPeerId } from '@libp2p/interface';
import type { PeerId } from '../types/ids.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { OverlayNode } from './libp2p-node.ts';

/** As long as a handshake may take (protocol.md 14). */
const IDENTIFY_MS = 10_000;

/** Looks through the connected peers that were not servers when they came; to be called now and then. */
export function createLatecomers(
  node: OverlayNode,
  isDhtServer: (peer: PeerId) => boolean,
  log: Log,
): { sweep(): void } {
  // As many as there are connections, which the connection manager bounds.
  const waiting = new Map<PeerId, Libp2pPeerId>();
  node.addEventListener('peer:identify', ({ detail: { peerId } }) => {
    const peer = peerId.toString() as PeerId;
    if (isDhtServer(peer)) waiting.delete(peer);
    else waiting.set(peer, peerId);
  });
  node.addEventListener('peer:disconnect', ({ detail }) => waiting.delete(detail.toString() as PeerId));

  return {
    sweep() {
      for (const [peer, peerId] of waiting) {
        if (!isDhtServer(peer)) continue;
        waiting.delete(peer);
        const [connection] = node.getConnections(peerId);
        if (connection === undefined) continue;
        node.services.identify
          .identify(connection, { signal: AbortSignal.timeout(IDENTIFY_MS) })
          .catch((error) => log.debug('peer not identified again', { peer, error: errorMessage(error) }));
      }
    },
  };
}
