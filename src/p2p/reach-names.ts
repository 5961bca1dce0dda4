// The names of the ways to be met; apart from reach.ts, so that who only needs the words does not load libp2p.

/** `relay`: dial and be dialled through relays. `hole-punch`: turn that into a direct connection. `autonat`: have peers try one's address.
 *  `upnp`: ask the router for a port. `mdns`: find nodes of the same network on the local network. */
export const REACH = ['relay', 'hole-punch', 'autonat', 'upnp', 'mdns'] as const;
export type Reach = (typeof REACH)[number];
