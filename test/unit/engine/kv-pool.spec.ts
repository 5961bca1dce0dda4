import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { createArrayMemory } from '../../../src/engine/kv-memory.ts';
import { createKvPool, type KvPool } from '../../../src/engine/kv-pool.ts';

const SHAPE = { from: 2, to: 4, kvHeads: 2, headDim: 4, capacity: 3 };
const SLOT = 2 * 3 * 4;

function fill(pool: KvPool<Float32Array>, cache: number): void {
  for (const block of [2, 3]) {
    const { keys, values } = pool.view(block, pool.slotOf(cache), 1);
    keys.fill(cache * 10 + block);
    values.fill(-(cache * 10 + block));
  }
}

function assertFilled(pool: KvPool<Float32Array>, cache: number): void {
  for (const block of [2, 3]) {
    const { keys, values } = pool.view(block, pool.slotOf(cache), 1);
    assert.ok(keys.length === SLOT && keys.every((value) => value === cache * 10 + block));
    assert.ok(values.length === SLOT && values.every((value) => value === -(cache * 10 + block)));
  }
}

describe('engine/kv-pool', () => {
  it('a new slot is zero, and a batch is a part of the memory', () => {
    const pool = createKvPool(SHAPE, createArrayMemory());
    pool.add(1);
    pool.add(2);
    assert.ok(pool.view(2, 0, 2).keys.every((value) => value === 0));
    fill(pool, 2);
    assert.deepEqual(pool.view(3, 0, 2).values.subarray(SLOT), pool.view(3, 1, 1).values);
    assert.equal(pool.view(3, 0, 2).values[SLOT], -23);
    assert.equal(pool.view(3, 0, 2).values[0], 0);
  });

  it('a slot that is used again is zero again', () => {
    const pool = createKvPool(SHAPE, createArrayMemory());
    pool.add(1);
    fill(pool, 1);
    pool.remove(1);
    pool.add(2);
    assert.ok(pool.view(2, 0, 1).keys.every((value) => value === 0));
  });

  it('what is not there cannot be found', () => {
    const pool = createKvPool(SHAPE, createArrayMemory());
    assert.throws(() => pool.slotOf(1), RangeError);
    assert.throws(() => pool.remove(1), RangeError);
  });

  it('whoever comes and goes, the others keep their cache and slots have no holes', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 40 }), (toggles) => {
        const pool = createKvPool(SHAPE, createArrayMemory());
        const present = new Set<number>();
        for (const cache of toggles) {
          if (present.delete(cache)) pool.remove(cache);
          else {
            pool.add(cache);
            fill(pool, cache);
            present.add(cache);
          }
          assert.equal(pool.size, present.size);
          assert.deepEqual(
            [...present].map((id) => pool.slotOf(id)).toSorted(),
            [...present].map((_, slot) => slot),
          );
          for (const id of present) assertFilled(pool, id);
        }
      }),
    );
  });
});
