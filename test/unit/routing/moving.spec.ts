import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  endMove,
  type Moving,
  type MovingAct,
  SETTLED,
  type Standing,
  stepMoving,
} from '../../../src/routing/moving.ts';
import type { BlockNumber, NodeId, ShardIndex } from '../../../src/types/ids.ts';

const PARAMS = { periodBlocks: 5, lifeBlocks: 15 };
const SIZE = 10;

function standing(
  node: number,
  memoryBytes: number,
  shards: readonly number[],
  coming: readonly number[] = [],
): Standing {
  const of = (all: readonly number[]) => all as readonly ShardIndex[];
  return { node: node as NodeId, memoryBytes, shards: of(shards), coming: of(coming) };
}

/** One node that hears what the test says. */
function nodeAlone(self: number, shardCount: number) {
  let moving: Moving = SETTLED;
  const shardBytes = Array.from({ length: shardCount }, () => SIZE);
  return {
    at: () => moving.at,
    /** Heads from `from` to `to`, while the network is as it is; what is done at which of them. */
    run(from: number, to: number, nodes: readonly Standing[]): readonly string[] {
      const acts: string[] = [];
      for (let head = from; head <= to; head += 1) {
        const view = { head: head as BlockNumber, self: self as NodeId, nodes, shardBytes };
        const step = stepMoving(moving, view, PARAMS);
        moving = step.moving;
        if (step.act !== undefined) acts.push(`${head} ${said(step.act)}`);
      }
      return acts;
    },
    end(head: number, moved: boolean) {
      moving = endMove(moving, head as BlockNumber, moved, PARAMS);
    },
  };
}

function said({ do: what, move }: MovingAct): string {
  return `${what} ${move.drop ?? '-'}>${move.take}`;
}

describe('moving: one node', () => {
  const gap = [standing(1, 20, [0, 1]), standing(2, 20, [0, 2])];

  it('a shard that nobody serves is waited for one period, told for another, then taken', () => {
    assert.deepEqual(nodeAlone(1, 4).run(100, 120, gap), ['105 intend 0>3', '111 exchange 0>3']);
  });

  it('who is not named does nothing', () => {
    assert.deepEqual(nodeAlone(2, 4).run(100, 120, gap), []);
  });

  it('a better place that is no gap is waited for a whole life of an announce', () => {
    const crowded = [standing(1, 10, [0]), standing(2, 10, [0]), standing(3, 10, [0]), standing(4, 10, [1])];
    assert.deepEqual(nodeAlone(1, 2).run(100, 130, crowded), ['115 intend 0>1', '121 exchange 0>1']);
  });

  it('the last server of a shard stays', () => {
    assert.deepEqual(nodeAlone(1, 3).run(100, 400, [standing(1, 10, [0]), standing(2, 10, [1])]), []);
  });

  it('memory that is free is used', () => {
    assert.deepEqual(nodeAlone(1, 2).run(100, 111, [standing(1, 20, [0])]), ['105 intend ->1', '111 exchange ->1']);
  });

  it('a name that changes is waited for anew', () => {
    const node = nodeAlone(1, 4);
    node.run(100, 104, gap);
    node.run(105, 105, [...gap, standing(3, 0, [3])]);
    assert.deepEqual(node.run(106, 120, gap), ['111 intend 0>3', '117 exchange 0>3']);
  });

  it('takes its word back when somebody serves the shard again', () => {
    const node = nodeAlone(1, 4);
    node.run(100, 106, gap);
    assert.deepEqual(node.run(107, 115, [...gap, standing(3, 0, [3])]), ['107 withdraw 0>3']);
    assert.equal(node.at(), 'settled');
  });

  it('of two that speak at once the lower id goes on', () => {
    const both = [standing(1, 20, [0, 1], [3]), standing(2, 20, [0, 2], [3])];
    const higher = nodeAlone(2, 4);
    // It has not heard of node 1 before.
    higher.run(100, 106, [standing(2, 20, [0, 2]), standing(4, 0, [0, 1])]);
    assert.equal(higher.at(), 'intending');
    assert.deepEqual(higher.run(107, 107, both), ['107 withdraw 0>3']);
    const lower = nodeAlone(1, 4);
    lower.run(100, 106, gap);
    assert.deepEqual(lower.run(107, 115, both), [], 'it waits until the other has withdrawn');
    assert.deepEqual(lower.run(116, 116, gap), ['116 exchange 0>3']);
  });

  it('nobody begins while a shard comes to somebody; who says so for ever holds up nobody', () => {
    const liar = standing(9, 0, [0], [1]);
    const acts = nodeAlone(1, 4).run(100, 500, [...gap, liar]);
    assert.deepEqual(acts, ['406 intend 0>3', '412 exchange 0>3']);
  });

  it('who is named and does not move is passed over', () => {
    const asleep = [standing(1, 20, [0, 1]), standing(2, 20, [0, 2]), standing(3, 20, [0, 1])];
    // Node 1 drops 0 first; node 2 is next.
    assert.deepEqual(nodeAlone(2, 4).run(100, 150, asleep), ['141 intend 0>3', '147 exchange 0>3']);
  });

  it('rests after a move, longer after one that failed', () => {
    for (const [moved, first] of [
      [true, '126 intend 0>3'],
      [false, '261 intend 0>3'],
    ] as const) {
      const node = nodeAlone(1, 4);
      node.run(100, 111, gap);
      node.end(111, moved);
      assert.deepEqual(node.run(112, 262, gap).slice(0, 1), [first]);
    }
  });
});

