import assert from 'node:assert/strict';
import { createMemoryNetwork, type MemoryNetwork } from '../../../src/p2p/memory.ts';
import type { Overlay, ProtocolOptions } from '../../../src/p2p/types.ts';
import { peerFromPublicKey } from '../../../src/types/peer-id.ts';

const peer = (n: number) => peerFromPublicKey(new Uint8Array(32).fill(n));
const anyone: ProtocolOptions = { maxFrameBytes: 1000, admit: () => true, maxStreamsPerPeer: 4 };
const asking = { maxFrameBytes: 1000, signal: new AbortController().signal };
const TOPIC = 't';

function join(network: MemoryNetwork, count: number): Overlay[] {
  return Array.from({ length: count }, (_, i) => network.join(peer(i + 1)));
}

/** Who hears what, in the order it is heard. */
function hear(overlays: readonly Overlay[]): string[] {
  const heard: string[] = [];
  overlays.forEach((overlay, i) => {
    overlay.subscribe(TOPIC, async (message) => {
      heard.push(`${i}:${message[0]}`);
      return 'accept';
    });
  });
  return heard;
}

describe('memory network', () => {
  it('connects whoever joins with everybody', () => {
    const overlays = join(createMemoryNetwork(), 3);
    assert.deepEqual(
      overlays.map((overlay) => overlay.peers().length),
      [2, 2, 2],
    );
  });

  it('delivers nothing before it is told to, and then all that follows', async () => {
    const network = createMemoryNetwork({ delivery: 'manual' });
    const overlays = join(network, 3);
    const [a, b] = overlays as [Overlay, Overlay];
    const heard = hear(overlays);
    await b.handleRequest('/echo', anyone, async (body) => body);
    let answered = false;
    void a.publish(TOPIC, Uint8Array.of(1));
    const asked = a.request(b.self, '/echo', Uint8Array.of(1), asking).then(() => {
      answered = true;
    });
    for (let i = 0; i < 50; i += 1) await Promise.resolve();
    assert.deepEqual([heard, answered], [[], false]);
    await network.flush();
    assert.deepEqual([heard, answered], [['1:1', '2:1'], true]);
    await asked;
  });

  it('runs the same way twice, and another way with another seed', async () => {
    async function run(seed: number): Promise<string[]> {
      const network = createMemoryNetwork({ seed, gossipLoss: 0.6 });
      const overlays = join(network, 6);
      const heard = hear(overlays);
      for (let i = 0; i < 20; i += 1) {
        await overlays[i % 6]?.publish(TOPIC, Uint8Array.of(i));
        await network.flush();
      }
      return heard;
    }
    const first = await run(1);
    assert.ok(first.length > 20 && first.length < 100, `${first.length} of 100 heard`);
    assert.deepEqual(await run(1), first);
    assert.notDeepEqual(await run(2), first);
  });

  it('parts groups and joins them again', async () => {
    const network = createMemoryNetwork();
    const overlays = join(network, 4);
    const [a, b, c, d] = overlays as [Overlay, Overlay, Overlay, Overlay];
    const heard = hear(overlays);
    await c.handleStream('/long', anyone, async (stream) => {
      for await (const _ of stream.frames());
    });
    const stream = await a.openStream(c.self, '/long', asking);
    network.partition([[a.self, b.self], [c.self]]);
    await assert.rejects(stream.send([Uint8Array.of(1)]), { code: 'STREAM_RESET' });
    await assert.rejects(a.connect(c.self), { code: 'PEER_UNREACHABLE' });
    assert.deepEqual([a.peers(), d.peers()], [[b.self], []]);
    await a.publish(TOPIC, Uint8Array.of(1));
    await network.flush();
    assert.deepEqual(heard, ['1:1']);
    network.heal();
    await a.publish(TOPIC, Uint8Array.of(2));
    await network.flush();
    assert.deepEqual(heard.slice(1).sort(), ['1:2', '2:2', '3:2']);
  });

  it('lets a killed peer come back as nobody knew it', async () => {
    const network = createMemoryNetwork();
    const [a, b] = join(network, 2) as [Overlay, Overlay];
    await b.handleRequest('/echo', anyone, async (body) => body);
    network.kill(b.self);
    assert.deepEqual(a.peers(), []);
    await assert.rejects(b.publish(TOPIC, Uint8Array.of(1)), { code: 'OVERLAY_CLOSED' });
    assert.throws(() => network.join(a.self), /has joined already/);
    const again = network.join(b.self);
    assert.deepEqual(a.peers(), [again.self]);
    await assert.rejects(a.request(b.self, '/echo', Uint8Array.of(1), asking), { code: 'PEER_REFUSED' });
  });

  it('holds a record on the eight nearest peers', async () => {
    const network = createMemoryNetwork();
    const overlays = join(network, 12);
    assert.equal(await overlays[0]?.putRecord('/tsr/hc/1/1/1', Uint8Array.of(1), asking.signal), 8);
  });
});
