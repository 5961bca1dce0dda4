// Who may connect and what is dialled, before a byte is exchanged. Which peer may use which protocol is asked by each protocol; here only what
// protects the node itself: bans, the share of one host, room that strangers cannot take from members, addresses that strangers must not choose.

import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../types/ids.ts';
import { toHex } from '../util/bytes.ts';
import type { RefusalCode } from './types.ts';

export interface GateRules {
  readonly isBanned: (peer: PeerId) => boolean;
  /** Peers that this node wants to be connected to: room is kept for them. */
  readonly isWanted: (peer: PeerId) => boolean;
  readonly mayDial: (address: string) => boolean;
  readonly note: (peer: PeerId, code: RefusalCode) => void;
  /** Connections from one IPv4 address or IPv6 /64 at a time, loopback not counted; many nodes may live behind one. */
  readonly connectionsPerHost?: number;
  /** Connections that strangers may have open to this node, all together. */
  readonly strangers?: number;
  /** Connections that have not said who they are yet. */
  readonly nameless?: number;
}

/** protocol.md 14. */
const DEFAULT_CONNECTIONS_PER_HOST = 16;
/** As many as there may be nodes in a subnet. */
export const MAX_STRANGERS = 256;

/** A handshake takes tens of milliseconds: who is slower gives way before the ten seconds that it may take, when so many others are at the door. */
const MAX_NAMELESS = 512;

export function createGate(rules: GateRules): ConnectionGater {
  const hosts = createHostCount(rules.connectionsPerHost ?? DEFAULT_CONNECTIONS_PER_HOST);
  const nameless = createNameless(rules.nameless ?? MAX_NAMELESS);
  const limit = rules.strangers ?? MAX_STRANGERS;
  const inbound = new Map<MultiaddrConnection, PeerId>();
  const strangers = () => [...inbound.values()].filter((peer) => !rules.isWanted(peer)).length;
  const whyNot = (peer: PeerId): RefusalCode | undefined => {
    if (rules.isBanned(peer)) return 'BANNED';
    return rules.isWanted(peer) || strangers() < limit ? undefined : 'TOO_MANY_STRANGERS';
  };
  return {
    denyDialPeer: (peer) => rules.isBanned(peer.toString() as PeerId),
    denyDialMultiaddr: (address) => !rules.mayDial(address.toString()),
    denyInboundConnection(connection) {
      if (!hosts.enter(connection)) return true;
      nameless.add(connection);
      return false;
    },
    denyInboundEncryptedConnection(peerId, connection) {
      nameless.delete(connection);
      const peer = peerId.toString() as PeerId;
      const why = whyNot(peer);
      if (why !== undefined) {
        rules.note(peer, why);
        return true;
      }
      inbound.set(connection, peer);
      connection.addEventListener('close', () => inbound.delete(connection));
      return false;
    },
  };
}

/** Those at the door; when they are too many, who has stood there longest goes, for whoever means it is through soon. */
function createNameless(limit: number) {
  /** In order of arrival. */
  const waiting = new Set<MultiaddrConnection>();
  return {
    add(connection: MultiaddrConnection): void {
      waiting.add(connection);
      connection.addEventListener('close', () => waiting.delete(connection));
      const [oldest] = waiting;
      if (waiting.size <= limit || oldest === undefined) return;
      waiting.delete(oldest);
      oldest.abort(new Error('too long at the door'));
    },
    delete: (connection: MultiaddrConnection) => waiting.delete(connection),
  };
}

/** Counts the open connections of each host. */
function createHostCount(limit: number): {
  /** False when the host has all that it may have. */ enter(connection: MultiaddrConnection): boolean;
} {
  const open = new Map<string, number>();
  const count = (host: string, change: number) => {
    const now = (open.get(host) ?? 0) + change;
    if (now > 0) open.set(host, now);
    else open.delete(host);
  };
  return {
    enter(connection) {
      const host = hostOf(connection.remoteAddr);
      if (host === undefined) return true;
      if ((open.get(host) ?? 0) >= limit) return false;
      count(host, 1);
      connection.addEventListener('close', () => count(host, -1));
      return true;
    },
  };
}

const IP6_CODE = 41;
const LOOPBACK = /^(127\.|::1$|::ffff:7f)/;
const MAPPED_IP4 = /^::ffff:[0-9a-f]+:[0-9a-f]+$/;

/** Whose share a connection counts for: an IPv4 address, or the /64 of an IPv6 address, for a host has all of those. Undefined for loopback. */
function hostOf(address: Multiaddr): string | undefined {
  const [first] = address.getComponents();
  const text = first?.value ?? '';
  if (LOOPBACK.test(text)) return undefined;
  if (first?.code !== IP6_CODE || MAPPED_IP4.test(text)) return text;
  // One byte of code, then the address.
  return toHex(address.bytes.subarray(1, 9));
}
