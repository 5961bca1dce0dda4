// Movers beside real hosters on a network in memory: what is given up, what is loaded, and what clients notice of it.

import assert from 'node:assert/strict';
import { EngineError } from '../../../src/engine/types.ts';
import { createMover, type MoveEvent } from '../../../src/node/mover.ts';
import type { BlockNumber, PeerId, ShardIndex } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';
import { signRequest } from '../../../src/wire/envelope.ts';
import { MAX_FRAME_BYTES } from '../../../src/wire/frame.ts';
import {
  decodeMessages,
  encodeMessage,
  encodeOpen,
  INFER_PROTOCOL,
  type InferMessage,
  OPEN_METHOD,
  type SessionSalt,
} from '../../../src/wire/infer.ts';
import { collect, GREEDY, MODEL, type Net, promptOf, startNet } from '../client/net.ts';

const MIB = 2 ** 20;
const never = new AbortController().signal;
const SHARD_MIB = 32;
/** Node 1 was given its shards by hand; nodes 2 and 3 have room for two. When node 1 is gone shard 3 is, and node 2 may drop 0 for it. */
const SERVED = [
  [1, 2, 3],
  [0, 1],
  [0, 2],
] as const;
const FIXED = 0;

interface World {
  readonly net: Net;
  /** Of nodes 2 and 3. */
  readonly events: readonly MoveEvent[][];
  /** What node 2 did, in order. */
  readonly done: string[];
  /** Whether the challenge of node 2 needs its shards no more. */
  mayUnload: boolean;
  /** Thrown when node 2 loads. */
  broken: EngineError | undefined;
  /** What node 2 waits for when it fetches the files of a shard. */
  files: Promise<void>;
}

async function within(test: (world: World) => Promise<void>): Promise<void> {
  const net = await startNet({
    hosters: 3,
    shardsOf: (i) => SERVED[i] ?? [],
    memoryMiB: (i) => (i === FIXED ? 0 : 2 * SHARD_MIB),
  });
  const stop = new AbortController();
  const world: World = {
    net,
    events: [[], []],
    done: [],
    mayUnload: true,
    broken: undefined,
    files: Promise.resolve(),
  };
  const running = [1, 2].map((i) => {
    const { node, hoster, directory, engine } = net.hosters[i] as (typeof net.hosters)[number];
    const note = (what: string, of: readonly number[] = []) => {
      if (i === 1) world.done.push([what, ...of].join(' '));
    };
    const mover = createMover(
      {
        node,
        shards: (SERVED[i] ?? []) as readonly number[] as readonly ShardIndex[],
        shardBytes: Array.from({ length: MODEL.shardCount }, () => SHARD_MIB * MIB),
        memoryBytes: 2 * SHARD_MIB * MIB,
      },
      {
        chain: { heads: net.heads },
        directory,
        hoster: {
          serve(shards, coming) {
            note(`serve ${shards.join(',')} +${coming.join(',')}`);
            hoster.serve(shards, coming);
          },
          async free(shards, signal) {
            await hoster.free(shards, signal);
            note('free', shards);
          },
        },
        engine: {
          async load(shards) {
            note('load', shards);
            if (i === 1 && world.broken !== undefined && shards.includes(3 as ShardIndex)) throw world.broken;
            await engine.load(shards);
          },
          async unload(shards) {
            assert.ok(world.mayUnload);
            note('unload', shards);
          },
        },
        validator: {
          hold: (shards) => note('hold', shards),
          mayUnload: () => i !== 1 || world.mayUnload,
        },
        ...(i === 1
          ? {
              async fetch(shards) {
                note('fetch', shards);
                await world.files;
              },
            }
          : {}),
        log: silentLog,
      },
    );
    mover.on((event) => world.events[i - 1]?.push(event));
    return mover.run(stop.signal);
  });
  try {
    await test(world);
  } finally {
    stop.abort();
    await net.close();
    await Promise.all(running);
  }
}

async function ask({ net }: World): Promise<readonly number[]> {
  const tokens = await collect(net.client.generate(promptOf(5), { ...GREEDY, maxTokens: 8 }, never));
  return tokens.map(({ id }) => id);
}

function served({ net }: World, i: number): readonly number[] {
  return net.directory.offers().find(({ node }) => node === net.hosters[i]?.node)?.shards ?? [];
}

/** A session on one hoster; its answers behind the first, which is as expected. */
async function openOn(
  net: Net,
  i: number,
  { from, to }: { readonly from: number; readonly to: number },
  expected = 'ACCEPT',
): Promise<AsyncIterable<InferMessage | 'malformed'>> {
  const peer = net.hosters[i]?.peer as PeerId;
  const [first, second] = [from, to] as readonly number[] as readonly [ShardIndex, ShardIndex];
  const route = [
    { peer, from: first, to: second },
    { peer: net.identity.peer, from: second, to: MODEL.shardCount as ShardIndex },
  ];
  const salt = expected.length.toString(16).padStart(32, '0') as SessionSalt;
  const body = encodeOpen({ salt, manifest: MODEL.hash, codec: 'f16', maxTokens: 20, route, hop: 0 });
  const facts = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, from: net.identity.peer, to: peer };
  const head = { issuedAt: (net.hosters[i]?.directory.offers().at(-1)?.block ?? 100) as BlockNumber };
  const stream = await net.overlay.openStream(peer, INFER_PROTOCOL, { maxFrameBytes: MAX_FRAME_BYTES, signal: never });
  const request = signRequest({ ...facts, ...head, body }, net.identity.sign);
  await stream.send(encodeMessage({ type: 'OPEN', request }));
  const answers = decodeMessages(stream.frames());
  const { value } = await answers.next();
  assert.ok(typeof value === 'object' && value.type === expected);
  return answers;
}

