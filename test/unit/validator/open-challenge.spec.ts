// Until when a hoster must not compute the challenge for others (protocol.md 12): from the block that decides it to the first reveals.

import assert from 'node:assert/strict';
import type { ShardIndex } from '../../../src/types/ids.ts';
import type { FakeEngine, Swarm } from './swarm.ts';
import { createSwarm, honestEngine } from './swarm.ts';

const FIRST = 0 as ShardIndex;
const SECOND = 1 as ShardIndex;

describe('the open challenge', () => {
  let swarm: Swarm | undefined;

  afterEach(async () => {
    await swarm?.stop();
    swarm = undefined;
  });

  async function start(engine: FakeEngine): Promise<Swarm> {
    swarm = await createSwarm({ hosters: 4, attestors: 1, engines: { 2: engine } });
    return swarm;
  }

  it('is what this epoch asks of a shard, whoever serves it', async () => {
    const asked = new Map<ShardIndex, unknown>();
    const { firstEpoch, runTo, nodes } = await start({
      async challenge(shard, rows) {
        asked.set(shard, structuredClone(rows));
        return honestEngine.challenge(shard, rows);
      },
    });
    await runTo(firstEpoch, 5);
    assert.deepEqual([...asked.keys()], [0, 1, 3]);
    for (const node of nodes) {
      for (const [shard, rows] of asked) assert.deepEqual(node.validator.openChallenge(shard), rows);
    }
    assert.equal(nodes[0]?.validator.openChallenge(9 as ShardIndex), undefined, 'no such shard');
  });

  it('is open from the first block of the epoch, before its seed is final, until reveals begin', async () => {
    const { firstEpoch, runTo, nodes } = await start(honestEngine);
    const open = (shard: ShardIndex) => nodes[4]?.validator.openChallenge(shard);
    await runTo(firstEpoch, 19);
    assert.equal(open(FIRST), undefined);
    await runTo(firstEpoch + 1, 0);
    const early = open(SECOND);
    assert.ok(early !== undefined);
    await runTo(firstEpoch + 1, 10);
    assert.deepEqual(open(SECOND), early);
    await runTo(firstEpoch + 1, 11);
    assert.equal(open(SECOND), undefined);
    await runTo(firstEpoch + 2, 0);
    assert.notDeepEqual(open(SECOND), early);
  });

  it('follows the best chain when its first block is another one', async () => {
    const { firstEpoch, runTo, nodes, chain } = await start(honestEngine);
    await runTo(firstEpoch + 1, 0);
    const before = nodes[0]?.validator.openChallenge(FIRST);
    await chain.reorg(1);
    await runTo(firstEpoch + 1, 4);
    const after = nodes[0]?.validator.openChallenge(FIRST);
    assert.ok(after !== undefined);
    assert.notDeepEqual(after, before);
  });
});
