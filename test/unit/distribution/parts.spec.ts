import assert from 'node:assert/strict';
import { CHUNK_BYTES, chunkCount, chunkLength, hashAt } from '../../../src/distribution/chunks.ts';
import {
  decodeBlocksAnswer,
  decodeBlocksRequest,
  encodeBlocksAnswer,
  encodeBlocksRequest,
} from '../../../src/distribution/protocol.ts';
import { createRate } from '../../../src/distribution/rate.ts';
import { encodeCbor } from '../../../src/util/cbor.ts';

describe('pieces of a file', () => {
  it('are all of one length but the last', () => {
    const bytes = 2 * CHUNK_BYTES + 5;
    assert.equal(chunkCount(bytes), 3);
    assert.deepEqual(
      [0, 1, 2].map((index) => chunkLength(bytes, index)),
      [CHUNK_BYTES, CHUNK_BYTES, 5],
    );
    assert.equal(chunkCount(CHUNK_BYTES), 1);
    assert.deepEqual(hashAt(new Uint8Array(64).fill(7, 32), 1), new Uint8Array(32).fill(7));
  });
});

describe('blocks protocol', () => {
  const hash = new Uint8Array(32).fill(3);

  it('carries the four questions and the three answers', () => {
    for (const ask of ['manifest', 'hashes', 'chunk', 'draft'] as const)
      assert.deepEqual(decodeBlocksRequest(encodeBlocksRequest({ ask, hash, index: 4 })), { ask, hash, index: 4 });
    for (const answer of [Uint8Array.of(1, 2), new Uint8Array(0), 'absent', 'busy'] as const)
      assert.deepEqual(decodeBlocksAnswer(encodeBlocksAnswer(answer)), answer);
  });

  it('takes nothing else', () => {
    const wrong = [
      { v: 2, q: 'chunk', h: hash, i: 0 },
      { v: 1, q: 'file', h: hash, i: 0 },
      { v: 1, q: 'chunk', h: new Uint8Array(31), i: 0 },
      { v: 1, q: 'chunk', h: hash, i: 65_536 },
      { v: 1, q: 'chunk', h: hash },
    ];
    for (const value of wrong) assert.equal(decodeBlocksRequest(encodeCbor(value)), undefined);
    for (const bytes of [[], [3], [0, 1], [2, 2]]) assert.equal(decodeBlocksAnswer(Uint8Array.from(bytes)), undefined);
  });
});

describe('rate of sending', () => {
  it('lets a second go at once and makes the rest wait', () => {
    const rate = createRate(1000);
    assert.equal(rate.take(1000, 0), 0);
    assert.equal(rate.take(500, 0), 500);
    assert.equal(rate.take(500, 500), 500);
    assert.equal(rate.take(1000, 10_000), 0);
  });

  it('without a limit nothing waits', () => {
    assert.equal(createRate(Number.POSITIVE_INFINITY).take(1e12, 0), 0);
  });
});
