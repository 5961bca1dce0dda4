// `/tessera/<network>/peers/1`: peers name peers, so that no boot node is needed once a node has found one. One frame there (peers looked for), one
// back: address records signed by the named peers themselves (libp2p RFC 0003), so that nobody can send others to a wrong door.

import { peerIdFromString } from '@libp2p/peer-id';
import type { PeerId } from '../types/ids.ts';
import { peerToBytes } from '../types/peer-id.ts';
import { encodeCbor } from '../util/cbor.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { bytes, exactly, list, parsing, peerId, readCbor, readMap, tuple } from '../wire/fields.ts';
import type { OverlayNode } from './libp2p-node.ts';
import type { ProtocolOptions } from './types.ts';

/** Peers that may be asked for at once. */
const MAX_WANTED = 32;
/** Peers named in one answer. */
const MAX_NAMED = 32;
/** A record of a dozen addresses. */
const MAX_RECORD_BYTES = 2048;
const MAX_FRAME_BYTES = MAX_NAMED * (MAX_RECORD_BYTES + 64);

export const PEERS_OPTIONS: ProtocolOptions = {
  maxFrameBytes: MAX_FRAME_BYTES,
  admit: () => true,
  maxStreamsPerPeer: 2,
};

interface NamedPeer {
  readonly peer: PeerId;
  /** Its addresses, signed by itself. */
  readonly record: Uint8Array;
}

export function encodeWanted(wanted: readonly PeerId[]): Uint8Array {
  return encodeCbor({ v: 1, w: wanted.slice(0, MAX_WANTED).map(peerToBytes) });
}

export function decodeWanted(body: Uint8Array): readonly PeerId[] | undefined {
  const read = parsing(() => readMap(readCbor(body, MAX_FRAME_BYTES), { v: exactly(1), w: list(peerId, MAX_WANTED) }));
  return read.ok ? read.value.w : undefined;
}

export function encodeNamed(named: readonly NamedPeer[]): Uint8Array {
  return encodeCbor({ v: 1, p: named.slice(0, MAX_NAMED).map(({ peer, record }) => [peerToBytes(peer), record]) });
}

export function decodeNamed(body: Uint8Array): readonly NamedPeer[] | undefined {
  const item = tuple<[PeerId, Uint8Array]>(peerId, bytes(1, MAX_RECORD_BYTES));
  const read = parsing(() => readMap(readCbor(body, MAX_FRAME_BYTES), { v: exactly(1), p: list(item, MAX_NAMED) }));
  return read.ok ? read.value.p.map(([peer, record]) => ({ peer, record })) : undefined;
}

/** Answers with the records of those looked for, then of others that this node is connected to, members first. */
export async function namePeers(
  node: OverlayNode,
  isMember: (peer: PeerId) => boolean,
  body: Uint8Array,
  from: PeerId,
): Promise<Uint8Array> {
  const wanted = decodeWanted(body);
  if (wanted === undefined) throw new Error('a request for peers that is none');
  const connected = node.getPeers().map((peer) => peer.toString() as PeerId);
  const others = shuffled(connected).toSorted((a, b) => Number(isMember(b)) - Number(isMember(a)));
  const named: NamedPeer[] = [];
  for (const peer of new Set([...wanted, ...others])) {
    if (named.length === MAX_NAMED) break;
    const record = peer === from ? undefined : await recordOf(node, peer);
    if (record !== undefined) named.push({ peer, record });
  }
  return encodeNamed(named);
}

/** Keeps what an answer names; who that is, with addresses to dial. A record that is not signed by its peer is dropped. */
export async function learnPeers(node: OverlayNode, answer: Uint8Array, log: Log): Promise<readonly PeerId[]> {
  const learned: PeerId[] = [];
  for (const { peer, record } of decodeNamed(answer) ?? []) {
    if (node.peerId.toString() === peer) continue;
    try {
      await node.peerStore.consumePeerRecord(record, { expectedPeer: peerIdFromString(peer) });
      if ((await recordOf(node, peer)) !== undefined) learned.push(peer);
    } catch (error) {
      log.debug('peer record refused', { peer, error: errorMessage(error) });
    }
  }
  return learned;
}

async function recordOf(node: OverlayNode, peer: PeerId): Promise<Uint8Array | undefined> {
  const id = peerIdFromString(peer);
  if (!(await node.peerStore.has(id))) return undefined;
  const { peerRecordEnvelope: record, addresses } = await node.peerStore.get(id);
  return record !== undefined && addresses.length > 0 && record.length <= MAX_RECORD_BYTES ? record : undefined;
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
