import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { chooseJobs, type Waiting } from '../../../src/engine/schedule.ts';

function decode(id: number, slot: number, pool = 'a'): Waiting<string> {
  return { id, place: { pool, slot } };
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
    ['a gap ends a batch', [decode(5, 0), decode(6, 2), decode(7, 1), decode(8, 4)], false, [5, 7, 6]],
    ['the oldest decode chooses the pool', [decode(1, 3, 'b'), decode(2, 0), decode(3, 2, 'b')], false, [3, 1]],
    ['the oldest other job', [other(4), other(2)], false, [4]],
  ];
  for (const [what, queue, afterDecode, expected] of cases)
    it(what, () => {
      assert.deepEqual(chooseJobs(queue, afterDecode), expected);
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
          const chosen = chooseJobs(queue, afterDecode);
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
});
