import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import {
  chooseJobs,
  createTurns,
  gatherMs,
  nextClaim,
  type Place,
  type Waiting,
} from '../../../src/engine/schedule.ts';

function decode(id: number, slot: number, pool = 'a'): Waiting<string> {
  return { id, place: { pool, slot } };
}

/** Slots are counted from 0, and a pool has 16. */
function everywhere({ slot }: Place<string>): boolean {
  return slot >= 0 && slot < 16;
}

function around(othersTurn: boolean, mayIdle = everywhere) {
  return { othersTurn, mayIdle, nextOwner: (owners: readonly string[]) => owners.toSorted()[0] };
}

describe('engine/schedule', () => {
  const other = (id: number): Waiting<string> => ({ id });
  const cases: readonly (readonly [string, readonly Waiting<string>[], boolean, readonly number[]])[] = [
    ['nothing waits', [], false, []],
    ['one other job', [other(1)], false, [1]],
    ['decodes go first', [other(1), decode(2, 0)], false, [2]],
    ['after decodes another job gets its turn', [other(1), decode(2, 0)], true, [1]],
    ['after decodes with nothing else come decodes', [decode(2, 0)], true, [2]],
    ['neighbouring slots run together, by slot', [decode(5, 2), decode(6, 1), decode(7, 3)], false, [6, 5, 7]],
    ['small gaps are bridged', [decode(5, 0), decode(6, 2), decode(7, 1), decode(8, 5)], false, [5, 7, 6, 8]],
    ['a large gap ends a batch', [decode(5, 0), decode(6, 5), decode(7, 1), decode(8, 6)], false, [5, 7]],
    ['on both sides', [decode(5, 4), decode(6, 1), decode(7, 8), decode(8, 6)], false, [6, 5, 8, 7]],
    ['the oldest decode chooses the pool', [decode(1, 3, 'b'), decode(2, 0), decode(3, 2, 'b')], false, [3, 1]],
    ['the oldest other job', [other(4), other(2)], false, [4]],
    [
      'prompts of the owner whose turn it is, oldest first',
      [
        { id: 4, owner: 'b' },
        { id: 5, owner: 'a' },
        { id: 6, owner: 'a' },
      ],
      false,
      [5],
    ],
    ['what belongs to nobody comes as it is', [other(4), { id: 5, owner: 'a' }], false, [4]],
    ['duties before prompts', [other(4), { id: 2, duty: true }, { id: 3, duty: true }], true, [2]],
    ['decodes before duties, until it is their turn', [decode(5, 0), { id: 2, duty: true }], false, [5]],
  ];
  for (const [what, queue, afterDecode, expected] of cases)
    it(what, () => {
      assert.deepEqual(chooseJobs(queue, around(afterDecode)), expected);
    });

  it('every job has its turn: the queue becomes empty, and the oldest decode is never passed over by decodes', () => {
    const jobs = fc.array(
      fc.option(fc.record({ pool: fc.constantFrom('a', 'b'), slot: fc.nat(6) }), { nil: undefined }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(jobs, (places) => {
        let queue: Waiting<string>[] = places.map((place, id) => (place === undefined ? { id } : { id, place }));
        let afterDecode = false;
        for (let turns = 0; queue.length > 0; turns++) {
          assert.ok(turns <= places.length);
          const chosen = chooseJobs(
            queue,
            around(afterDecode, ({ slot }) => slot !== 3),
          );
          const oldest = queue.find((job) => job.place !== undefined);
          const isDecode = queue.some((job) => job.id === chosen[0] && job.place !== undefined);
          if (isDecode && oldest !== undefined) assert.ok(chosen.includes(oldest.id));
          assert.ok(chosen.length > 0);
          afterDecode = isDecode;
          queue = queue.filter((job) => !chosen.includes(job.id));
        }
      }),
    );
  });

  it('a slot that is full is not bridged', () => {
    const queue = [decode(1, 0), decode(2, 2), decode(3, 3)];
    assert.deepEqual(
      chooseJobs(
        queue,
        around(false, ({ slot }) => slot !== 1),
      ),
      [1],
    );
    assert.deepEqual(
      chooseJobs(
        queue.slice(1),
        around(false, ({ slot }) => slot !== 1),
      ),
      [2, 3],
    );
  });

  it('waits for the rest of a batch a twentieth of its time, and never long', () => {
    assert.deepEqual([gatherMs(0), gatherMs(10), gatherMs(40), gatherMs(5000)], [0, 0.5, 2, 2]);
  });

  it('after another job decodes have as long as it took, and loading counts as a second', () => {
    assert.deepEqual(
      [nextClaim(0, 'decodes', 5), nextClaim(0, 'other', 80), nextClaim(80, 'decodes', 30)],
      [0, 80, 50],
    );
    assert.deepEqual(
      [nextClaim(50, 'decodes', 60), nextClaim(7, 'other', 3), nextClaim(0, 'other', 9000)],
      [0, 3, 1000],
    );
  });

  it('a prompt and decodes that never end each have about half of the time', () => {
    const time = { decodes: 0, other: 0 };
    let claim = 0;
    for (let now = 0; now < 10_000; ) {
      const [chosen] = chooseJobs([{ id: 1 }, decode(2, 0)], around(claim === 0 && now > 0));
      const [kind, ms] = chosen === 1 ? (['other', 400] as const) : (['decodes', 30] as const);
      time[kind] += ms;
      claim = nextClaim(claim, kind, ms);
      now += ms;
    }
    assert.ok(Math.abs(time.decodes - time.other) < 500, JSON.stringify(time));
  });

  it('owners have the same time, however many prompts each has and however long they are', () => {
    const turns = createTurns();
    const time = { many: 0, one: 0 };
    const ms = { many: 70, one: 130 };
    for (let i = 0; i < 300; i++) {
      const owner = turns.next(['many', 'many', 'many', 'one']) as 'many' | 'one';
      time[owner] += ms[owner];
      turns.took(owner, ms[owner]);
    }
    assert.ok(Math.abs(time.many - time.one) <= 200, JSON.stringify(time));
  });

  it('who was away neither catches up nor waits', () => {
    const turns = createTurns();
    for (let i = 0; i < 50; i++) turns.took('a', 100);
    const order: string[] = [];
    for (let i = 0; i < 6; i++) {
      const owner = turns.next(['a', 'b']) ?? '';
      order.push(owner);
      turns.took(owner, 100);
    }
    assert.deepEqual(order, ['b', 'a', 'b', 'a', 'b', 'a']);
    assert.equal(turns.next([]), undefined);
  });
});
