import assert from 'node:assert/strict';
import type { PeerId as Libp2pPeerId, MultiaddrConnection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createGate, type GateRules } from '../../../src/p2p/gate.ts';
import type { PeerId } from '../../../src/types/ids.ts';

/** A connection that comes in from there. */
class FakeConnection extends EventTarget {
  readonly remoteAddr;

  constructor(host: string) {
    super();
    this.remoteAddr = multiaddr(`${host}/tcp/4001`);
  }

  aborted = false;

  abort(): void {
    this.aborted = true;
    this.dispatchEvent(new Event('close'));
  }
}

const OPEN: GateRules = { isBanned: () => false, isWanted: () => false, mayDial: () => true, note: () => undefined };

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
      const gate = createGate({ ...OPEN, connectionsPerHost: 2 });
      assert.deepEqual(
        from.map((host) => knock(gate, host).denied),
        denied,
      );
    });
  }

  it('when too many stand at the door who has stood there longest goes, and never who has said its name', () => {
    const gate = createGate({ ...OPEN, nameless: 2 });
    const [named, slow, next, last] = [1, 2, 3, 4].map((i) => new FakeConnection(`/ip4/1.2.3.${i}`));
    const asked = (connection: FakeConnection | undefined) => connection as unknown as MultiaddrConnection;
    const peer = { toString: () => 'a' } as Libp2pPeerId;
    assert.equal(gate.denyInboundConnection?.(asked(named)), false);
    assert.equal(gate.denyInboundEncryptedConnection?.(peer, asked(named)), false);
    for (const connection of [slow, next, last]) assert.equal(gate.denyInboundConnection?.(asked(connection)), false);
    assert.deepEqual(
      [named, slow, next, last].map((connection) => connection?.aborted),
      [false, true, false, false],
    );
    next?.abort();
    assert.equal(gate.denyInboundConnection?.(asked(new FakeConnection('/ip4/1.2.3.5'))), false);
    assert.equal(last?.aborted, false);
  });

  it('counts open connections only', () => {
    const gate = createGate({ ...OPEN, connectionsPerHost: 1 });
    const first = knock(gate, '/ip6/2001:db8::1');
    assert.equal(first.denied, false);
    assert.equal(knock(gate, '/ip6/2001:db8::2').denied, true);
    first.leave();
    assert.equal(knock(gate, '/ip6/2001:db8::2').denied, false);
  });

  describe('who has said its name', () => {
    function story(rules: Partial<GateRules>) {
      const noted: string[] = [];
      const gate = createGate({ ...OPEN, ...rules, note: (peer, code) => noted.push(`${peer} ${code}`) });
      return {
        gate,
        noted,
        enter(name: string) {
          const connection = new FakeConnection('/ip4/127.0.0.1');
          const denied = gate.denyInboundEncryptedConnection?.(
            name as unknown as Libp2pPeerId,
            connection as unknown as MultiaddrConnection,
          );
          return { denied, leave: () => connection.dispatchEvent(new Event('close')) };
        },
      };
    }

    it('strangers have so much room, members always some', () => {
      const members = new Set<PeerId>(['m' as PeerId]);
      const { enter, noted } = story({ strangers: 2, isWanted: (peer) => members.has(peer) });
      const first = enter('a');
      assert.deepEqual(
        [first.denied, enter('b').denied, enter('c').denied, enter('m').denied],
        [false, false, true, false],
      );
      assert.deepEqual(noted, ['c TOO_MANY_STRANGERS']);
      first.leave();
      assert.equal(enter('c').denied, false);
    });

    it('a stranger that has become a member makes room for another', () => {
      const members = new Set<PeerId>();
      const { enter } = story({ strangers: 1, isWanted: (peer) => members.has(peer) });
      enter('a');
      assert.equal(enter('b').denied, true);
      members.add('a' as PeerId);
      assert.equal(enter('b').denied, false);
    });

    it('the banned are neither let in nor dialled, and what may not be dialled is not', () => {
      const { gate, enter, noted } = story({
        isBanned: (peer) => peer === 'a',
        isWanted: () => true,
        mayDial: (address) => address === '/ip4/1.2.3.4/tcp/1',
      });
      assert.deepEqual([enter('a').denied, enter('b').denied], [true, false]);
      assert.deepEqual(noted, ['a BANNED']);
      assert.equal(gate.denyDialPeer?.('a' as unknown as Libp2pPeerId), true);
      assert.deepEqual(
        ['/ip4/1.2.3.4/tcp/1', '/ip4/10.0.0.1/tcp/1'].map((text) => gate.denyDialMultiaddr?.(multiaddr(text))),
        [false, true],
      );
    });
  });
});
