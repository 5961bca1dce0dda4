import assert from 'node:assert/strict';
import fc from 'fast-check';
import { nextMove, type Placed, placeNode } from '../../../src/routing/placement.ts';
import type { NodeId, ShardIndex } from '../../../src/types/ids.ts';

function placed(node: number, memoryBytes: number, shards: readonly number[] = []): Placed {
  return { node: node as NodeId, memoryBytes, shards: shards as readonly ShardIndex[] };
}

function place(node: number, nodes: readonly Placed[], shardBytes: readonly number[]): readonly number[] {
  return placeNode(node as NodeId, nodes, shardBytes);
}

/** What all serve when those who have not chosen have done so. */
function placeAll(nodes: readonly Placed[], shardBytes: readonly number[]): readonly Placed[] {
  return nodes.map((one) => ({ ...one, shards: placeNode(one.node, nodes, shardBytes) }));
}

function levels(nodes: readonly Placed[], shardCount: number): number[] {
  return Array.from(
    { length: shardCount },
    (_, shard) => nodes.filter(({ shards }) => shards.includes(shard as ShardIndex)).length,
  );
}

function bytesOf({ shards }: Placed, shardBytes: readonly number[]): number {
  return shards.reduce((sum, shard) => sum + (shardBytes[shard] ?? 0), 0);
}

const FOUR = [10, 10, 10, 10];

describe('placement: what to serve', () => {
  const cases: Record<string, [readonly number[], readonly number[]]> = {
    'alone with room: all': [place(1, [placed(1, 40)], FOUR), [0, 1, 2, 3]],
    'alone without: as much as fits': [place(1, [placed(1, 39)], FOUR), [0, 1, 2]],
    'no room for any': [place(1, [placed(1, 9)], FOUR), []],
    'what nobody serves comes first': [place(2, [placed(1, 40, [0, 2, 3]), placed(2, 10)], FOUR), [1]],
    'then a run': [place(2, [placed(1, 40, [2]), placed(2, 30)], FOUR), [0, 1, 3]],
    'a neighbour before the first of a level': [place(2, [placed(1, 30, [0, 1, 3]), placed(2, 20)], FOUR), [1, 2]],
    'those before us choose first': [place(2, [placed(2, 20), placed(1, 20)], FOUR), [2, 3]],
    'those behind us do not count': [place(1, [placed(2, 20), placed(1, 20)], FOUR), [0, 1]],
    'who has chosen keeps it': [place(1, [placed(1, 40, [3]), placed(2, 20)], FOUR), [3]],
    'large shards are left where they do not fit': [place(1, [placed(1, 25)], [30, 10, 10, 30]), [1, 2]],
    'shards of another cut do not count': [place(2, [placed(1, 40, [7]), placed(2, 10)], FOUR), [0]],
  };
  for (const [what, [found, expected]] of Object.entries(cases)) it(what, () => assert.deepEqual(found, expected));

  const SHARDS = 6;
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: SHARDS, maxLength: SHARDS });
  const anyNodes = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.subarray([0, 1, 2, 3, 4, 5])), { minLength: 1, maxLength: 8 })
    .map((all) => all.map(([memory, shards], i) => placed(i + 1, memory, i % 2 === 0 ? [] : shards)));

  it('never takes more than the memory, and never leaves room for a shard that it does not serve', () => {
    fc.assert(
      fc.property(anyNodes, sizes, (nodes, shardBytes) => {
        for (const one of placeAll(nodes, shardBytes).filter((_, i) => nodes[i]?.shards.length === 0)) {
          const used = bytesOf(one, shardBytes);
          assert.ok(used <= one.memoryBytes);
          const left = shardBytes.filter((_, shard) => !one.shards.includes(shard as ShardIndex));
          assert.ok(left.every((bytes) => used + bytes > one.memoryBytes));
        }
      }),
    );
  });

  it('does not depend on the order in which announces came', () => {
    fc.assert(
      fc.property(
        anyNodes.chain((nodes) =>
          fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length })),
        ),
        sizes,
        ([nodes, shuffled], shardBytes) => {
          for (const { node } of nodes)
            assert.deepEqual(placeNode(node, nodes, shardBytes), placeNode(node, shuffled, shardBytes));
        },
      ),
    );
  });

  it('levels of equal nodes differ by one at most, and none is empty when all together have room', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: SHARDS }), (count, shardsEach) => {
        const nodes = Array.from({ length: count }, (_, i) => placed(i + 1, shardsEach * 10 + 3));
        const found = levels(placeAll(nodes, new Array(SHARDS).fill(10)), SHARDS);
        assert.ok(Math.max(...found) - Math.min(...found) <= 1);
        assert.equal(Math.min(...found) > 0, count * shardsEach >= SHARDS);
      }),
    );
  });
});

