// A hoster dies for good, on real parts: of those with `--shards auto` one moves to the shard that nobody serves any more, the same answer comes
// over a new way, and what it answers in challenges is what it serves. The one that moves began with nothing of the model and fetches from the others the
// files of what it serves, at the start and with the move, and no others.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DRAFT_FILE } from '../../src/client/draft-table.ts';
import { decodeHosterPayload } from '../../src/consensus/commitment.ts';
import { ANNOUNCE_EVERY_BLOCKS } from '../../src/hoster/announce.ts';
import { cutShards, textFiles } from '../../src/model/manifest.ts';
import { MANIFEST_FILE, type Model, openModel } from '../../src/model/open.ts';
import { shardNeeds } from '../../src/node/choose.ts';
import { createNetworkClient } from '../../src/node/network-client.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { Epoch, NodeId } from '../../src/types/ids.ts';
import type { RecordBody } from '../../src/types/record.ts';
import { utf8 } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { silentLog } from '../../src/util/log.ts';
import { createLoopback, type Disguise, type Loopback, recordName } from '../support/loopback.ts';

const MIB = 2 ** 20;
const MODEL = new URL('../../models/tiny', import.meta.url).pathname;
/** Is connected before it begins to choose: the blocks that it listens for come as fast as they can be made. */
const met: Disguise = {
  late: true,
  parts: () => ({
    async createOverlay(options, deps) {
      const overlay = await createOverlay(options, deps);
      await Promise.all(options.bootstrap.map((address) => overlay.connect(address)));
      return overlay;
    },
  }),
};
/** Lacks shard 0; the others choose 0 and 1, then 0 and 2. */
const MORTAL = 1;
const MOVER = 2;
const STAYER = 3;
const PROMPT = [2, 15, 355, 288, 262, 1376];
const OPTIONS = { maxTokens: 12, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };

describe('moves, among real nodes', function () {
  this.timeout(10 * 60_000);
  let net: Loopback;
  let block: number;

  before(async () => {
    const autoBytes = bytesOfTwo(await openModel(MODEL));
    net = await createLoopback({
      hosters: 3,
      attestors: 1,
      hurries: true,
      disguises: { [MOVER - 1]: { ...met, autoBytes, pulls: true }, [STAYER - 1]: { ...met, autoBytes } },
    });
    block = net.epoch() * net.clock.epochLength;
    for (const id of [MOVER, STAYER]) await startWhileBlocksCome(id);
  });
  after(() => net?.stop());

  /** One block; nobody is more than one announce behind what another has announced. */
  async function step(): Promise<void> {
    const { epochLength } = net.clock;
    block += 1;
    await net.runTo(Math.floor(block / epochLength), block % epochLength);
    await net.until(() => pairs().every(([latest, heard]) => latest - (heard ?? latest) <= ANNOUNCE_EVERY_BLOCKS));
  }

  /** Of each hoster what it announced last, and what each node has heard of it. */
  function pairs(): (readonly [latest: number, heard: number | undefined])[] {
    return net.nodes.flatMap(({ id, announced }) => {
      const latest = announced.get(id);
      return latest === undefined ? [] : net.nodes.map((other) => [latest, other.announced.get(id)] as const);
    });
  }

  /** Who chooses listens to announces for some blocks. */
  async function startWhileBlocksCome(id: number): Promise<void> {
    let started = false;
    const starting = net.start(id).finally(() => {
      started = true;
    });
    while (!started) {
      await step();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await starting;
    do await step();
    while (!isHoster(id) || pairs().some(([, heard]) => heard === undefined));
  }

  function isHoster(id: number): boolean {
    return nodeOf(id).announced.has(id as NodeId);
  }

  function nodeOf(id: number) {
    const node = net.nodes.find((one) => one.id === id);
    assert.ok(node, `node ${id} has ended`);
    return node;
  }

  /** What lies in the folder of a node that pulls. */
  function fetched(id: number): readonly string[] {
    return readdirSync(join(nodeOf(id).member.plan.dataDir, 'models', net.model.hash)).toSorted();
  }

  /** What these shards need, and what comes along with any. */
  function filesOf(shards: readonly number[]): readonly string[] {
    const { manifest } = net.model;
    const all = cutShards(manifest, Object.keys(manifest.cuts)[0] ?? '');
    const own = shards.flatMap((index) => {
      const shard = all[index];
      assert.ok(shard !== undefined);
      return [shard.graph, shard.det.graph, ...shard.weights];
    });
    return [...new Set([MANIFEST_FILE, DRAFT_FILE, ...textFiles(manifest), ...own])].toSorted();
  }

  async function ask(): Promise<readonly number[]> {
    const ending = new AbortController();
    const identity = identityFromSeed(sha256(utf8('asker')));
    const initialPeers = net.nodes.flatMap(({ node }) => node.addresses);
    const network = await createNetworkClient({ initialPeers }, { ...net, identity, log: silentLog }, ending.signal);
    try {
      const tokens = await Array.fromAsync(network.client.generate(PROMPT, OPTIONS, ending.signal));
      return tokens.map(({ id }) => id);
    } finally {
      ending.abort();
      await network.close();
    }
  }

  it('one of those that are left takes the shard, answers go on, and challenges are answered for what is served', async () => {
    assert.deepEqual(
      [nodeOf(MORTAL).node.shards, nodeOf(MOVER).node.shards, nodeOf(STAYER).node.shards],
      [
        [1, 2, 3],
        [0, 1],
        [0, 2],
      ],
    );
    assert.deepEqual(fetched(MOVER), filesOf([0, 1]));
    const before = await ask();
    await net.end(MORTAL);
    while (!nodeOf(MOVER).moves.some(({ type }) => type === 'moved' || type === 'stayed')) await step();
    assert.deepEqual(nodeOf(MOVER).moves, [
      { type: 'moving', drop: 0, take: 3 },
      { type: 'moved', shards: [1, 3] },
    ]);
    assert.deepEqual(nodeOf(STAYER).moves, []);
    assert.deepEqual(fetched(MOVER), filesOf([0, 1, 3]));
    await step();
    await step();
    assert.deepEqual(await ask(), before);
    const epoch = (net.epoch() + 1) as Epoch;
    const reveal = recordName('hr', epoch, MOVER);
    while (net.epoch() <= epoch && !nodeOf(STAYER).seen.has(reveal)) await step();
    assert.deepEqual(shardsIn(nodeOf(STAYER).seen.get(reveal)?.body), [1, 3]);
  });
});

/** Room for two shards, but not for 0 and 3, and never for three. */
function bytesOfTwo(model: Model): number {
  const shards = cutShards(model.manifest, Object.keys(model.manifest.cuts)[0] ?? '');
  const [first = 0, second = 0, third = 0, last = 0] = shardNeeds({
    shards,
    maxContext: model.manifest.shape.maxContext,
  });
  const room = 12 * MIB;
  assert.ok(second + last <= room && first + last > room && first + second + third > room);
  return room;
}

function shardsIn(body: RecordBody | undefined): readonly number[] {
  assert.ok(body?.kind === 'hr');
  return (decodeHosterPayload(body.payload) ?? []).map(({ shard }) => shard);
}
