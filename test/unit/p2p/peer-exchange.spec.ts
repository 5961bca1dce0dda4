import assert from 'node:assert/strict';
import type { OverlayNode } from '../../../src/p2p/libp2p-node.ts';
import {
  decodeNamed,
  decodeWanted,
  encodeNamed,
  encodeWanted,
  learnPeers,
  namePeers,
} from '../../../src/p2p/peer-exchange.ts';
import type { PeerId } from '../../../src/types/ids.ts';
import { peerFromPublicKey } from '../../../src/types/peer-id.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';
import { silentLog } from '../../../src/util/log.ts';

const peer = (n: number) => peerFromPublicKey(new Uint8Array(32).fill(n));
const record = Uint8Array.of(1, 2, 3);

/** A node that is connected to some and knows the records of some; a record of one byte is forged. */
function nodeOf(connected: readonly PeerId[], known: readonly PeerId[]): OverlayNode {
  const kept = new Set<string>(known);
  return {
    peerId: { toString: () => peer(99) },
    getPeers: () => connected,
    peerStore: {
      has: async (id: object) => kept.has(id.toString()),
      get: async () => ({ peerRecordEnvelope: record, addresses: ['somewhere'] }),
      async consumePeerRecord(bytes: Uint8Array, { expectedPeer }: { readonly expectedPeer: object }) {
        if (bytes.length === 1) throw new Error('signature is not valid');
        kept.add(expectedPeer.toString());
      },
    },
  } as unknown as OverlayNode;
}

describe('peer exchange', () => {
  it('carries names there and records back', () => {
    assert.deepEqual(decodeWanted(encodeWanted([peer(1), peer(2)])), [peer(1), peer(2)]);
    assert.deepEqual(decodeNamed(encodeNamed([{ peer: peer(1), record }])), [{ peer: peer(1), record }]);
    assert.equal(decodeWanted(encodeWanted(Array.from({ length: 40 }, (_, i) => peer(i))))?.length, 32);
  });

  it('takes nothing else', () => {
    const many = Array.from({ length: 33 }, () => new Uint8Array(38));
    for (const bytes of [Uint8Array.of(), encodeCbor({ v: 2, w: [] }), encodeCbor({ v: 1, w: many })])
      assert.equal(decodeWanted(bytes), undefined);
    const long = encodeCbor({ v: 1, p: [[new Uint8Array(38), new Uint8Array(2049)]] });
    for (const bytes of [Uint8Array.of(), encodeCbor({ v: 1, p: [[]] }), long])
      assert.equal(decodeNamed(bytes), undefined);
  });

  it('names who is looked for first, then members, then others; not the asker, and nobody without a record', async () => {
    const connected = [1, 2, 3, 4, 5].map(peer);
    const node = nodeOf(connected, [1, 2, 3, 4, 9].map(peer));
    const answer = await namePeers(node, (who) => who === peer(3), encodeWanted([peer(9), peer(8)]), peer(4));
    const named = decodeNamed(answer)?.map((one) => one.peer) ?? [];
    assert.deepEqual(named.slice(0, 2), [peer(9), peer(3)]);
    assert.deepEqual(new Set(named.slice(2)), new Set([peer(1), peer(2)]));
    await assert.rejects(namePeers(node, () => true, Uint8Array.of(1), peer(4)));
  });

  it('believes signed records alone, and nothing about itself', async () => {
    const named = [
      { peer: peer(1), record },
      { peer: peer(2), record: Uint8Array.of(1) },
      { peer: peer(99), record },
    ];
    assert.deepEqual(await learnPeers(nodeOf([], []), encodeNamed(named), silentLog), [peer(1)]);
    assert.deepEqual(await learnPeers(nodeOf([], []), Uint8Array.of(0xff), silentLog), []);
  });
});
