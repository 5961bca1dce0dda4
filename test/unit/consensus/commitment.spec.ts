import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Binding,
  commitmentOf,
  decodeHosterPayload,
  decodeOpening,
  decodeScorePayload,
  encodeHosterPayload,
  encodeOpening,
  encodeScorePayload,
  MAX_REVEALED_SHARDS,
  opens,
  shardsToName,
} from '../../../src/consensus/commitment.ts';
import { identityFromSeed } from '../../../src/p2p/identity.ts';
import { type Epoch, type NodeId, ONE, type ShardIndex, type SubnetId } from '../../../src/types/ids.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';

const peerA = identityFromSeed(new Uint8Array(32).fill(1)).peer;
const peerB = identityFromSeed(new Uint8Array(32).fill(2)).peer;
const binding: Binding = {
  what: 'hoster',
  genesis: new Uint8Array(32).fill(1),
  subnet: 128_001 as SubnetId,
  epoch: 7 as Epoch,
  node: 3 as NodeId,
  peer: peerA,
  manifest: new Uint8Array(32).fill(4),
  audits: false,
};
const opening = { salt: new Uint8Array(32).fill(5), payload: encodeHosterPayload([]) };

describe('commitment', () => {
  it('opens for what it was made of and for nothing else', () => {
    const commitment = commitmentOf(binding, opening);
    assert.equal(opens(commitment, binding, opening), true);
    const others: readonly Partial<Binding>[] = [
      { what: 'score' },
      { genesis: new Uint8Array(32) },
      { subnet: 128_002 as SubnetId },
      { epoch: 8 as Epoch },
      { node: 4 as NodeId },
      { peer: peerB },
      { manifest: new Uint8Array(32) },
      { audits: true },
    ];
    for (const other of others) assert.equal(opens(commitment, { ...binding, ...other }, opening), false);
    assert.equal(opens(commitment, binding, { ...opening, salt: new Uint8Array(32) }), false);
    assert.equal(opens(commitment, binding, { ...opening, payload: new Uint8Array([0x81]) }), false);
  });

  it('keeps an opening through the journal', () => {
    assert.deepEqual(decodeOpening(encodeOpening(opening)), opening);
  });
});

describe('hoster payload', () => {
  const shards = fc.uniqueArray(fc.nat({ max: 0xffff }), { maxLength: MAX_REVEALED_SHARDS });

  it('comes back as it went', () => {
    fc.assert(
      fc.property(shards, (ks) => {
        const sketches = ks
          .sort((a, b) => a - b)
          .map((k) => ({ shard: k as ShardIndex, sketch: new Uint8Array(512).fill(k & 255) }));
        assert.deepEqual(decodeHosterPayload(encodeHosterPayload(sketches)), sketches);
      }),
    );
  });

  it('refuses what is not ascending, too long, too many or another thing', () => {
    const sketch = new Uint8Array(512);
    const bad = [
      [
        [1, sketch],
        [1, sketch],
      ],
      [
        [2, sketch],
        [1, sketch],
      ],
      [[1, new Uint8Array(511)]],
      [[0x1_0000, sketch]],
      [[1, sketch, 0]],
      [['1', sketch]],
      Array.from({ length: MAX_REVEALED_SHARDS + 1 }, (_, i) => [i, sketch]),
      { a: 1 },
    ];
    for (const value of bad) assert.equal(decodeHosterPayload(encodeCbor(value)), undefined);
    assert.equal(decodeHosterPayload(new Uint8Array([0xff])), undefined);
  });
});

describe('score payload', () => {
  it('comes back as it went, up to ONE', () => {
    const score = fc.bigInt({ min: 0n, max: ONE });
    fc.assert(
      fc.property(fc.array(score, { maxLength: 256 }), (values) => {
        const scores = values.map((value, i) => ({ nodeId: (i + 1) as NodeId, score: value }));
        assert.deepEqual(decodeScorePayload(encodeScorePayload(scores)), scores);
      }),
    );
    assert.equal(decodeScorePayload(encodeCbor([[1, ONE + 1n]])), undefined);
    assert.equal(decodeScorePayload(encodeCbor([[1, 'much']])), undefined);
  });

  it('never throws on bytes of strangers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeScorePayload(bytes);
        decodeHosterPayload(bytes);
      }),
    );
  });
});

describe('shards to name', () => {
  it('are all of them, ascending, while they fit', () => {
    const shards = [3, 1, 2, 1] as ShardIndex[];
    assert.deepEqual(shardsToName(new Uint8Array(32), 1 as NodeId, shards), [1, 2, 3]);
  });

  it('are 24 that differ from node to node when there are more', () => {
    const all = Array.from({ length: 60 }, (_, k) => k as ShardIndex);
    const mine = shardsToName(new Uint8Array(32), 1 as NodeId, all);
    assert.equal(mine.length, 24);
    assert.deepEqual(
      mine,
      mine.toSorted((a, b) => a - b),
    );
    assert.notDeepEqual(mine, shardsToName(new Uint8Array(32), 2 as NodeId, all));
  });
});
