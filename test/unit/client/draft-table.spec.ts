import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type DraftTable, learnDraftTable, readDraftTable } from '../../../src/client/draft-table.ts';
import { createDrafter } from '../../../src/client/drafts.ts';

const VOCAB = 100;
/** After 1 2 comes 3, after 9 2 comes 4, after 2 alone mostly 3. */
const TEXTS = [
  [1, 2, 3, 5],
  [1, 2, 3, 6],
  [1, 2, 3, 5],
  [9, 2, 4, 7],
  [9, 2, 4, 8],
];

function table(bytes: Uint8Array, vocab = VOCAB): DraftTable {
  const read = readDraftTable(bytes, vocab);
  assert.ok(typeof read !== 'string', String(read));
  return read;
}

describe('client: a draft table', () => {
  const { follows } = table(learnDraftTable(TEXTS, 2, VOCAB));
  const cases: Record<string, [readonly number[], number | undefined]> = {
    'what mostly follows': [[2], 3],
    'the longer run says more': [[9, 2], 4],
    'a longer run that is not known is looked at from its end': [[7, 2], 3],
    'among equals the smaller id': [[4], 7],
    'what was seen once says nothing': [[5], undefined],
    'nothing of nothing': [[], undefined],
  };
  for (const [what, [text, next]] of Object.entries(cases)) it(what, () => assert.equal(follows(text), next));

  it('keeps no run that says what a shorter one says already, and is the same for texts in any order', () => {
    const bytes = learnDraftTable(TEXTS, 2, VOCAB);
    assert.deepEqual(learnDraftTable(TEXTS.toReversed(), 2, VOCAB), bytes);
    // Of length one 1 -> 2, 2 -> 3, 3 -> 5, 4 -> 7, 9 -> 2; of length two 9 2 -> 4 alone.
    assert.equal(bytes.length, 11 + 4 + 5 * 2 * 2 + 4 + 3 * 2);
  });

  it('of a large vocabulary has wide ids', () => {
    const texts = [[70_000, 80_000, 70_000, 80_000, 70_000]];
    assert.equal(table(learnDraftTable(texts, 1, 100_000), 100_000).follows([70_000]), 80_000);
  });

  it('bytes that are none are refused with a reason, whatever they are', () => {
    const good = learnDraftTable(TEXTS, 2, VOCAB);
    assert.match(String(readDraftTable(good, 8)), /an id of 9 in a vocabulary of 8/);
    assert.match(String(readDraftTable(good.subarray(0, -1), VOCAB)), /ends too early/);
    assert.match(String(readDraftTable(Uint8Array.of(...good, 0), VOCAB)), /1 bytes too many/);
    assert.match(String(readDraftTable(new Uint8Array(50), VOCAB)), /does not begin/);
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1 }), fc.nat(good.length), (changes, length) => {
        const bytes = good.slice(0, length);
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        const read = readDraftTable(bytes, VOCAB);
        if (typeof read === 'string') return;
        const next = read.follows([1, 2]);
        assert.ok(next === undefined || next < VOCAB);
      }),
    );
  });

  it('guesses one after the other where the text repeats nothing, and leaves repeats to the text', () => {
    const learned = table(learnDraftTable([...TEXTS, [3, 5, 1, 2], [3, 5, 1, 2]], 2, VOCAB));
    assert.deepEqual(createDrafter([50, 1], learned).propose(4), [2, 3, 5, 1]);
    assert.deepEqual(createDrafter([50, 1], learned).propose(0), []);
    assert.deepEqual(createDrafter([1, 2, 7, 60, 61, 1, 2, 7], learned).propose(2), [60, 61]);
    assert.deepEqual(
      createDrafter([50, 51, 52, 50, 51], learned).propose(1),
      [52],
      'nothing in the table: two tokens do',
    );
    const long = createDrafter([60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 1], learned);
    assert.deepEqual(long.propose(2), [2, 3]);
  });
});
