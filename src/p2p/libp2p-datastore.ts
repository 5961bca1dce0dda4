// libp2p's datastore in memory, bounded. DHT records lie on a write-once shelf: what kad-dht puts over another value is refused here, and the
// peer that sent it sees its PUT fail (protocol.md 4, 10).

import { Record as DhtRecord } from '@libp2p/kad-dht';
import { MemoryDatastore } from 'datastore-core';
import { Key } from 'interface-datastore';
import { base32 } from 'multiformats/bases/base32';
import type { Shelf } from './shelf.ts';

/** Where kad-dht keeps records: this, then base32 of the key's bytes without multibase prefix. */
const RECORD_PREFIX = '/dht/record/';
/** Peers and providers remembered beside the records; the oldest go first. 256 nodes and many clients fit. */
const MAX_OTHER_ENTRIES = 8192;

/** The text of a record key, or undefined when the bytes are no UTF-8: no key of ours is that. */
export function recordKeyText(key: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(key);
  } catch {
    return undefined;
  }
}

export class OverlayDatastore extends MemoryDatastore {
  readonly #shelf: Shelf;
  readonly #pinned: string;
  readonly #order = new Set<string>();

  /** @param pinned what the key of an entry contains that must not go: the own peer's */
  constructor(shelf: Shelf, pinned: string) {
    super();
    this.#shelf = shelf;
    this.#pinned = pinned;
  }

  override put(...[key, value, options]: Parameters<MemoryDatastore['put']>): ReturnType<MemoryDatastore['put']> {
    if (!isRecord(key)) {
      this.#remember(key.toString());
      return super.put(key, value, options);
    }
    const record = DhtRecord.deserialize(value);
    const text = recordKeyText(record.key);
    if (text === undefined || !this.#shelf.put(text, record.value)) throw new Error('another record is held');
    return key;
  }

  override get(...[key, options]: Parameters<MemoryDatastore['get']>): ReturnType<MemoryDatastore['get']> {
    const bytes = isRecord(key) ? recordKeyBytes(key) : undefined;
    const value = bytes === undefined ? undefined : this.#shelf.get(recordKeyText(bytes) ?? '');
    if (bytes === undefined || value === undefined) return super.get(key, options);
    return new DhtRecord(bytes, value, new Date()).serialize();
  }

  override has(...[key, options]: Parameters<MemoryDatastore['has']>): ReturnType<MemoryDatastore['has']> {
    if (!isRecord(key)) return super.has(key, options);
    return this.#shelf.get(recordKeyText(recordKeyBytes(key)) ?? '') !== undefined;
  }

  override delete(...[key, options]: Parameters<MemoryDatastore['delete']>): ReturnType<MemoryDatastore['delete']> {
    this.#order.delete(key.toString());
    return super.delete(key, options);
  }

  #remember(key: string): void {
    if (key.includes(this.#pinned)) return;
    this.#order.delete(key);
    this.#order.add(key);
    for (const oldest of this.#order) {
      if (this.#order.size <= MAX_OTHER_ENTRIES) return;
      this.#order.delete(oldest);
      super.delete(new Key(oldest));
    }
  }
}

function isRecord(key: Key): boolean {
  return key.toString().startsWith(RECORD_PREFIX);
}

function recordKeyBytes(key: Key): Uint8Array {
  return base32.baseDecode(key.toString().slice(RECORD_PREFIX.length));
}
