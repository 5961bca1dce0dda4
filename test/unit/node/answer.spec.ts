import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { GeneratedToken } from '../../../src/client/generation.ts';
import type { ModelTokenizer } from '../../../src/model/tokenizer.ts';
import { collectAnswer } from '../../../src/node/answer.ts';

/** Token i is the i-th piece; the text stream gives pieces out as they are. */
function tokenizerOf(pieces: readonly string[]): ModelTokenizer {
  return {
    createStream: () => ({ push: (id: number) => pieces[id] ?? '', end: () => '' }),
  } as unknown as ModelTokenizer;
}

async function* generationOf(count: number): AsyncGenerator<GeneratedToken> {
  for (let id = 0; id < count; id += 1) yield { id, position: id } as GeneratedToken;
}

async function answerOf(pieces: readonly string[], stop: readonly string[]) {
  const shown: string[] = [];
  const answer = await collectAnswer(
    generationOf(pieces.length),
    { tokenizer: tokenizerOf(pieces), prompt: [], stop },
    (text) => shown.push(text),
  );
  return { ...answer, shown };
}

/** The first place where a stop text ends, by trying them all. */
function firstComplete(whole: string, stop: readonly string[]): { readonly start: number } {
  for (let end = 1; end <= whole.length; end += 1) {
    const starts = stop.filter((word) => whole.slice(0, end).endsWith(word)).map((word) => end - word.length);
    if (starts.length > 0) return { start: Math.min(...starts) };
  }
  return { start: whole.length };
}

describe('answers: text as it comes', () => {
  it('shows each piece at once when nothing can stop it', async () => {
    const { text, tokens, shown } = await answerOf(['Once', ' upon', ' a', ' time'], []);
    assert.equal(text, 'Once upon a time');
    assert.deepEqual(tokens, [0, 1, 2, 3]);
    assert.deepEqual(shown, ['Once', ' upon', ' a', ' time']);
  });

  it('ends before a stop text that spans tokens, and shows nothing of it', async () => {
    const { text, tokens, shown } = await answerOf(['The e', 'n', 'd. More', ' never'], ['end']);
    assert.equal(text, 'The ');
    assert.deepEqual(tokens, [0, 1, 2]);
    assert.equal(shown.join(''), 'The ');
  });

  it('ends at the stop text that is complete first, of two that end together at the longer one', async () => {
    assert.equal((await answerOf(['bab'], ['bab', 'a'])).text, 'b');
    assert.equal((await answerOf(['c', 'ba'], ['a', 'ba'])).text, 'c');
    assert.equal((await answerOf(['a b c'], ['c', 'b'])).text, 'a ');
  });

  it('what is shown is the answer, however the text is cut into tokens', async () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 4 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 3 }), {
      maxLength: 2,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), stops, async (pieces, stop) => {
        const whole = pieces.join('');
        const { start } = firstComplete(whole, stop);
        const { text, shown } = await answerOf(pieces, stop);
        assert.equal(text, whole.slice(0, start));
        assert.equal(shown.join(''), text);
      }),
    );
  });
});
