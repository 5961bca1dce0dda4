// Peer ids between text (base58) and the wire (binary multihash): Ed25519 keys only, whose multihash is `identity` over the libp2p
// protobuf of the public key, so that the key can be read from the id (protocol.md 3).

import { base58btc } from 'multiformats/bases/base58';
import type { PeerId } from '../types/ids.ts';
import { fromHex } from '../util/bytes.ts';
import type { Cbor } from '../util/cbor.ts';
import { refuse } from './parse.ts';

/** Identity multihash of 36 bytes, protobuf {type: Ed25519, data: 32 bytes}. */
const ED25519_PREFIX = fromHex('002408011220');
const PEER_BYTES = ED25519_PREFIX.length + 32;

/** 38 bytes. The text must be a peer id already (from the overlay or the chain): another one is a programmer's error. */
export function peerToBytes(peer: PeerId): Uint8Array {
  const bytes = base58btc.baseDecode(peer);
  if (!isEd25519(bytes)) throw new RangeError(`not an Ed25519 peer id: ${peer.slice(0, 80)}`);
  return bytes;
}

/** A field (wire/fields.ts) that must be the id of an Ed25519 key. */
export function peerId(value: Cbor): PeerId {
  if (!(value instanceof Uint8Array) || !isEd25519(value)) return refuse('not an Ed25519 peer id');
  return base58btc.baseEncode(value) as PeerId;
}

function isEd25519(bytes: Uint8Array): boolean {
  return bytes.length === PEER_BYTES && ED25519_PREFIX.every((byte, i) => bytes[i] === byte);
}
