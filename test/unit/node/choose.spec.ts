import assert from 'node:assert/strict';
import { createHeadFeed } from '../../../src/chain/heads.ts';
import type { Chain, SubnetNode } from '../../../src/chain/types.ts';
import { createDirectory } from '../../../src/client/directory.ts';
import { createAnnouncer } from '../../../src/hoster/announce.ts';
import { createMeter } from '../../../src/hoster/meter.ts';
import { chooseShards, whileComing } from '../../../src/node/choose.ts';
import { verifySignature } from '../../../src/p2p/identity.ts';
import { createMemoryNetwork } from '../../../src/p2p/memory.ts';
import type { BlockNumber, Hash, NodeId, ShardIndex } from '../../../src/types/ids.ts';
import type { ManifestShard } from '../../../src/types/model.ts';
import { silentLog } from '../../../src/util/log.ts';
import { GENESIS, identityOf, SUBNET } from '../client/net.ts';

const MIB = 2 ** 20;
/** Each takes 10 MiB of weights and, for two sessions of 1,024 positions, 2 MiB of cache. */
const SHARDS = Array.from({ length: 4 }, () => ({
  memory: { weights: 10 * MIB, kvPerToken: 1_024 },
})) as unknown as readonly ManifestShard[];
const MAX_CONTEXT = 1_024;
const never = new AbortController().signal;

describe('--shards auto', () => {
  let feed: ReturnType<typeof createHeadFeed>;
  let network: ReturnType<typeof createMemoryNetwork>;
  let stop: AbortController;
  let running: Promise<void>[];
  let block: number;

  beforeEach(() => {
    feed = createHeadFeed();
    network = createMemoryNetwork();
    stop = new AbortController();
    running = [];
    block = 99;
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    feed.close();
  });

  function chain(): Pick<Chain, 'heads' | 'nodes'> {
    const nodes = [1, 2, 3].map((id) => ({ id, nodeClass: 'Validator', peerInfo: { peer: identityOf(id).peer } }));
    return {
      heads: (_kind, signal) => feed.stream(signal),
      nodes: async () => nodes as unknown as readonly SubnetNode[],
    };
  }

  /** A node with so much memory that serves these shards; none: it chooses. */
  function enter(id: number, memoryMiB: number, shards: readonly number[] = []) {
    const identity = identityOf(id);
    const overlay = network.join(identity);
    const deps = { overlay, chain: chain(), verify: verifySignature, log: silentLog };
    const directory = createDirectory({ subnet: SUBNET, genesis: GENESIS }, deps);
    running.push(directory.run(stop.signal));
    const announcer = createAnnouncer(
      {
        subnet: SUBNET,
        node: id as NodeId,
        genesis: GENESIS,
        clock: { slot: 3, epochLength: 20 },
        shards: shards as readonly ShardIndex[],
        version: 'test',
        cacheBytes: 1_024,
        memoryMiB,
      },
      {
        overlay,
        identity,
        engine: {
          stats: () => ({ shards: [], sessions: 0, kvBytes: 0, kvBudgetBytes: 1, steps: 0, rows: 0, queued: 0 }),
        },
        board: directory,
        meter: createMeter(() => 0),
        log: silentLog,
      },
    );
    const choose = () =>
      chooseShards(
        { node: id as NodeId, shards: SHARDS, maxContext: MAX_CONTEXT, memoryBytes: memoryMiB * MIB },
        { chain: chain(), directory, announcer, log: silentLog },
        never,
      );
    return { announcer, choose, directory };
  }

  async function runTo(target: number): Promise<void> {
    while (block < target) {
      block += 1;
      feed.publish({ number: block as BlockNumber, hash: `0x${'00'.repeat(32)}` as Hash });
      for (let i = 0; i < 5; i += 1) {
        await network.flush();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  it('with room for all: all, at once', async () => {
    assert.deepEqual(await enter(1, 48).choose(), [0, 1, 2, 3]);
  });

  it('two that choose at once share the model, beside one that serves', async () => {
    const serving = enter(3, 12, [2]);
    const [second, first] = [enter(2, 24), enter(1, 24)];
    const chosen = [second.choose(), first.choose()];
    await runTo(100);
    await serving.announcer.onHead(100 as BlockNumber);
    await runTo(106);
    assert.deepEqual(await Promise.all(chosen), [
      [2, 3],
      [0, 1],
    ]);
  });

  it('listens for a whole announce period', async () => {
    let done = false;
    const chosen = enter(1, 12).choose();
    void chosen.then(() => {
      done = true;
    });
    await runTo(105);
    assert.equal(done, false);
    await runTo(106);
    assert.deepEqual(await chosen, [0]);
  });

  it('who fetches what it chose says that it comes, so that who chooses meanwhile takes others', async () => {
    const fetching = enter(2, 12);
    const files = Promise.withResolvers<void>();
    const { announcer } = fetching;
    const coming = [0 as ShardIndex];
    const done = whileComing(coming, { chain: chain(), announcer }, files.promise, never);
    await runTo(100);
    const late = enter(1, 12);
    const chosen = late.choose();
    await runTo(107);
    assert.deepEqual(await chosen, [1]);
    assert.deepEqual(
      late.directory.offers().map(({ node, shards, coming: next }) => [node, shards, next]),
      [
        [1, [], undefined],
        [2, [], [0]],
      ],
    );
    files.resolve();
    await done;
    await runTo(115);
    const last = late.directory.offers().find(({ node }) => node === 2)?.block;
    assert.ok(last !== undefined && last <= 107, `announced at ${last}, and it was done at 107`);
  });

  it('what goes wrong with the files is told, and nothing is announced any more', async () => {
    const { announcer } = enter(1, 12);
    const job = Promise.reject(new Error('nobody has them'));
    await assert.rejects(whileComing([0 as ShardIndex], { chain: chain(), announcer }, job, never), /nobody has them/);
    const stop = new AbortController();
    const waiting = whileComing(
      [0 as ShardIndex],
      { chain: chain(), announcer },
      untilAborted(stop.signal),
      stop.signal,
    );
    stop.abort(new Error('enough'));
    await assert.rejects(waiting, /enough/);
  });

  it('says so when not even one shard fits', async () => {
    await assert.rejects(enter(1, 11).choose(), { facts: { code: 'OPTION_INVALID', option: 'memory' } });
  });
});

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
}
