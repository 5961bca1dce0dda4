import assert from 'node:assert/strict';
import { createHeadFeed } from '../../../src/chain/heads.ts';
import type { SubnetNode } from '../../../src/chain/types.ts';
import { createDirectory, type Directory } from '../../../src/client/directory.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import { createMemoryNetwork } from '../../../src/p2p/memory.ts';
import type { Overlay } from '../../../src/p2p/types.ts';
import type { BlockNumber, Epoch, Hash, NodeId, PeerId, ShardIndex, SubnetId } from '../../../src/types/ids.ts';
import type { Announce } from '../../../src/types/record.ts';
import { silentLog } from '../../../src/util/log.ts';
import { announceTopic, DIRECTORY_PROTOCOL, encodeDirectory, MAX_ANNOUNCE_BYTES } from '../../../src/wire/announce.ts';
import { signRecord } from '../../../src/wire/record.ts';
import { GENESIS, identityOf, SUBNET } from './net.ts';

const CLASSES = ['Validator', 'Idle', 'Registered'];

/** The node with id i + 1 speaks with identity i; the third one is not activated. */
function announce(i: number, changes: Partial<Announce> = {}, signer = i): Uint8Array {
  const block = (changes.block ?? 100) as BlockNumber;
  const body: Announce = {
    kind: 'an',
    genesis: GENESIS,
    subnet: SUBNET,
    epoch: 4 as Epoch,
    node: (i + 1) as NodeId,
    shards: [0, 2] as unknown as readonly ShardIndex[],
    addresses: [`/memory/x/p2p/${identityOf(i).peer}`, `/memory/y/p2p/${identityOf(77).peer}`],
    load: 12,
    rowsPerSecond: 3,
    freePositions: 9,
    memoryMiB: 1,
    version: 'test',
    block,
    expires: (block + 15) as BlockNumber,
    ...changes,
  };
  return signRecord(body, identityOf(signer)).bytes;
}

