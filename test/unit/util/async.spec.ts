import assert from 'node:assert/strict';
import { raceSignal } from '../../../src/util/async.ts';

describe('a promise and a signal', () => {
  const why = new Error('enough');

  it('whichever comes first', async () => {
    assert.equal(await raceSignal(Promise.resolve(7), new AbortController().signal), 7);
    const stop = new AbortController();
    const waiting = raceSignal(new Promise(() => undefined), stop.signal);
    stop.abort(why);
    await assert.rejects(waiting, why);
  });

  for (const [when, signal] of [
    ['before', AbortSignal.abort(why)],
    ['meanwhile', undefined],
  ] as const) {
    it(`a promise that fails after the signal aborted ${when} is no unhandled rejection`, async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown) => unhandled.push(reason);
      const before = process.rawListeners('unhandledRejection');
      process.removeAllListeners('unhandledRejection').on('unhandledRejection', note);
      try {
        const stop = new AbortController();
        const late = Promise.withResolvers<never>();
        const raced = raceSignal(late.promise, signal ?? stop.signal);
        stop.abort(why);
        await assert.rejects(raced, why);
        late.reject(new Error('too late'));
        await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(unhandled, []);
      } finally {
        process.off('unhandledRejection', note);
        for (const listener of before) process.on('unhandledRejection', listener as (reason: unknown) => void);
      }
    });
  }
});