describe('moving: a network', () => {
  const SHARDS = 5;
  const LOAD_BLOCKS = 7;

  interface Member {
    readonly node: number;
    readonly memory: number;
    shards: number[];
    coming: number[];
    moving: Moving;
    /** Head at which its shard is loaded. */
    loaded: number;
    loading: number | undefined;
  }

  /** Everybody hears everybody one head later. */
  function play(members: readonly Member[], blocks: number) {
    const shardBytes = Array.from({ length: SHARDS }, () => SIZE);
    const covered = (): number => new Set(members.flatMap(({ shards }) => shards)).size;
    let before = covered();
    let moves = 0;
    for (let head = 100; head < 100 + blocks; head += 1) {
      const heard = members.map(({ node, memory, shards, coming }) => standing(node, memory, shards, coming));
      for (const one of members) {
        if (one.loading !== undefined && head >= one.loaded) {
          one.shards = [...one.shards, one.loading];
          one.coming = [];
          one.loading = undefined;
          one.moving = endMove(one.moving, head as BlockNumber, true, PARAMS);
          moves += 1;
        }
        const own = heard.map((other) =>
          other.node === one.node ? standing(one.node, one.memory, one.shards) : other,
        );
        const view = { head: head as BlockNumber, self: one.node as NodeId, nodes: own, shardBytes };
        const { moving, act } = stepMoving(one.moving, view, PARAMS);
        one.moving = moving;
        if (act?.do === 'intend') one.coming = [act.move.take];
        if (act?.do === 'withdraw') one.coming = [];
        if (act?.do === 'exchange') {
          one.shards = one.shards.filter((shard) => shard !== act.move.drop);
          one.loading = act.move.take;
          one.loaded = head + LOAD_BLOCKS;
        }
      }
      assert.ok(members.filter(({ loading }) => loading !== undefined).length <= 1, `two move at ${head}`);
      assert.ok(covered() >= before, `a shard is lost at ${head}`);
      before = covered();
    }
    return { moves, covered: before };
  }

  const anyMember = fc.tuple(
    fc.integer({ min: 1, max: SHARDS }),
    fc.array(fc.nat({ max: SHARDS - 1 }), { minLength: 1, maxLength: 3 }),
  );

  it('one at a time, never a gap that was none, and it ends', () => {
    fc.assert(
      fc.property(fc.array(anyMember, { minLength: 1, maxLength: 6 }), (all) => {
        const members = all.map(([room, wanted], i): Member => {
          const shards = [...new Set(wanted)].slice(0, room);
          return {
            node: i + 1,
            memory: room * SIZE,
            shards,
            coming: [],
            moving: SETTLED,
            loaded: 0,
            loading: undefined,
          };
        });
        play(members, 1_000);
        assert.equal(play(members, 400).moves, 0, 'it goes on for ever');
      }),
      { numRuns: 25 },
    );
  });
});
