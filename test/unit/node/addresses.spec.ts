import assert from 'node:assert/strict';
import type { ChainInfo, Subnet, SubnetNode } from '../../../src/chain/types.ts';
import { bootstrapOf, isPrivate, knownAddresses, networkName } from '../../../src/node/addresses.ts';

const A = '/ip4/127.0.0.1/tcp/1/p2p/A';
const B = '/ip4/127.0.0.1/tcp/2/p2p/B';

describe('addresses of a node', () => {
  it('boot nodes come first, everybody once, the node itself not at all, nodes without an address neither', () => {
    const subnet = { bootnodes: new Map([['A', A]]) } as unknown as Subnet;
    const nodes = [
      { peerInfo: { peer: 'B', multiaddr: B } },
      { peerInfo: { peer: 'A', multiaddr: A } },
      { peerInfo: { peer: 'C' } },
    ];
    assert.deepEqual(knownAddresses(subnet, nodes as SubnetNode[], 'C'), [A, B]);
    assert.deepEqual(knownAddresses(subnet, nodes as SubnetNode[], 'A'), [B]);
  });

  it('named peers stand in for the known ones; the first of a network dials nobody', () => {
    assert.deepEqual(bootstrapOf({ newSwarm: false, initialPeers: [] }, [A]), [A]);
    assert.deepEqual(bootstrapOf({ newSwarm: false, initialPeers: [B] }, [A]), [B]);
    assert.deepEqual(bootstrapOf({ newSwarm: true, initialPeers: [B] }, [A]), []);
  });

  it('the overlay is named after the genesis', () => {
    assert.equal(networkName({ genesis: '0x00112233445566778899' } as unknown as ChainInfo), '0011223344556677');
  });

  const cases: [string, boolean][] = [
    ['/ip4/127.0.0.1/tcp/0', true],
    ['/ip4/10.1.2.3/tcp/4001', true],
    ['/ip4/192.168.0.2/tcp/4001', true],
    ['/ip4/172.31.0.2/tcp/4001', true],
    ['/ip6/::1/tcp/0', true],
    ['/ip4/0.0.0.0/tcp/4001', false],
    ['/ip4/172.32.0.2/tcp/4001', false],
    ['/ip4/85.1.2.3/tcp/4001', false],
  ];
  for (const [address, expected] of cases) {
    it(`${address} is ${expected ? 'private' : 'public'}`, () => assert.equal(isPrivate([address]), expected));
  }

  it('one public address makes a node public', () => {
    assert.equal(isPrivate(['/ip4/127.0.0.1/tcp/1', '/ip4/85.1.2.3/tcp/1']), false);
  });
});
