import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import fc from 'fast-check';
import { findFreePorts, needsFunds, planNodes, shardsText } from '../../../src/devnet/plan.ts';
import { parseShards } from '../../../src/node/shards.ts';

const plan = (hosters: number, attestors: number, shardCount = 4) =>
  planNodes(
    { hosters, attestors, shardCount, dataDir: '/net' },
    Array.from({ length: hosters + attestors }, (_, i) => 20_000 + i),
  );

describe('devnet: who is who', () => {
  it('four hosters of four shards: three voters per shard, nobody has all', () => {
    const nodes = plan(4, 1);
    assert.deepEqual(
      nodes.map(({ role, shards }) => `${role} ${shards}`),
      ['hoster 1,2,3', 'hoster 0,2,3', 'hoster 0,1,3', 'hoster 0,1,2', 'attestor '],
    );
    for (const shard of [0, 1, 2, 3]) assert.equal(nodes.filter(({ shards }) => shards.includes(shard)).length, 3);
  });

  it('every shard is served, however many hosters and shards there are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 16 }), (hosters, shardCount) => {
        const served = new Set(plan(hosters, 0, shardCount).flatMap(({ shards }) => shards));
        assert.equal(served.size, shardCount);
      }),
    );
  });

  it('hotkeys, folders and ports are all different; hotkeys beyond //dev:11 need funds', () => {
    const nodes = plan(6, 2);
    for (const what of ['hotkey', 'dataDir', 'port'] as const)
      assert.equal(new Set(nodes.map((node) => node[what])).size, nodes.length);
    assert.deepEqual(nodes.map(needsFunds), [false, false, false, false, false, false, true, true]);
  });

  it('shards are written as --shards reads them', () => {
    assert.equal(shardsText([0, 2, 3]), '0,2-3');
    fc.assert(
      fc.property(fc.subarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 1 }), (shards) => {
        assert.deepEqual(parseShards(shardsText(shards), 8), shards);
      }),
    );
  });
});

describe('devnet: ports', () => {
  it('are free ones', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    // aims at the taken port first, then at others
    const aims = [(port - 20_000 + 0.5) / 12_000, 0.25, 0.75];
    const found = await findFreePorts(1, () => aims.shift() ?? 0.5);
    assert.notDeepEqual(found, [port]);
    await new Promise((resolve) => taken.close(resolve));
  });

  it('are refused when none can be found', async () => {
    await assert.rejects(
      findFreePorts(2, () => 0.5),
      /no 2 free ports between 20000 and 32000/,
    );
  });
});
