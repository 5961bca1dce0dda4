// How a node that others cannot simply dial is met nevertheless: through a relay, by punching through its NAT, by asking its router for a port, by
// calling out into the local network. Each can be switched off; a node with an address on the internet needs none.

import { autoNAT } from '@libp2p/autonat';
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { dcutr } from '@libp2p/dcutr';
import { mdns } from '@libp2p/mdns';
import { uPnPNAT } from '@libp2p/upnp-nat';
import type { Reach } from './reach-names.ts';

/** What a relay carries for one connection: some hours of inference, or a large model's shard. */
const RELAYED_BYTES = 1n << 30n;
const RELAYED_MS = 3_600_000;
/** As many as there may be nodes in a subnet. */
const MAX_RESERVATIONS = 256;
const RELAY_STREAMS = 512;

export function reachTransports(reach: readonly Reach[]) {
  return reach.includes('relay') ? [circuitRelayTransport()] : [];
}

export function reachServices(reach: readonly Reach[], isRelay: boolean) {
  const relay = circuitRelayServer({
    maxInboundHopStreams: RELAY_STREAMS,
    maxOutboundHopStreams: RELAY_STREAMS,
    maxOutboundStopStreams: RELAY_STREAMS,
    reservations: {
      maxReservations: MAX_RESERVATIONS,
      defaultDataLimit: RELAYED_BYTES,
      defaultDurationLimit: RELAYED_MS,
    },
  });
  // Asking a router for a port needs to know whether one is needed (network.md 9).
  const needsAutonat = reach.includes('autonat') || reach.includes('upnp');
  return {
    ...(isRelay ? { relay } : {}),
    ...(reach.includes('hole-punch') ? { dcutr: dcutr() } : {}),
    ...(needsAutonat ? { autonat: autoNAT() } : {}),
    ...(reach.includes('upnp') ? { upnp: uPnPNAT() } : {}),
  };
}

export function reachDiscovery(reach: readonly Reach[], network: string) {
  return reach.includes('mdns') ? [mdns({ serviceTag: `tessera-${network}.local` })] : [];
}
