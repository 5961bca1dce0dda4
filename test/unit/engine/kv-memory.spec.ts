import { strict as assert } from 'node:assert';
import { createArrayMemory } from '../../../src/engine/kv-memory.ts';

describe('engine/kv-memory', () => {
  it('as many slots as a pool has grow and shrink in place', () => {
    const memory = createArrayMemory();
    memory.resize(7, 4);
    const first = memory.part(7, 0, 4);
    for (let slots = 2; slots <= 16; slots++) {
      memory.resize(7, slots * 4);
      memory.part(7, (slots - 1) * 4, 4).fill(slots);
    }
    first.fill(1);
    assert.deepEqual([...memory.part(7, 0, 8)], [1, 1, 1, 1, 2, 2, 2, 2]);
    assert.deepEqual([...memory.part(7, 60, 4)], [16, 16, 16, 16]);
    memory.resize(7, 4);
    assert.deepEqual([...first], [1, 1, 1, 1]);
    memory.resize(7, 8);
    assert.deepEqual([...memory.part(7, 0, 8)], [1, 1, 1, 1, 0, 0, 0, 0]);
  });

  it('more than that is moved, and what was there stays', () => {
    const memory = createArrayMemory();
    memory.resize(0, 1);
    memory.part(0, 0, 1).fill(5);
    memory.resize(0, 100);
    assert.deepEqual([memory.part(0, 0, 1)[0], memory.part(0, 99, 1)[0]], [5, 0]);
    memory.resize(0, 0);
    memory.resize(0, 2);
    assert.deepEqual([...memory.part(0, 0, 2)], [0, 0]);
  });
});
