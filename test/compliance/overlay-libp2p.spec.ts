// libp2p over TCP on loopback does what an overlay must do, and survives what peers send that are not of our making.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay, type OverlayOptions } from '../../src/p2p/libp2p.ts';
import { REACH } from '../../src/p2p/reach-names.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import type { PeerId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { type TestNetwork, TOPIC, testOverlay, until } from './overlay.ts';

const OPTIONS: Omit<OverlayOptions, 'identity'> = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  bootstrap: [],
  network: 'test',
  dhtServer: true,
  topics: [TOPIC],
  records: { judge: async () => 'accept', replaces: () => false, maxRecordBytes: 1024 },
  privateAddresses: true,
};

async function createLoopback(): Promise<TestNetwork> {
  const overlays: Overlay[] = [];
  return {
    async join({ records = {}, discovers = true } = {}) {
      const overlay = await createOverlay(
        {
          ...OPTIONS,
          identity: identityFromSeed(new Uint8Array(32).fill(overlays.length + 1)),
          dhtServer: discovers,
          discovers,
          records: { ...OPTIONS.records, ...records },
        },
        { log: silentLog },
      );
      overlays.push(overlay);
      return overlay;
    },
    kill: (overlay) => overlay.close(),
    async close() {
      await Promise.all(overlays.map((overlay) => overlay.close()));
    },
  };
}

testOverlay('libp2p', createLoopback);