describe('placement: moves', () => {
  const move = (nodes: readonly Placed[], reload = 0.1, shardBytes = FOUR) => nextMove(nodes, shardBytes, reload);
  const [crowd, lone] = [placed(1, 10, [0]), placed(2, 10, [0])];

  it('from a shard that two serve to one that nobody serves', () => {
    assert.deepEqual(move([crowd, lone], 0.1, [10, 10]), { node: 1, drop: 0, take: 1 });
  });

  it('only when the gain exceeds the reload', () => {
    assert.equal(move([crowd, lone], 0.5, [10, 10]), undefined);
    assert.notEqual(move([crowd, lone], 0.49, [10, 10]), undefined);
  });

  it('into free memory without dropping anything', () => {
    assert.deepEqual(move([placed(1, 40, [0, 1, 2])]), { node: 1, take: 3 });
  });

  it('never away from the last server', () => {
    assert.equal(move([placed(1, 10, [0]), placed(2, 10, [1])], 0), undefined);
  });

  it('a node that has not chosen yet does not move', () => {
    assert.equal(move([placed(1, 40)]), undefined);
  });

  const nodes = fc.array(
    fc.tuple(fc.integer({ min: 0, max: 30 }), fc.subarray([0, 1, 2, 3], { minLength: 1 })).map(([spare, shards]) => ({
      spare,
      shards,
    })),
    { minLength: 1, maxLength: 7 },
  );
  const sizes = fc.array(fc.integer({ min: 5, max: 15 }), { minLength: 4, maxLength: 4 });

  it('end, keep every memory, and leave no shard without a server that had one', () => {
    fc.assert(
      fc.property(nodes, sizes, fc.double({ min: 0, max: 0.5, noNaN: true }), (drawn, shardBytes, reload) => {
        let all: readonly Placed[] = drawn.map(({ spare, shards }, i) => {
          const one = placed(i + 1, 0, shards);
          return { ...one, memoryBytes: bytesOf(one, shardBytes) + spare };
        });
        let before = levels(all, 4);
        for (let moves = 0; ; moves += 1) {
          const found = nextMove(all, shardBytes, reload);
          if (found === undefined) return;
          assert.ok(moves < 200, 'moves end');
          all = all.map((one) => (one.node === found.node ? moved(one, found) : one));
          assert.ok(all.every((one) => bytesOf(one, shardBytes) <= one.memoryBytes));
          const after = levels(all, 4);
          assert.ok(after.every((level, shard) => level > 0 || before[shard] === 0));
          before = after;
        }
      }),
      { numRuns: 300 },
    );
  });

  it('equal shards end up within one of each other when a reload costs nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.subarray([0, 1, 2, 3], { minLength: 1 }), { minLength: 1, maxLength: 7 }), (drawn) => {
        let all: readonly Placed[] = drawn.map((shards, i) => placed(i + 1, shards.length * 10, shards));
        for (let found = nextMove(all, FOUR, 0); found !== undefined; found = nextMove(all, FOUR, 0)) {
          const { node } = found;
          all = all.map((one) => (one.node === node ? moved(one, found as NonNullable<typeof found>) : one));
        }
        const found = levels(all, 4);
        assert.ok(Math.max(...found) - Math.min(...found) <= 1, found.join(' '));
      }),
    );
  });
});

function moved(one: Placed, { drop, take }: NonNullable<ReturnType<typeof nextMove>>): Placed {
  return { ...one, shards: [...one.shards.filter((shard) => shard !== drop), take] };
}