describe('client: directory', () => {
  const feed = () => createHeadFeed();
  let heads: ReturnType<typeof feed>;
  let directory: Directory;
  let overlay: Overlay;
  let learned: [string, readonly string[]][];
  let reads: number;
  let peerOf: (i: number) => PeerId;
  let refusal: Error | undefined;
  let stop: AbortController;
  let running: Promise<void>;
  const network = () => createMemoryNetwork();
  let net: ReturnType<typeof network>;

  async function headAt(block: number): Promise<void> {
    heads.publish({ number: block as BlockNumber, hash: `0x${'00'.repeat(32)}` as Hash });
    await net.flush();
  }

  beforeEach(async () => {
    heads = feed();
    net = network();
    learned = [];
    reads = 0;
    refusal = undefined;
    stop = new AbortController();
    const joined = net.join(identityOf(50));
    overlay = { ...joined, learn: async (peer, addresses) => void learned.push([peer, addresses]) };
    peerOf = (i) => identityOf(i).peer;
    const nodes = () =>
      CLASSES.map((nodeClass, i) => ({
        id: i + 1,
        nodeClass,
        peerInfo: { peer: peerOf(i) },
      })) as unknown as readonly SubnetNode[];
    const chain = {
      heads: (_kind: 'best' | 'finalized', signal: AbortSignal) => heads.stream(signal),
      nodes: async () => {
        reads += 1;
        if (refusal !== undefined) throw refusal;
        return nodes();
      },
    };
    directory = createDirectory(
      { subnet: SUBNET, genesis: GENESIS },
      { overlay, chain, verify: verifySignature, log: silentLog },
    );
    running = directory.run(stop.signal);
    await headAt(100);
  });
  afterEach(async () => {
    stop.abort();
    await running;
  });

  const verdicts: Record<string, [string, () => Uint8Array]> = {
    'a good one': ['accept', () => announce(0)],
    'an unknown node': ['ignore', () => announce(9)],
    'a node that is not activated': ['ignore', () => announce(2)],
    'a forged one': ['reject', () => announce(0, {}, 1)],
    'another subnet': ['reject', () => announce(0, { subnet: 7 as SubnetId })],
    'another chain': ['reject', () => announce(0, { genesis: new Uint8Array(32) })],
    'an expired one': ['ignore', () => announce(0, { block: 85 as BlockNumber })],
    'one from the far future': ['ignore', () => announce(0, { block: 106 as BlockNumber })],
    junk: ['reject', () => Uint8Array.of(1, 2, 3)],
    'one that is too large': ['reject', () => new Uint8Array(MAX_ANNOUNCE_BYTES + 1)],
  };
  for (const [what, [verdict, bytes]] of Object.entries(verdicts)) {
    it(`${what}: ${verdict}`, async () => {
      assert.equal(await directory.admit(bytes()), verdict);
      assert.equal(directory.offers().length, verdict === 'accept' ? 1 : 0);
      assert.equal(directory.records().length, verdict === 'accept' ? 1 : 0);
    });
  }

  it('says who offers what, and learns only addresses of the signer', async () => {
    await directory.admit(announce(1));
    await directory.admit(announce(0));
    const [first, second] = directory.offers();
    const pace = { load: 12, rowsPerSecond: 3, freePositions: 9, memoryMiB: 1 };
    assert.deepEqual(first, { node: 1, peer: identityOf(0).peer, shards: [0, 2], ...pace, block: 100 });
    assert.equal(second?.node, 2);
    assert.deepEqual(learned[1], [identityOf(0).peer, [`/memory/x/p2p/${identityOf(0).peer}`]]);
  });

  it('keeps the newest of a node', async () => {
    assert.equal(await directory.admit(announce(0, { block: 100 as BlockNumber })), 'accept');
    assert.equal(await directory.admit(announce(0, { block: 99 as BlockNumber })), 'ignore');
    assert.equal(
      await directory.admit(announce(0, { block: 100 as BlockNumber, load: 7 })),
      'ignore',
      'the first of a block',
    );
    assert.equal(await directory.admit(announce(0, { block: 101 as BlockNumber, load: 500 })), 'accept');
    assert.equal(directory.offers()[0]?.load, 500);
  });

  it('keeps the newest of two that came while the chain was asked', async () => {
    await headAt(101);
    const [newer, older] = [announce(0, { block: 101 as BlockNumber }), announce(0)];
    assert.deepEqual(await Promise.all([directory.admit(newer), directory.admit(older)]), ['accept', 'ignore']);
    assert.equal(directory.offers()[0]?.block, 101);
  });

  it('does not learn its own addresses', async () => {
    peerOf = () => identityOf(50).peer;
    assert.equal(await directory.admit(announce(0, {}, 50)), 'accept');
    assert.deepEqual(learned, []);
  });

  it('drops what expires', async () => {
    await directory.admit(announce(0));
    await headAt(114);
    assert.equal(directory.offers().length, 1);
    await headAt(115);
    assert.deepEqual(directory.offers(), []);
  });

  it('asks the chain for unknown nodes at most once per head', async () => {
    for (let i = 0; i < 5; i += 1) await directory.admit(announce(9 + i));
    assert.equal(reads, 1);
    await headAt(101);
    for (let i = 0; i < 5; i += 1) await directory.admit(announce(9 + i));
    assert.equal(reads, 2);
  });

  it('knows a node that has changed its peer id at the next head', async () => {
    await directory.admit(announce(0));
    assert.equal(await directory.admit(announce(0, { block: 101 as BlockNumber }, 5)), 'reject', 'read at this head');
    peerOf = (i) => identityOf(i === 0 ? 5 : i).peer;
    await headAt(101);
    assert.equal(await directory.admit(announce(0, { block: 101 as BlockNumber }, 5)), 'accept');
    assert.equal(directory.offers()[0]?.peer, identityOf(5).peer);
    assert.equal(reads, 2);
    assert.equal(await directory.admit(announce(0, { block: 102 as BlockNumber })), 'reject', 'the key of before');
  });

  it('takes announces of known nodes while the chain does not answer', async () => {
    await directory.admit(announce(0));
    await headAt(120);
    refusal = new Error('the chain is away');
    assert.equal(await directory.admit(announce(0, { block: 120 as BlockNumber })), 'accept');
    await assert.rejects(directory.admit(announce(9, { block: 120 as BlockNumber })), /away/);
  });

  it('hears gossip, and does not pass on what it would not keep', async () => {
    const near = net.join(identityOf(51));
    const topic = announceTopic(SUBNET);
    await near.publish(topic, announce(0));
    await near.publish(topic, announce(1, {}, 0));
    await net.flush();
    assert.deepEqual(
      directory.offers().map((offer) => offer.node),
      [1],
    );
  });

  it('asks others in the next round', async () => {
    for (let i = 60; i < 66; i += 1) {
      const options = { maxFrameBytes: 1 << 20, maxStreamsPerPeer: 2, admit: () => true };
      const answer = encodeDirectory(i < 64 ? [] : [announce(0)]);
      await net.join(identityOf(i)).handleRequest(DIRECTORY_PROTOCOL, options, async () => answer);
    }
    await directory.refresh(new AbortController().signal);
    assert.deepEqual(directory.offers(), []);
    await directory.refresh(new AbortController().signal);
    assert.equal(directory.offers().length, 1);
  });

  it('asks peers, and takes only what is good of what they say', async () => {
    const serve = async (i: number, answer: () => Promise<Uint8Array>) => {
      const peer = net.join(identityOf(i));
      const options = { maxFrameBytes: 1 << 20, maxStreamsPerPeer: 2, admit: () => true };
      await peer.handleRequest(DIRECTORY_PROTOCOL, options, answer);
    };
    await serve(60, async () => Uint8Array.of(0xff));
    await serve(61, async () => {
      throw new Error('broken');
    });
    await serve(62, async () => encodeDirectory([announce(0, {}, 1), announce(1), Uint8Array.of(1)]));
    await directory.refresh(new AbortController().signal);
    assert.deepEqual(
      directory.offers().map((offer) => offer.node),
      [2],
    );
  });
});
