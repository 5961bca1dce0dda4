import assert from 'node:assert/strict';
import fc from 'fast-check';
import { callsFromStart, nextCall } from '../../../src/client/pattern.ts';

const ids = fc.array(fc.nat({ max: 99 }), { minLength: 1, maxLength: 300 });

describe('client: the call pattern', () => {
  it('is the prompt in steps of 64, then each token alone, and only the last call draws', () => {
    const prompt = Array.from({ length: 130 }, (_, i) => i);
    assert.deepEqual(
      callsFromStart(prompt, [7, 8]).map((call) => [call.position, call.ids.length, call.draw]),
      [
        [0, 64, false],
        [64, 64, false],
        [128, 2, false],
        [130, 1, false],
        [131, 1, true],
      ],
    );
  });

  it('feeds every token once, in order', () => {
    fc.assert(
      fc.property(ids, fc.array(fc.nat({ max: 99 }), { maxLength: 20 }), (prompt, generated) => {
        const calls = callsFromStart(prompt, generated);
        assert.deepEqual(
          calls.flatMap((call) => call.ids),
          [...prompt, ...generated],
        );
        let next = 0;
        for (const call of calls) {
          assert.equal(call.position, next);
          next += call.ids.length;
        }
      }),
    );
  });

  it('a session that goes on makes the calls that a fresh one would', () => {
    fc.assert(
      fc.property(ids, fc.array(fc.nat({ max: 99 }), { minLength: 1, maxLength: 20 }), (prompt, generated) => {
        const before = callsFromStart(prompt, generated.slice(0, -1));
        const plain = (calls: readonly { position: number; ids: readonly number[] }[]) =>
          calls.map((call) => [call.position, call.ids]);
        const whole = callsFromStart(prompt, generated);
        assert.deepEqual(plain([...before, nextCall(prompt, generated)]), plain(whole));
        assert.deepEqual(nextCall(prompt, generated), whole.at(-1));
      }),
    );
  });
});
