import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { type Candidates, GREEDY, type Sampling, sampleToken, uniform } from '../../../src/model/sample.ts';

const top: Candidates = { ids: Int32Array.of(7, 3, 9, 1), values: Float32Array.of(2, 1, 0, -1), logSumExp: 2.5 };
const hot: Sampling = { temperature: 1, topK: 0, topP: 1, seed: 1n };

/** Shares of the candidates over many positions. */
function shares(sampling: Sampling, draws = 4000): Map<number, number> {
  const counts = new Map<number, number>();
  for (let position = 0; position < draws; position++) {
    const { id } = sampleToken(top, sampling, position);
    counts.set(id, (counts.get(id) ?? 0) + 1 / draws);
  }
  return counts;
}

describe('model/sample', () => {
  // Computed with Python's hashlib from protocol.md 12.
  it('draws the numbers of the protocol', () => {
    const vectors: readonly (readonly [bigint, number, number])[] = [
      [0n, 0, 0.5225987657712362],
      [1n, 0, 0.8892474719051501],
      [0n, 1, 0.7617588347750968],
      [42n, 17, 0.7326014297917273],
      [18446744073709551615n, 4294967295, 0.24559749805915954],
    ];
    for (const [seed, position, expected] of vectors) assert.equal(uniform(seed, position), expected);
  });

  it('takes the best at temperature 0', () => {
    assert.deepEqual(sampleToken(top, GREEDY, 5), { id: 7, logprob: -0.5 });
  });

  it('draws each candidate by its probability', () => {
    const found = shares(hot);
    const mass = [2, 1, 0, -1].map(Math.exp);
    const sum = mass.reduce((a, b) => a + b, 0);
    for (const [i, id] of [7, 3, 9, 1].entries())
      assert.ok(Math.abs((found.get(id) ?? 0) - (mass[i] ?? 0) / sum) < 0.03, `token ${id}`);
  });

  it('is sharper when cold and flatter when hot', () => {
    const best = (temperature: number) => shares({ ...hot, temperature }).get(7) ?? 0;
    assert.ok(best(0.3) > best(1) && best(1) > best(3));
  });

  it('top-k leaves the best k', () => {
    assert.deepEqual([...shares({ ...hot, temperature: 5, topK: 2 }).keys()].toSorted(), [3, 7]);
    assert.deepEqual([...shares({ ...hot, topK: 1 }).keys()], [7]);
  });

  it('top-p leaves the smallest set with that mass', () => {
    // Shares at temperature 1: 0.644, 0.237, 0.087, 0.032.
    assert.deepEqual([...shares({ ...hot, topP: 0.6 }).keys()], [7]);
    assert.deepEqual([...shares({ ...hot, topP: 0.7 }).keys()].toSorted(), [3, 7]);
    assert.equal(shares({ ...hot, topP: 0.99 }).size, 4);
  });

  it('the same seed and position give the same token, and the answer is a candidate with its own logprob', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.nat(100_000),
        fc.double({ min: 0, max: 10, noNaN: true }),
        fc.nat(6),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (seed, position, temperature, topK, topP) => {
          const sampling = { temperature, topK, topP, seed };
          const found = sampleToken(top, sampling, position);
          assert.deepEqual(sampleToken(top, sampling, position), found);
          const place = top.ids.indexOf(found.id);
          assert.ok(place >= 0 && (topK === 0 || place < topK));
          assert.equal(found.logprob, (top.values[place] ?? 0) - top.logSumExp);
        },
      ),
    );
  });

  it('no candidates are a mistake of the caller', () => {
    const none = { ids: new Int32Array(), values: new Float32Array(), logSumExp: 0 };
    assert.throws(() => sampleToken(none, GREEDY, 0), RangeError);
    assert.throws(() => sampleToken(none, hot, 0), RangeError);
  });
});