describe('overlay: libp2p among strangers', () => {
  let network: TestNetwork;
  let server: Overlay;
  beforeEach(async () => {
    network = await createLoopback();
    server = await network.join();
    await server.handleRequest(
      '/test/echo/1',
      { maxFrameBytes: 1 << 20, admit: () => true, maxStreamsPerPeer: 4 },
      async (body) => body,
    );
  });
  afterEach(() => network.close());

  async function stillServes(): Promise<void> {
    const peer = await network.join();
    await peer.connect(addressOf(server), AbortSignal.timeout(10_000));
    const options = { maxFrameBytes: 1 << 20, signal: AbortSignal.timeout(10_000) };
    assert.deepEqual(await peer.request(server.self, '/test/echo/1', Uint8Array.of(1), options), Uint8Array.of(1));
  }

  for (const [what, message] of [
    ['noise', Buffer.alloc(100_000, 0xa5)],
    ['half a handshake', Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n\xff\xff', 'latin1')],
    ['nothing', Buffer.alloc(0)],
  ] as const) {
    it(`survives ${what} on a raw connection`, async () => {
      const socket = connect({ host: '127.0.0.1', port: portOf(server) });
      socket.on('error', () => undefined).resume();
      await once(socket, 'connect');
      socket.end(message);
      await once(socket, 'close');
      await stillServes();
    });
  }

  it('breaks a stream off whose frame names a length over the limit, without taking the memory', async () => {
    const stranger = await createStranger();
    const stream = await stranger.dialProtocol(multiaddr(addressOf(server)), '/test/echo/1');
    const closed = once(stream, 'close');
    stream.addEventListener('message', () => undefined);
    const before = process.memoryUsage().arrayBuffers;
    stream.send(Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff));
    await closed;
    assert.ok(process.memoryUsage().arrayBuffers - before < 64 << 20);
    await stranger.stop();
    await stillServes();
  });

  it('breaks a stream off that is full of empty frames', async () => {
    await server.handleStream(
      '/test/idle/1',
      { maxFrameBytes: 1 << 20, admit: () => true, maxStreamsPerPeer: 4 },
      () => new Promise(() => undefined),
    );
    const stranger = await createStranger();
    const stream = await stranger.dialProtocol(multiaddr(addressOf(server)), '/test/idle/1');
    const closed = once(stream, 'close', { signal: AbortSignal.timeout(5000) });
    stream.addEventListener('message', () => undefined);
    stream.send(Uint8Array.of(1));
    stream.send(new Uint8Array(1 << 19));
    await closed;
    await stranger.stop();
    await stillServes();
  });

  it('breaks a stream off that sends before it is admitted', async () => {
    const asked = Promise.withResolvers<boolean>();
    await server.handleStream(
      '/test/slow/1',
      { maxFrameBytes: 1 << 20, admit: () => asked.promise, maxStreamsPerPeer: 4 },
      async () => undefined,
    );
    const stranger = await createStranger();
    const stream = await stranger.dialProtocol(multiaddr(addressOf(server)), '/test/slow/1');
    // Well before the question is given up, which ends the stream too.
    const closed = once(stream, 'close', { signal: AbortSignal.timeout(5000) });
    stream.send(new Uint8Array(100_000));
    await closed;
    asked.resolve(true);
    await stranger.stop();
    await stillServes();
  });

  it('ends its side only when the opener is through with negotiating, for that reads ahead', async () => {
    const handled = Promise.withResolvers<void>();
    await server.handleStream(
      '/test/push/1',
      { maxFrameBytes: 100, admit: () => true, maxStreamsPerPeer: 4 },
      async (frames) => {
        await frames.send([Uint8Array.of(7)]);
        handled.resolve();
      },
    );
    const stranger = await createStranger();
    const stream = await stranger.dialProtocol(multiaddr(addressOf(server)), '/test/push/1');
    let ended = false;
    stream.addEventListener('remoteCloseWrite', () => {
      ended = true;
    });
    const received: number[] = [];
    stream.addEventListener('message', ({ data }) => received.push(...data.subarray()));
    await handled.promise;
    await until(() => received.length === 6);
    assert.deepEqual(received, [1, 1, 0, 0, 0, 7]);
    await stillServes();
    assert.equal(ended, false);
    stream.send(Uint8Array.of(1));
    await until(() => ended);
    await stranger.stop();
  });

  it('says LISTEN_FAILED when the port is taken', async () => {
    const listen = [addressOf(server).replace(/\/p2p\/.*/, '')];
    await assert.rejects(
      createOverlay(
        { ...OPTIONS, identity: identityFromSeed(new Uint8Array(32).fill(99)), listen },
        { log: silentLog },
      ),
      {
        code: 'LISTEN_FAILED',
        message: `cannot listen on ${listen}: the port is taken; stop what uses it, or name another with --host-maddrs`,
      },
    );
  });

  it('dials bootstrap peers until they are there, and again when they are lost', async () => {
    const listen = [addressOf(server).replace(/\/p2p\/.*/, '')];
    const node = await enter(98, { bootstrap: server.addresses() });
    await until(() => node.peers().includes(server.self));
    await server.close();
    await until(() => node.peers().length === 0);
    // The same peer, back again.
    const back = await enter(1, { listen });
    assert.equal(back.self, server.self);
    await until(() => node.peers().includes(back.self));
    await Promise.all([node.close(), back.close()]);
  });

  it('stores with a peer that joins the roster after it connected, and with nobody who is not in it', async () => {
    const roster = new Set<string>();
    const node = await createOverlay(
      { ...OPTIONS, identity: identityFromSeed(new Uint8Array(32).fill(96)), isDhtServer: (peer) => roster.has(peer) },
      { log: silentLog },
    );
    await node.connect(addressOf(server), AbortSignal.timeout(10_000));
    const put = (key: string, ms: number) => node.putRecord(key, Uint8Array.of(1), AbortSignal.timeout(ms));
    assert.equal(await put('/tsr/hc/1/1/1', 1500), 0);
    roster.add(server.self);
    await until(async () => (await put('/tsr/hc/1/1/2', 5000)) === 1);
    await node.close();
  });

  it('bans a peer that goes on sending frames over the limit, and tells why it keeps it out', async () => {
    const stranger = await createStranger();
    const address = multiaddr(addressOf(server));
    for (let i = 0; i < 4; i += 1) {
      const stream = await stranger.dialProtocol(address, '/test/echo/1');
      const closed = once(stream, 'close');
      stream.addEventListener('message', () => undefined);
      stream.send(Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff));
      await closed;
    }
    await until(() => server.peers().length === 0);
    const peer = stranger.peerId.toString() as PeerId;
    await until(async () => {
      await stranger.dial(address).catch(() => undefined);
      return (server.refusals().get(peer)?.BANNED ?? 0) > 0;
    });
    assert.equal(server.refusals().get(peer)?.FRAME_TOO_LARGE, 4);
    assert.deepEqual(server.peers(), []);
    await assert.rejects(server.connect(`/ip4/127.0.0.1/tcp/1/p2p/${peer}`, AbortSignal.timeout(5000)), {
      code: 'PEER_UNREACHABLE',
    });
    await stranger.stop();
    await stillServes();
  });

  it('closes the connections of a peer that is wanted no more', async () => {
    const member = await network.join({ discovers: false });
    let wanted = [member.self];
    const node = await enter(95, { dhtServer: false, wanted: () => wanted, addressesOf: () => member.addresses() });
    await until(() => node.peers().includes(member.self));
    wanted = [];
    await until(() => node.peers().length === 0 && member.peers().length === 0);
    await node.close();
  });

  it('sockets that say nothing keep nobody out', async () => {
    const node = await enter(96, { nameless: 4, dhtServer: false });
    const [address = ''] = node.addresses();
    const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1]);
    const sockets = Array.from({ length: 12 }, () => connect(port, '127.0.0.1'));
    try {
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      for (const socket of sockets) socket.on('error', () => undefined).resume();
      await until(() => sockets.slice(0, 8).every(({ closed }) => closed));
      assert.ok(sockets.slice(8).every(({ closed }) => !closed));
      const peer = await network.join({ discovers: false });
      await peer.connect(address, AbortSignal.timeout(10_000));
      await until(() => node.peers().includes(peer.self));
    } finally {
      for (const socket of sockets) socket.destroy();
      await node.close();
    }
  });

  it('keeps room for who is known, though nobody wants it', async () => {
    const [known, stranger] = [
      await network.join({ discovers: false }),
      await network.join({ discovers: false }),
    ] as const;
    const node = await enter(97, { strangers: 0, dhtServer: false, isKnown: (peer) => peer === known.self });
    const [address = ''] = node.addresses();
    try {
      await known.connect(address);
      await stranger.connect(address).catch(() => undefined);
      await until(() => node.refusals().get(stranger.self)?.TOO_MANY_STRANGERS === 1);
      assert.deepEqual(node.peers(), [known.self]);
    } finally {
      await node.close();
    }
  });

  it('finds the network again after a restart, though every node that it was told of is gone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tessera-peers-'));
    const peersFile = join(folder, 'peers');
    const opened: Overlay[] = [];
    const open = async (seed: number, options: Partial<OverlayOptions>): Promise<Overlay> => {
      opened.push(await enter(seed, { dhtServer: false, ...options }));
      return opened.at(-1) as Overlay;
    };
    try {
      const boot = await open(98, {});
      const bootstrap = boot.addresses();
      const other = await open(99, { bootstrap });
      const first = await open(92, { bootstrap, peersFile, listen: [] });
      await until(() => first.peers().includes(other.self) && first.peers().includes(boot.self));
      await first.close();
      await boot.close();
      const again = await open(92, { bootstrap, peersFile, listen: [] });
      await until(() => again.peers().includes(other.self));
      await again.close();
      // And whatever the file has become, the node starts.
      for (const damage of [new Uint8Array(200_000), Uint8Array.of(1, 2, 3)]) {
        writeFileSync(peersFile, damage);
        const damaged = await open(92, { peersFile, listen: [] });
        assert.deepEqual(damaged.peers(), []);
        await damaged.close();
      }
    } finally {
      await Promise.all(opened.map((overlay) => overlay.close()));
      rmSync(folder, { recursive: true });
    }
  });

  it('keeps room for wanted peers when strangers have taken theirs', async () => {
    const member = await network.join({ discovers: false });
    const strangers = [await network.join({ discovers: false }), await network.join({ discovers: false })] as const;
    const node = await enter(94, { strangers: 1, dhtServer: false, wanted: () => [member.self] });
    const [address = ''] = node.addresses();
    await strangers[0].connect(address);
    await until(() => node.peers().length === 1);
    await strangers[1].connect(address).catch(() => undefined);
    await until(() => node.refusals().get(strangers[1].self)?.TOO_MANY_STRANGERS === 1);
    await member.connect(address);
    await until(() => node.peers().includes(member.self));
    assert.deepEqual(new Set(node.peers()), new Set([strangers[0].self, member.self]));
    await node.close();
  });

  it('on the internet dials no private address that others name, but one that its operator named', async () => {
    const node = await enter(93, { privateAddresses: false, dhtServer: false });
    await node.learn(server.self, server.addresses());
    await assert.rejects(node.connect(server.self, AbortSignal.timeout(5000)), { code: 'PEER_UNREACHABLE' });
    await assert.rejects(node.connect(addressOf(server), AbortSignal.timeout(5000)), { code: 'PEER_UNREACHABLE' });
    assert.deepEqual(server.peers(), []);
    await node.close();
    const told = await enter(92, { privateAddresses: false, dhtServer: false, bootstrap: server.addresses() });
    await until(() => told.peers().includes(server.self));
    await told.close();
  });

  it('with a network key speaks to nobody who does not have it', async () => {
    const keyOf = (digit: string) => new TextEncoder().encode(`/key/swarm/psk/1.0.0/\n/base16/\n${digit.repeat(64)}`);
    const [one, other, wrong] = await Promise.all([
      enter(91, { networkKey: keyOf('1') }),
      enter(90, { networkKey: keyOf('1') }),
      enter(89, { networkKey: keyOf('2') }),
    ]);
    await other.connect(addressOf(one), AbortSignal.timeout(10_000));
    await until(() => one.peers().includes(other.self));
    for (const outsider of [wrong, server])
      await assert.rejects(outsider.connect(addressOf(one), AbortSignal.timeout(3000)), { code: 'PEER_UNREACHABLE' });
    assert.deepEqual(one.peers(), [other.self]);
    await Promise.all([one, other, wrong].map((overlay) => overlay.close()));
  });
});