async function killFixed({ net }: World): Promise<void> {
  net.network.kill(net.hosters[FIXED]?.peer as PeerId);
  await net.hosters[FIXED]?.stop();
}

describe('moves of a running node', () => {
  it('when a hoster dies for good one of those that are left takes its shard, and answers go on', () =>
    within(async (world) => {
      const before = await ask(world);
      await killFixed(world);
      await world.net.runTo(140);
      assert.deepEqual(served(world, 1), [1, 3]);
      assert.deepEqual(served(world, 2), [0, 2]);
      assert.deepEqual(world.events, [
        [
          { type: 'moving', drop: 0, take: 3 },
          { type: 'moved', shards: [1, 3] },
        ],
        [],
      ]);
      assert.deepEqual(world.done, [
        'serve 0,1 +3',
        'fetch 3',
        'serve 1 +3',
        'free 0',
        'hold 1',
        'unload 0',
        'load 3',
        'serve 1,3 +',
        'hold 1 3',
      ]);
      assert.deepEqual(await ask(world), before);
    }));

  it('while nothing is missing nobody moves', () =>
    within(async (world) => {
      await world.net.runTo(200);
      assert.deepEqual(world.events, [[], []]);
    }));

  it('keeps a shard for as long as the challenge needs it', () =>
    within(async (world) => {
      world.mayUnload = false;
      await killFixed(world);
      await world.net.runTo(150);
      assert.deepEqual(world.done, ['serve 0,1 +3', 'fetch 3', 'serve 1 +3', 'free 0']);
      world.mayUnload = true;
      await world.net.runTo(151);
      assert.deepEqual(world.events[0]?.at(-1), { type: 'moved', shards: [1, 3] });
    }));

  it('lets sessions end for twenty blocks, then breaks them off', () =>
    within(async (world) => {
      const { net } = world;
      const stream = await openOn(net, 1, { from: 0, to: 1 });
      await killFixed(world);
      await net.runTo(135);
      assert.deepEqual(world.done, ['serve 0,1 +3', 'fetch 3', 'serve 1 +3']);
      assert.equal(net.hosters[1]?.engine.open.size, 1);
      await net.runTo(160);
      assert.deepEqual(world.events[0]?.at(-1), { type: 'moved', shards: [1, 3] });
      assert.equal(net.hosters[1]?.engine.open.size, 0);
      assert.deepEqual(await Array.fromAsync(stream), [{ type: 'ERROR', code: 'NOT_SERVED', hop: 0 }]);
      const late = await openOn(net, 1, { from: 0, to: 1 }, 'REFUSE');
      assert.deepEqual(await Array.fromAsync(late), []);
    }));

  it('serves what it has until the files of the shard are here, and says all the while that it comes', () =>
    within(async (world) => {
      const here = Promise.withResolvers<void>();
      world.files = here.promise;
      await killFixed(world);
      await world.net.runTo(200);
      assert.deepEqual(world.done, ['serve 0,1 +3', 'fetch 3']);
      assert.deepEqual(served(world, 1), [0, 1]);
      const offers = world.net.directory.offers();
      assert.deepEqual(offers.find(({ node }) => node === world.net.hosters[1]?.node)?.coming, [3]);
      assert.deepEqual(served(world, 2), [0, 2], 'nobody else moves meanwhile');
      here.resolve();
      await world.net.runTo(240);
      assert.deepEqual(served(world, 1), [1, 3]);
      assert.deepEqual(world.events[1], []);
    }));

  it('has given up nothing when nobody has the files', () =>
    within(async (world) => {
      world.files = Promise.reject(new Error('nobody has them'));
      world.files.catch(() => undefined);
      await killFixed(world);
      await world.net.runTo(135);
      assert.deepEqual(world.done, ['serve 0,1 +3', 'fetch 3', 'load 0 1', 'serve 0,1 +', 'hold 0 1']);
      assert.deepEqual(served(world, 1), [0, 1]);
      const stayed = { type: 'stayed', shards: [0, 1], code: 'UNKNOWN', message: 'nobody has them' };
      assert.deepEqual(world.events[0]?.at(-1), stayed);
    }));

  it('goes back to what it served when the shard cannot be loaded', () =>
    within(async (world) => {
      world.broken = new EngineError({ code: 'E_HASH', file: 'shard-3.onnx' }, 'not the file of the manifest');
      await killFixed(world);
      await world.net.runTo(135);
      assert.deepEqual(served(world, 1), [0, 1]);
      assert.deepEqual(world.done.slice(-4), ['load 3', 'load 0 1', 'serve 0,1 +', 'hold 0 1']);
      assert.deepEqual(world.events[0]?.at(-1), {
        type: 'stayed',
        shards: [0, 1],
        code: 'E_HASH',
        message: 'not the file of the manifest',
      });
      // Node 3 hears that nobody moves any more, and has its turn when node 2 has been passed over.
      await world.net.runTo(230);
      assert.deepEqual(served(world, 2), [2, 3]);
    }));
});
