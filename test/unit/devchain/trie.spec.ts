import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  firstKeys,
  type Trie,
  trieDelete,
  trieDiff,
  trieGet,
  trieKeys,
  trieNextKey,
  trieSet,
} from '../../../src/devchain/trie.ts';

/** Short keys over few bytes: prefixes of each other, shared nibbles and the empty key all occur. */
const key = fc
  .array(fc.constantFrom(0x00, 0x01, 0x0f, 0x10, 0x1f, 0xf0, 0xff), { maxLength: 4 })
  .map((bytes) => String.fromCharCode(...bytes));
const value = fc.uint8Array({ maxLength: 40, size: 'max' });
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant('set' as const), key, value }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
);
type Operation = { type: 'set'; key: string; value: Uint8Array } | { type: 'delete'; key: string };

function applyToTrie(trie: Trie, step: Operation): Trie {
  return step.type === 'set' ? trieSet(trie, step.key, step.value) : trieDelete(trie, step.key);
}

function applyToMap(model: Map<string, Uint8Array>, step: Operation): void {
  if (step.type === 'set') model.set(step.key, step.value);
  else model.delete(step.key);
}

function run(steps: readonly Operation[]): { trie: Trie; model: Map<string, Uint8Array> } {
  const model = new Map<string, Uint8Array>();
  let trie: Trie;
  for (const step of steps) {
    trie = applyToTrie(trie, step);
    applyToMap(model, step);
  }
  return { trie, model };
}

describe('devchain/trie', () => {
  it('reads like a map after any sequence of changes', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60, size: 'max' }), fc.array(key), (steps, probes) => {
        const { trie, model } = run(steps);
        for (const probe of [...model.keys(), ...probes]) assert.deepEqual(trieGet(trie, probe), model.get(probe));
        assert.deepEqual([...trieKeys(trie, '')], [...model.keys()].sort());
      }),
    );
  });

  it('walks keys under a prefix and after a key as a sorted list does', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 60, size: 'max' }),
        key,
        fc.option(key, { nil: undefined }),
        fc.nat(5),
        (steps, prefix, after, limit) => {
          const { trie, model } = run(steps);
          const wanted = [...model.keys()]
            .sort()
            .filter((name) => name.startsWith(prefix) && (after === undefined || name > after));
          assert.deepEqual([...trieKeys(trie, prefix, after)], wanted);
          assert.deepEqual(firstKeys(trie, prefix, limit, after), wanted.slice(0, limit));
          if (prefix === '' && after !== undefined) assert.equal(trieNextKey(trie, after), wanted[0]);
        },
      ),
    );
  });

  it('leaves every earlier version as it was', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 30, size: 'max' }),
        fc.array(operation, { maxLength: 30, size: 'max' }),
        (before, after) => {
          const { trie, model } = run(before);
          after.reduce(applyToTrie, trie);
          assert.deepEqual(
            new Map([...trieKeys(trie, '')].map((name) => [name, trieGet(trie, name)])),
            new Map([...model].sort()),
          );
        },
      ),
    );
  });

  it('names exactly the keys that differ', () => {
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 30, size: 'max' }),
        fc.array(operation, { maxLength: 30, size: 'max' }),
        (before, after) => {
          const old = run(before);
          const now = run([...before, ...after]);
          const names = [...new Set([...old.model.keys(), ...now.model.keys()])].sort();
          const differ = names.filter(
            (name) =>
              !Buffer.from(old.model.get(name) ?? 'none').equals(Buffer.from(now.model.get(name) ?? 'none')) ||
              old.model.has(name) !== now.model.has(name),
          );
          assert.deepEqual(
            [...trieDiff(old.trie, now.trie)],
            differ.map((name) => [name, now.model.get(name)]),
          );
        },
      ),
    );
  });

  it('answers the same trie when a change changes nothing', () => {
    const trie = trieSet(trieSet(undefined, 'ab', Uint8Array.of(1)), 'ac', Uint8Array.of(2));
    assert.equal(trieSet(trie, 'ab', Uint8Array.of(1)), trie);
    assert.equal(trieDelete(trie, 'ad'), trie);
    assert.notEqual(trieSet(trie, 'ab', Uint8Array.of(3)), trie);
  });

  it('takes the shape that the keys alone determine', () => {
    const built = trieSet(trieSet(undefined, 'abc', Uint8Array.of(1)), 'abd', Uint8Array.of(2));
    const shrunk = trieDelete(
      trieDelete(trieSet(trieSet(built, 'a', Uint8Array.of(3)), 'xyz', Uint8Array.of(4)), 'a'),
      'xyz',
    );
    assert.equal(shrunk?.end, built.end);
    assert.equal(shrunk?.bitmap, built.bitmap);
    assert.equal(shrunk?.start, 0);
  });
});