describe('overlay: how libp2p nodes meet', () => {
  const opened: Overlay[] = [];
  afterEach(() => Promise.all(opened.splice(0).map((overlay) => overlay.close())));

  async function open(seed: number, options: Partial<OverlayOptions>): Promise<Overlay> {
    const overlay = await enter(seed, { dhtServer: false, ...options });
    opened.push(overlay);
    return overlay;
  }

  async function echoes(asker: Overlay, server: Overlay): Promise<void> {
    const options = { maxFrameBytes: 1 << 20, admit: () => true, maxStreamsPerPeer: 4 };
    await server.handleRequest('/test/echo/1', options, async (body) => body);
    const asking = { maxFrameBytes: 1 << 20, signal: AbortSignal.timeout(10_000) };
    const body = new Uint8Array(1 << 20).fill(7);
    assert.ok(Buffer.from(await asker.request(server.self, '/test/echo/1', body, asking)).equals(body));
  }

  for (const [what, listen, form] of [
    ['WebSocket', '/ip4/127.0.0.1/tcp/0/ws', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws\/p2p\//],
    ['IPv6', '/ip6/::1/tcp/0', /^\/ip6\/::1\/tcp\/\d+\/p2p\//],
  ] as const) {
    it(`over ${what}`, async function () {
      if (listen.startsWith('/ip6') && !networkInterfaces().lo?.some(({ family }) => family === 'IPv6')) this.skip();
      const server = await open(1, { listen: [listen] });
      assert.match(addressOf(server), form);
      const asker = await open(2, { listen: [] });
      await asker.connect(addressOf(server), AbortSignal.timeout(10_000));
      await echoes(asker, server);
    });
  }

  it('through a boot node first, and without any when all of those are gone', async () => {
    const boot = await open(1, { topics: [], relay: true });
    const bootstrap = boot.addresses();
    const nodes = await Promise.all([2, 3, 4].map((seed) => open(seed, { bootstrap })));
    const meets = (node: Overlay, others: readonly Overlay[]) =>
      others.every((other) => other === node || node.peers().includes(other.self));
    await until(() => nodes.every((node) => meets(node, nodes)));
    await boot.close();
    const [first] = nodes as [Overlay, Overlay, Overlay];
    const late = await open(5, { bootstrap: [...bootstrap, ...first.addresses()] });
    await until(() => meets(late, nodes));
    await first.close();
    await until(() => late.peers().length === 2);
    // Who is lost and wanted is found again where it said that it is.
    const [, second] = nodes as [Overlay, Overlay, Overlay];
    await second.disconnect(late.self);
    await until(() => late.peers().includes(second.self));
  });

  it('of whom only its name is known, through whoever knows it', async () => {
    const member = await open(1, {});
    const middle = await open(2, { bootstrap: member.addresses() });
    await until(() => middle.peers().includes(member.self));
    const seeker = await open(3, { bootstrap: middle.addresses(), wanted: () => [member.self] });
    await until(() => seeker.peers().includes(member.self));
  });

  it('behind a relay: requests, gossip', async () => {
    const relay = await open(1, { relay: true, topics: [] });
    const hidden = await open(2, { listen: ['/p2p-circuit'], bootstrap: relay.addresses(), discovers: false });
    await until(() => hidden.addresses().length > 0);
    assert.match(addressOf(hidden), /\/p2p-circuit\/p2p\//);
    const asker = await open(3, { listen: [], discovers: false });
    await asker.connect(addressOf(hidden), AbortSignal.timeout(10_000));
    await echoes(asker, hidden);
    const heard: Uint8Array[] = [];
    for (const overlay of [hidden, asker])
      overlay.subscribe(TOPIC, async (message) => {
        heard.push(message);
        return 'accept';
      });
    let n = 0;
    await until(async () => {
      await asker.publish(TOPIC, Uint8Array.of(n++));
      return heard.length > 0;
    });
  });

  it('behind a relay, found by who knows only the relay', async () => {
    const relay = await open(1, { relay: true, topics: [] });
    const hidden = await open(2, { listen: ['/p2p-circuit'], bootstrap: relay.addresses(), discovers: false });
    await until(() => hidden.addresses().length > 0);
    const seeker = await open(3, { listen: [], bootstrap: relay.addresses() });
    await until(() => seeker.peers().includes(hidden.self));
    await echoes(seeker, hidden);
  });

  it('not through a relay when that is switched off', async () => {
    const relay = await open(1, { relay: true, topics: [] });
    const hidden = await open(2, { listen: ['/p2p-circuit'], bootstrap: relay.addresses(), discovers: false });
    await until(() => hidden.addresses().length > 0);
    const asker = await open(3, { listen: [], reach: [], discovers: false });
    await assert.rejects(asker.connect(addressOf(hidden), AbortSignal.timeout(5000)), { code: 'PEER_UNREACHABLE' });
  });

  it('starts with every way to be met switched on, and closes again', async () => {
    const node = await open(1, { reach: REACH, relay: true });
    await echoes(await open(2, { bootstrap: node.addresses(), reach: REACH }), node);
  });
});

function enter(seed: number, options: Partial<OverlayOptions>): Promise<Overlay> {
  const identity = identityFromSeed(new Uint8Array(32).fill(seed));
  return createOverlay({ ...OPTIONS, ...options, identity }, { log: silentLog });
}

/** A libp2p node of somebody else: same transports, none of our rules. */
function createStranger() {
  return createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] });
}

function addressOf(overlay: Overlay): string {
  const [address] = overlay.addresses();
  assert.ok(address !== undefined);
  return address;
}

function portOf(overlay: Overlay): number {
  return Number(addressOf(overlay).split('/')[4]);
}
