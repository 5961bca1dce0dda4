// A boot node's overlay: names peers to each other and relays; joins no topic, keeps no record, wants nobody.

import type { OpenIdentity } from '../p2p/identity.ts';
import { createOverlay } from '../p2p/libp2p.ts';
import { openNetworkKey } from '../p2p/network-key.ts';
import type { Reach } from '../p2p/reach-names.ts';
import type { Overlay } from '../p2p/types.ts';
import type { Log } from '../util/log.ts';
import { dialsPrivate } from './addresses.ts';

export interface BootnodeOptions {
  readonly identity: OpenIdentity;
  /** networkName of the chain. */
  readonly network: string;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  /** Other boot nodes, for instance. */
  readonly initialPeers: readonly string[];
  readonly networkKey: string | undefined;
  readonly reach: readonly Reach[];
}

/** Whoever comes is a stranger here, and may stay. */
const STRANGERS = 512;

export function createBootnode(
  { identity, network, listen, announce, initialPeers, networkKey, reach }: BootnodeOptions,
  deps: { readonly log: Log },
): Promise<Overlay> {
  return createOverlay(
    {
      identity,
      network,
      listen,
      announce,
      bootstrap: initialPeers,
      dhtServer: false,
      isDhtServer: () => false,
      topics: [],
      records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 0 },
      privateAddresses: dialsPrivate('auto', { listen, named: [...announce, ...initialPeers] }),
      relay: true,
      reach,
      strangers: STRANGERS,
      ...(networkKey === undefined ? {} : { networkKey: openNetworkKey(networkKey) }),
    },
    deps,
  );
}
