import assert from 'node:assert/strict';
import { Record as DhtRecord } from '@libp2p/kad-dht';
import { Key } from 'interface-datastore';
import { base32 } from 'multiformats/bases/base32';
import { OverlayDatastore } from '../../../src/p2p/libp2p-datastore.ts';
import { createShelf } from '../../../src/p2p/shelf.ts';
import { utf8 } from '../../../src/util/bytes.ts';

const recordKey = (text: string) => new Key(`/dht/record/${base32.baseEncode(utf8(text))}`, false);
const record = (text: string, value: number) =>
  new DhtRecord(utf8(text), Uint8Array.of(value), new Date(0)).serialize();

describe('datastore of libp2p', () => {
  it('holds DHT records write-once on the shelf', async () => {
    const shelf = createShelf(() => false);
    const store = new OverlayDatastore(shelf, 'self');
    const key = recordKey('/tsr/hc/1');
    assert.equal(await store.has(key), false);
    await store.put(key, record('/tsr/hc/1', 1));
    await store.put(key, record('/tsr/hc/1', 1));
    assert.throws(() => store.put(key, record('/tsr/hc/1', 2)), /another record/);
    assert.deepEqual(shelf.get('/tsr/hc/1'), Uint8Array.of(1));
    assert.equal(await store.has(key), true);
    const held = DhtRecord.deserialize(await store.get(key));
    assert.deepEqual([held.key, held.value], [utf8('/tsr/hc/1'), Uint8Array.of(1)]);
  });

  it('says NotFoundError for what it does not hold, as kad-dht expects', () => {
    const store = new OverlayDatastore(
      createShelf(() => false),
      'self',
    );
    assert.throws(() => store.get(recordKey('/tsr/none')), { name: 'NotFoundError' });
    assert.throws(() => store.get(new Key('/peers/x')), { name: 'NotFoundError' });
  });

  it('lets the oldest of other entries go, but not the own peer', async () => {
    const store = new OverlayDatastore(
      createShelf(() => false),
      'self',
    );
    await store.put(new Key('/peers/self'), Uint8Array.of(1));
    for (let i = 0; i < 8193; i += 1) await store.put(new Key(`/peers/${i}`), Uint8Array.of(1));
    assert.equal(await store.has(new Key('/peers/self')), true);
    assert.equal(await store.has(new Key('/peers/0')), false);
    assert.equal(await store.has(new Key('/peers/1')), true);
    assert.equal(await store.has(new Key('/peers/8192')), true);
  });
});
