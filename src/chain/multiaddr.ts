// Peer ids and multiaddrs as the chain stores them: peer ids as the bytes of their base58 text, multiaddrs binary (chain.md 2).

import { multiaddr } from '@multiformats/multiaddr';
import type { PeerId } from '../types/ids.ts';
import { utf8 } from '../util/bytes.ts';
import { extrinsicFailed } from './errors.ts';

export function peerToBytes(peer: PeerId): Uint8Array {
  return utf8(peer);
}

export function bytesToPeer(bytes: Uint8Array): PeerId {
  return new TextDecoder().decode(bytes) as PeerId;
}

/** Throws what the chain would answer, since text that does not parse cannot be sent at all. */
export function multiaddrToBytes(call: string, text: string): Uint8Array {
  try {
    return multiaddr(text).bytes;
  } catch {
    throw extrinsicFailed(call, 'Network', 'MultiaddrInvalidAddress');
  }
}

/** Undefined for bytes that this program cannot read: another client may know more protocols. */
export function bytesToMultiaddr(bytes: Uint8Array): string | undefined {
  try {
    return multiaddr(bytes).toString();
  } catch {
    return undefined;
  }
}
