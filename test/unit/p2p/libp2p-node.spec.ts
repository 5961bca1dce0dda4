import assert from 'node:assert/strict';
import type { MultiaddrConnection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createGate } from '../../../src/p2p/libp2p-node.ts';

/** A connection that comes in from there. */
class FakeConnection extends EventTarget {
  readonly remoteAddr;

  constructor(host: string) {
    super();
    this.remoteAddr = multiaddr(`${host}/tcp/4001`);
  }
}

describe('gate of the overlay', () => {
  function knock(gate: ReturnType<typeof createGate>, host: string): { denied: unknown; leave(): void } {
    const connection = new FakeConnection(host);
    const denied = gate.denyInboundConnection?.(connection as unknown as MultiaddrConnection);
    return { denied, leave: () => connection.dispatchEvent(new Event('close')) };
  }

  const hosts: Record<string, readonly [readonly string[], readonly boolean[]]> = {
    'so many of one address': [
      ['/ip4/1.2.3.4', '/ip4/1.2.3.4', '/ip4/1.2.3.4', '/ip4/1.2.3.5'],
      [false, false, true, false],
    ],
    'so many of one IPv6 network of 64 bits': [
      ['/ip6/2001:db8::1', '/ip6/2001:db8::ffff:0:0:2', '/ip6/2001:db8::3', '/ip6/2001:db8:0:1::3'],
      [false, false, true, false],
    ],
    'IPv4 written as IPv6 is IPv4': [
      ['/ip6/::ffff:1.2.3.4', '/ip6/::ffff:1.2.3.5', '/ip6/::ffff:1.2.3.6', '/ip6/::ffff:1.2.3.7'],
      [false, false, false, false],
    ],
    'any number from this machine': [
      [
        '/ip4/127.0.0.1',
        '/ip4/127.0.0.1',
        '/ip4/127.0.0.1',
        '/ip6/::1',
        '/ip6/::1',
        '/ip6/::1',
        '/ip6/::ffff:127.0.0.1',
      ],
      [false, false, false, false, false, false, false],
    ],
  };
  for (const [what, [from, denied]] of Object.entries(hosts)) {
    it(what, () => {
      const gate = createGate({ connectionsPerHost: 2 });
      assert.deepEqual(
        from.map((host) => knock(gate, host).denied),
        denied,
      );
    });
  }

  it('counts open connections only', () => {
    const gate = createGate({ connectionsPerHost: 1 });
    const first = knock(gate, '/ip6/2001:db8::1');
    assert.equal(first.denied, false);
    assert.equal(knock(gate, '/ip6/2001:db8::2').denied, true);
    first.leave();
    assert.equal(knock(gate, '/ip6/2001:db8::2').denied, false);
  });
});
