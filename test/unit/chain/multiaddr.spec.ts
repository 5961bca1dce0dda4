import assert from 'node:assert/strict';
import { bytesToMultiaddr, bytesToPeer, multiaddrToBytes, peerToBytes } from '../../../src/chain/multiaddr.ts';
import type { PeerId } from '../../../src/types/ids.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';
import { errorCode } from '../../../src/util/errors.ts';

/** The Ed25519 identity of the seed 01..01 and its public key. */
const PEER = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5' as PeerId;
const PUBLIC_KEY = '8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c';

describe('addresses on chain', () => {
  it('writes peer ids as their text and multiaddrs binary (chain.md 2)', () => {
    assert.equal(peerToBytes(PEER).length, 52);
    assert.equal(peerToBytes(PEER)[0], 0x31);
    assert.equal(bytesToPeer(peerToBytes(PEER)), PEER);
    const bytes = multiaddrToBytes('x', `/ip4/127.0.0.1/tcp/30000/p2p/${PEER}`);
    assert.equal(toHex(bytes), `047f000001067530a503260024080112 20${PUBLIC_KEY}`.replaceAll(' ', ''));
    assert.equal(bytesToMultiaddr(bytes), `/ip4/127.0.0.1/tcp/30000/p2p/${PEER}`);
  });

  it('answers nothing for bytes it cannot read, and refuses text that is none', () => {
    assert.equal(bytesToMultiaddr(fromHex('ff')), undefined);
    for (const text of ['nonsense', '/ip4/1.2.3', '/tcp/x']) {
      assert.throws(
        () => multiaddrToBytes('register_subnet', text),
        (error) => errorCode(error) === 'EXTRINSIC_FAILED',
        text,
      );
    }
  });
});
