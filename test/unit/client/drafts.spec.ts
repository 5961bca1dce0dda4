import assert from 'node:assert/strict';
import { createDrafter, createTrust } from '../../../src/client/drafts.ts';

describe('client: guesses from the text', () => {
  const cases: Record<string, [readonly number[], number, readonly number[]]> = {
    'nothing repeats': [[1, 2, 3, 4], 4, []],
    'one token alone is no reason': [[1, 2, 1], 4, []],
    'what followed a pair': [[1, 2, 3, 4, 1, 2], 4, [3, 4, 1, 2]],
    'no more than asked for': [[1, 2, 3, 4, 1, 2], 1, [3]],
    'none when none are wanted': [[1, 2, 3, 4, 1, 2], 0, []],
    'the latest place': [[1, 2, 3, 1, 2, 4, 1, 2], 1, [4]],
    'the longer match before the later one': [[7, 1, 2, 3, 9, 1, 2, 4, 7, 1, 2], 1, [3]],
    'a refrain': [[5, 5, 5], 3, [5]],
  };
  for (const [what, [text, most, expected]] of Object.entries(cases)) {
    it(what, () => assert.deepEqual(createDrafter(text).propose(most), expected));
    it(`${what}, heard token by token`, () => {
      const drafter = createDrafter([]);
      for (const token of text) drafter.push(token);
      assert.deepEqual(drafter.propose(most), expected);
    });
  }
});

describe('client: trust in guesses', () => {
  it('grows while all are right, falls to what was right, and never dies', () => {
    const trust = createTrust();
    assert.equal(trust.most(undefined), 4);
    trust.learn(4, 4);
    trust.learn(8, 8);
    assert.equal(trust.most(undefined), 12);
    trust.learn(12, 2);
    assert.equal(trust.most(undefined), 3);
    trust.learn(3, 0);
    trust.learn(1, 0);
    assert.equal(trust.most(undefined), 1);
    trust.learn(0, 0);
    assert.equal(trust.most(undefined), 1, 'nothing was proposed');
  });

  it('never exceeds what the network pays for', () => {
    assert.equal(createTrust().most(0), 0);
    assert.equal(createTrust().most(2), 2);
    assert.equal(createTrust().most(99), 4);
  });
});
