// Peer ids of Ed25519 keys in their three forms: base58 text in the program and on chain, binary multihash on the wire, the bare 32-byte key.
// Pure: an Ed25519 peer id is the identity multihash of the key's protobuf, so nothing has to be looked up (libp2p specs, peer-ids).

import { base58btc } from 'multiformats/bases/base58';
import type { PeerId } from './ids.ts';

/** Identity multihash of 36 bytes, then the protobuf { type: Ed25519, data: 32 bytes }. */
const HEAD = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);
const PUBLIC_KEY_BYTES = 32;
const PEER_ID_BYTES = HEAD.length + PUBLIC_KEY_BYTES;
/** base58 of 38 bytes never has more digits; longer text is refused before it is decoded. */
const MAX_TEXT_LENGTH = 52;

/** @param publicKey 32 bytes; RangeError otherwise */
export function peerFromPublicKey(publicKey: Uint8Array): PeerId {
  if (publicKey.length !== PUBLIC_KEY_BYTES)
    throw new RangeError(`an Ed25519 key has 32 bytes, not ${publicKey.length}`);
  return base58btc.baseEncode(Uint8Array.from([...HEAD, ...publicKey])) as PeerId;
}

/** The peer of a 38-byte binary multihash; undefined for anything but an Ed25519 peer id. */
export function peerFromBytes(bytes: Uint8Array): PeerId | undefined {
  return isPeerId(bytes) ? (base58btc.baseEncode(bytes) as PeerId) : undefined;
}

/** The peer of a text like `12D3KooW...`; undefined for anything but an Ed25519 peer id. */
export function peerFromText(text: string): PeerId | undefined {
  if (text.length > MAX_TEXT_LENGTH) return undefined;
  try {
    return peerFromBytes(base58btc.baseDecode(text));
  } catch {
    return undefined;
  }
}

/** 38 bytes. RangeError when the text is no Ed25519 peer id. */
export function peerToBytes(peer: PeerId): Uint8Array {
  const bytes = base58btc.baseDecode(peer);
  if (!isPeerId(bytes)) throw new RangeError(`not an Ed25519 peer id: ${peer.slice(0, 80)}`);
  return bytes;
}

/** 32 bytes. RangeError when the text is no Ed25519 peer id. */
export function peerToPublicKey(peer: PeerId): Uint8Array {
  return peerToBytes(peer).subarray(HEAD.length);
}

/** The peer a multiaddr names at its end (`.../p2p/<peer>`), or the peer itself when only its id is given. */
export function peerFromAddress(address: string): PeerId | undefined {
  const at = address.lastIndexOf('/p2p/');
  return peerFromText(at < 0 ? address : address.slice(at + '/p2p/'.length));
}

function isPeerId(bytes: Uint8Array): boolean {
  return bytes.length === PEER_ID_BYTES && HEAD.every((byte, i) => bytes[i] === byte);
}
