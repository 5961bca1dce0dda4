import assert from 'node:assert/strict';
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import type { PeerId } from '../../../src/types/ids.ts';
import {
  peerFromAddress,
  peerFromBytes,
  peerFromPublicKey,
  peerFromText,
  peerToBytes,
  peerToPublicKey,
} from '../../../src/types/peer-id.ts';
import { fromHex } from '../../../src/util/bytes.ts';

/** RFC 8032, 7.1, test 1. */
const KEY = fromHex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');

describe('peer ids', () => {
  it('are those of libp2p', () => {
    const theirs = peerIdFromPublicKey(publicKeyFromRaw(KEY));
    assert.equal(peerFromPublicKey(KEY), theirs.toString());
    assert.deepEqual(peerToBytes(peerFromPublicKey(KEY)), theirs.toMultihash().bytes);
  });

  it('go from key to text to bytes and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        const peer = peerFromPublicKey(key);
        assert.deepEqual(peerToPublicKey(peer), key);
        assert.equal(peerFromBytes(peerToBytes(peer)), peer);
        assert.equal(peerFromText(peer), peer);
      }),
    );
  });

  it('are found at the end of an address', () => {
    const peer = peerFromPublicKey(KEY);
    assert.equal(peerFromAddress(`/ip4/127.0.0.1/tcp/1/p2p/${peer}`), peer);
    assert.equal(peerFromAddress(peer), peer);
    assert.equal(peerFromAddress('/ip4/127.0.0.1/tcp/1'), undefined);
    assert.equal(peerFromAddress(`/ip4/127.0.0.1/tcp/1/p2p/${peer}/p2p-circuit`), undefined);
  });

  it('of other kinds or with a byte too many are none', () => {
    const bytes = peerToBytes(peerFromPublicKey(KEY));
    for (const bad of [new Uint8Array(0), bytes.subarray(1), Uint8Array.of(...bytes, 0), bytes.with(4, 0x13)])
      assert.equal(peerFromBytes(bad), undefined);
    const rsa = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
    for (const bad of ['', '0OIl', rsa, '1'.repeat(1000)]) assert.equal(peerFromText(bad), undefined);
    assert.throws(() => peerToBytes(rsa as PeerId), RangeError);
    assert.throws(() => peerFromPublicKey(KEY.subarray(1)), RangeError);
  });
});
