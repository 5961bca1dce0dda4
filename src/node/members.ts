// Who belongs to the subnet, as the finalized chain says: kept in memory, read again as finalized heads come, so that no question of a
// stranger waits for the chain. An outage leaves the last answer standing.

import type { Chain, SubnetNode } from '../chain/types.ts';
import type { PeerId, SubnetId } from '../types/ids.ts';
import { type Access, classRank } from '../types/subnet.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

/** Heads between two readings: a class changes once an epoch at most. */
const REFRESH_BLOCKS = 5;
const MIN_SERVING_RANK = classRank('Idle');

export interface Members {
  /** Reads once and then follows finalized heads until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Nodes of class Idle and above: they serve the DHT and stay connected. */
  peers(): readonly PeerId[];
  isMember(peer: PeerId): boolean;
  /** Whether it is a validator's: it may look at what was served here. */
  isValidator(peer: PeerId): boolean;
  /** Where the chain says that a member may be found. */
  addressesOf(peer: PeerId): readonly string[];
  /** Stake of the node whose peer, boot node or client this is, planck; 0 for strangers. */
  stakeOf(peer: PeerId): bigint;
  /** Whether the access policy lets this peer ask for inference. In a private network whoever is connected has its key. */
  mayAsk(peer: PeerId): boolean;
}

/** @param nodes what was read already, so that answers are right from the first moment on */
export function createMembers(
  options: { readonly subnet: SubnetId; readonly access: Access; readonly nodes: readonly SubnetNode[] },
  deps: { readonly chain: Pick<Chain, 'heads' | 'nodes'>; readonly log: Log },
): Members {
  let members = new Set<PeerId>();
  let validators = new Set<PeerId>();
  /** Stake of everybody who belongs to a node. */
  let known = new Map<PeerId, bigint>();
  let addresses = new Map<PeerId, string>();
  take(options.nodes);

  function take(nodes: readonly SubnetNode[]): void {
    members = new Set(
      nodes.filter((node) => classRank(node.nodeClass) >= MIN_SERVING_RANK).map((node) => node.peerInfo.peer),
    );
    validators = new Set(nodes.filter(({ nodeClass }) => nodeClass === 'Validator').map((node) => node.peerInfo.peer));
    addresses = new Map(
      nodes.flatMap(({ peerInfo: { peer, multiaddr } }) =>
        multiaddr === undefined ? [] : [[peer, multiaddr] as const],
      ),
    );
    known = new Map(
      nodes.flatMap(({ peerInfo, bootnodeInfo, clientInfo, stake }) =>
        [peerInfo, bootnodeInfo, clientInfo].flatMap((info) =>
          info === undefined ? [] : [[info.peer, stake] as const],
        ),
      ),
    );
  }

  return {
    async run(signal) {
      let readAt = Number.NEGATIVE_INFINITY;
      for await (const head of deps.chain.heads('finalized', signal)) {
        if (head.number < readAt + REFRESH_BLOCKS) continue;
        readAt = head.number;
        try {
          take(await deps.chain.nodes(options.subnet, head.hash, signal));
        } catch (error) {
          if (signal.aborted) return;
          deps.log.warn('members not read', { block: head.number, error: errorMessage(error) });
        }
      }
    },
    peers: () => [...members],
    isMember: (peer) => members.has(peer),
    isValidator: (peer) => validators.has(peer),
    addressesOf: (peer) => (addresses.has(peer) ? [addresses.get(peer) ?? ''] : []),
    stakeOf: (peer) => known.get(peer) ?? 0n,
    mayAsk: (peer) => options.access !== 'registered' || known.has(peer),
  };
}
