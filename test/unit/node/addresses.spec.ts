import assert from 'node:assert/strict';
import type { ChainInfo, Subnet, SubnetNode } from '../../../src/chain/types.ts';
import { bootstrapOf, dialsPrivate, knownAddresses, networkName, reachable } from '../../../src/node/addresses.ts';

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

  const cases: [string, string[], string[], boolean][] = [
    ['listens on loopback', ['/ip4/127.0.0.1/tcp/0'], [], true],
    ['listens on loopback and on a private network', ['/ip6/::1/tcp/0', '/ip4/172.31.0.2/tcp/1'], [], true],
    ['listens on a public address too', ['/ip4/127.0.0.1/tcp/1', '/ip4/85.1.2.3/tcp/1'], [], false],
    ['listens everywhere', ['/ip4/0.0.0.0/tcp/4001'], [], false],
    ['listens everywhere, over IPv6', ['/ip6/::/tcp/4001'], [], false],
    ['listens at relays only', ['/p2p-circuit', '/ip4/10.0.0.1/tcp/1/p2p/R/p2p-circuit'], [], false],
    ['listens everywhere, among containers', ['/ip4/0.0.0.0/tcp/4001'], ['/dns4/hoster-1/tcp/4001/p2p/A'], true],
    ['listens everywhere, with peers on the internet', ['/ip4/0.0.0.0/tcp/4001'], ['/ip4/85.1.2.3/tcp/1/p2p/A'], false],
  ];
  for (const [what, listen, named, expected] of cases) {
    it(`a node that ${what} dials ${expected ? 'private addresses too' : 'public addresses only'}`, () => {
      assert.equal(dialsPrivate('auto', { listen, named }), expected);
      assert.equal(dialsPrivate('yes', { listen, named }), true);
      assert.equal(dialsPrivate('no', { listen, named }), false);
    });
  }

  it('of what strangers wrote a node on the internet takes public addresses', () => {
    const PUBLIC = '/ip4/85.1.2.3/tcp/1/p2p/A';
    assert.deepEqual(reachable([A, PUBLIC], false), [PUBLIC]);
    assert.deepEqual(reachable([A, PUBLIC], true), [A, PUBLIC]);
  });
});
