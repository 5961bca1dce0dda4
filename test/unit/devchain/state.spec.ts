import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createState } from '../../../src/devchain/state.ts';
import { trieKeys } from '../../../src/devchain/trie.ts';

const key = fc.constantFrom('a', 'ab', 'abc', 'b', 'ba', 'c', '');
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('set' as const), key, byte: fc.nat(255) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('clear' as const), key, limit: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constantFrom('begin' as const, 'commit' as const, 'rollback' as const) }),
  },
);

describe('devchain/state', () => {
  it('equals a stack of maps over any sequence of changes and nested transactions', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
        const state = createState(undefined);
        const stack = [new Map<string, number>()];
        const top = () => stack[stack.length - 1] as Map<string, number>;
        for (const action of steps) {
          if (action.type === 'set') {
            state.set(action.key, Uint8Array.of(action.byte));
            top().set(action.key, action.byte);
          } else if (action.type === 'delete') {
            state.delete(action.key);
            top().delete(action.key);
          } else if (action.type === 'clear') {
            const hits = [...top().keys()].filter((name) => name.startsWith(action.key)).sort();
            assert.deepEqual(state.clearPrefix(action.key, action.limit), {
              deleted: Math.min(hits.length, action.limit),
              more: hits.length > action.limit,
            });
            for (const name of hits.slice(0, action.limit)) top().delete(name);
          } else if (action.type === 'begin') {
            state.begin();
            stack.push(new Map(top()));
          } else if (stack.length > 1) {
            const inner = stack.pop() as Map<string, number>;
            if (action.type === 'commit') stack[stack.length - 1] = inner;
            state[action.type]();
          }
          assert.equal(state.depth(), stack.length - 1);
          assert.deepEqual(
            [...trieKeys(state.trie(), '')].map((name) => [name, state.get(name)?.[0]]),
            [...top()].sort(),
          );
        }
      }),
    );
  });

  it('hands out snapshots that later changes do not touch', () => {
    const state = createState(undefined);
    state.set('a', Uint8Array.of(1));
    const before = state.trie();
    state.set('a', Uint8Array.of(2));
    assert.deepEqual(createState(before).get('a'), Uint8Array.of(1));
    assert.equal(state.nextKey('a'), undefined);
    assert.equal(state.nextKey(''), 'a');
  });

  it('refuses to close a transaction that nobody opened', () => {
    assert.throws(() => createState(undefined).commit());
    assert.throws(() => createState(undefined).rollback());
  });
});
