// Records on the DHT of libp2p: PUT to the nearest peers, and what they hold of a key. Replies are judged again, for they may come from anybody.

import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import { create as createDigest } from 'multiformats/hashes/digest';
import type { PeerId } from '../types/ids.ts';
import { raceSignal } from '../util/async.ts';
import { equalBytes, utf8 } from '../util/bytes.ts';
import type { OverlayNode } from './libp2p-node.ts';
import { bestRecord, refusal, type Shelf } from './shelf.ts';
import type { RecordRules } from './types.ts';

/** PUTs to the nearest peers; how many stored it when all have answered or the signal aborts. */
export async function putRecord(
  node: OverlayNode,
  key: string,
  value: Uint8Array,
  signal: AbortSignal,
): Promise<number> {
  if (node.getPeers().length === 0) return 0;
  let stored = 0;
  await drain(node.services.dht.put(utf8(key), value, { signal }), signal, (event) => {
    if (event.name !== 'PEER_RESPONSE' || event.messageName !== 'PUT_VALUE') return;
    if (event.record !== undefined && equalBytes(event.record.value, value)) stored += 1;
  });
  return stored;
}

/** The best of the own record and what the nearest peers hold, judged again: a reply may come from anybody. */
export async function getRecord(
  node: OverlayNode,
  rules: RecordRules,
  shelf: Shelf,
  key: string,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const own = shelf.get(key);
  const values: Uint8Array[] = own === undefined ? [] : [own];
  if (node.getPeers().length > 0) {
    await drain(node.services.dht.get(utf8(key), { signal }), signal, (event) => {
      if (event.name !== 'PEER_RESPONSE' || event.record === undefined) return;
      const { value } = event.record;
      if (!values.some((other) => equalBytes(other, value))) values.push(new Uint8Array(value));
    });
  }
  const sound: Uint8Array[] = [];
  for (const value of values) if ((await refusal(rules, key, value)) === undefined) sound.push(value);
  return bestRecord(rules.replaces, key, sound);
}

/** Enough to choose from. */
const MAX_PROVIDERS = 32;

/** SHA-256 (0x12) of raw bytes, as other programs name blocks. */
function contentId(content: Uint8Array): CID {
  return CID.createV1(raw.code, createDigest(0x12, content));
}

export async function provide(node: OverlayNode, content: Uint8Array, signal: AbortSignal): Promise<void> {
  if (node.getPeers().length > 0)
    await drain(node.services.dht.provide(contentId(content), { signal }), signal, () => undefined);
}

export async function providers(node: OverlayNode, content: Uint8Array, signal: AbortSignal): Promise<PeerId[]> {
  const found = new Set<PeerId>();
  if (node.getPeers().length === 0) return [];
  const enough = new AbortController();
  const until = AbortSignal.any([signal, enough.signal]);
  await drain(node.services.dht.findProviders(contentId(content), { signal: until }), until, (event) => {
    const named = event.name === 'PROVIDER' || event.name === 'PEER_RESPONSE' ? event.providers : [];
    for (const { id } of named) if (!id.equals(node.peerId)) found.add(id.toString() as PeerId);
    if (found.size >= MAX_PROVIDERS) enough.abort();
  });
  return [...found].slice(0, MAX_PROVIDERS);
}

/** Reads a query to its end or until the signal aborts. A query that fails is one that found nothing more. */
async function drain<T>(query: AsyncIterable<T>, signal: AbortSignal, see: (event: T) => void): Promise<void> {
  const all = async () => {
    for await (const event of query) see(event);
  };
  await raceSignal(all(), signal).catch(() => undefined);
}
