// Peers that meet through a relay go on without it where they can.

import assert from 'node:assert/strict';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay, type OverlayOptions } from '../../src/p2p/libp2p.ts';
import type { Overlay } from '../../src/p2p/types.ts';
import { type Log, silentLog } from '../../src/util/log.ts';
import { until } from './overlay.ts';

const ECHO = '/test/echo/1';
const BYTES = Uint8Array.of(1, 2, 3);
const LOOPBACK = '/ip4/127.0.0.1/tcp/0';
const deadline = () => ({ maxFrameBytes: 1024, signal: AbortSignal.timeout(10_000) });

describe('overlay: from a relay to a direct connection', () => {
  const overlays: Overlay[] = [];
  /** What was logged, by the word. */
  const heard: string[] = [];
  const log: Log = { ...silentLog, debug: (word) => void heard.push(word), child: () => log };
  let relay: Overlay;

  async function enter(seed: number, options: Partial<OverlayOptions>): Promise<Overlay> {
    const overlay = await createOverlay(
      {
        identity: identityFromSeed(new Uint8Array(32).fill(seed)),
        ...{ listen: [], bootstrap: [], network: 'test', dhtServer: false, topics: [], discovers: false },
        records: { judge: async () => 'ignore', replaces: () => false, maxRecordBytes: 1024 },
        privateAddresses: true,
        ...options,
      },
      { log },
    );
    overlays.push(overlay);
    const admission = { maxFrameBytes: 1024, admit: () => true, maxStreamsPerPeer: 4 };
    await overlay.handleRequest(ECHO, admission, async (body) => body);
    return overlay;
  }

  beforeEach(async () => {
    relay = await enter(1, { listen: [LOOPBACK], relay: true });
  });
  afterEach(async () => {
    heard.length = 0;
    await Promise.all(overlays.splice(0).map((overlay) => overlay.close()));
  });

  /** Its address at the relay. */
  async function atRelay(overlay: Overlay): Promise<string> {
    await until(() => overlay.addresses().some((address) => address.includes('/p2p-circuit')));
    return overlay.addresses().find((address) => address.includes('/p2p-circuit')) ?? '';
  }

  it('first through the relay, then directly; what had begun goes on, and the relay is not needed any more', async () => {
    const server = await enter(2, { listen: [LOOPBACK, '/p2p-circuit'], bootstrap: relay.addresses() });
    const stream = { maxFrameBytes: 1024, admit: () => true, maxStreamsPerPeer: 4 };
    await server.handleStream('/test/long/1', stream, async (long) => {
      for await (const frame of long.frames()) await long.send([frame]);
    });
    const client = await enter(3, { bootstrap: relay.addresses() });
    await client.connect(await atRelay(server), AbortSignal.timeout(10_000));
    assert.deepEqual(client.relayed(), [server.self]);
    const long = await client.openStream(server.self, '/test/long/1', deadline());
    const answers = long.frames()[Symbol.asyncIterator]();
    await until(() => client.relayed().length === 0 && server.relayed().length === 0);
    await until(() => heard.includes('relayed connection left to its streams'));
    await long.send([BYTES]);
    assert.deepEqual(Uint8Array.from((await answers.next()).value ?? []), BYTES);
    await long.close();
    await relay.close();
    await until(() => !client.peers().includes(relay.self));
    assert.deepEqual(await client.request(server.self, ECHO, BYTES, deadline()), BYTES);
    assert.deepEqual(client.peers(), [server.self]);
  });

  it('who was dialled through the relay may be the one that can dial', async () => {
    const hidden = await enter(2, { listen: ['/p2p-circuit'], bootstrap: relay.addresses() });
    const open = await enter(3, { listen: [LOOPBACK], bootstrap: relay.addresses() });
    await open.connect(await atRelay(hidden), AbortSignal.timeout(10_000));
    assert.deepEqual(open.relayed(), [hidden.self]);
    await until(() => open.relayed().length === 0 && hidden.relayed().length === 0);
    await relay.close();
    assert.deepEqual(await open.request(hidden.self, ECHO, BYTES, deadline()), BYTES);
  });

  it('stays at the relay where neither can be dialled', async () => {
    const hidden = await enter(2, { listen: ['/p2p-circuit'], bootstrap: relay.addresses() });
    const client = await enter(3, { bootstrap: relay.addresses() });
    await client.connect(await atRelay(hidden), AbortSignal.timeout(10_000));
    await until(() => heard.includes('no direct connection'));
    assert.deepEqual(await client.request(hidden.self, ECHO, BYTES, deadline()), BYTES);
    assert.deepEqual(client.relayed(), [hidden.self]);
  });

  it('on the internet no private address that the other tells is dialled', async () => {
    const server = await enter(2, { listen: [LOOPBACK, '/p2p-circuit'], bootstrap: relay.addresses() });
    const circuit = await atRelay(server);
    const client = await enter(3, { bootstrap: [...relay.addresses(), circuit], privateAddresses: false });
    await until(() => client.relayed().includes(server.self));
    await until(() => heard.includes('no direct connection'));
    assert.deepEqual(await client.request(server.self, ECHO, BYTES, deadline()), BYTES);
    assert.deepEqual(client.relayed(), [server.self]);
  });
});
