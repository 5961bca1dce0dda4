import assert from 'node:assert/strict';
import { createKeeper, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, MAX_DIALS } from '../../../src/p2p/keeper.ts';
import { silentLog } from '../../../src/util/log.ts';

function story(wanted: string[]) {
  const connected = new Set<string>();
  const dialled: string[] = [];
  let answers = false;
  const keeper = createKeeper({
    wanted: () => wanted,
    isConnected: (target) => connected.has(target),
    dial: async (target) => {
      dialled.push(target);
      if (!answers) throw new Error('no answer');
      if (target === 'no address') return false;
      connected.add(target);
      return true;
    },
    log: silentLog,
  });
  return {
    keeper,
    connected,
    answer: (value: boolean) => {
      answers = value;
    },
    /** What was dialled in a sweep at that time. */
    async at(ms: number) {
      dialled.length = 0;
      await keeper.sweep(ms);
      return [...dialled];
    },
  };
}

describe('keeper', () => {
  it('dials at once, then less and less often, but never stops', async () => {
    const { at } = story(['a']);
    const times: number[] = [];
    for (let ms = 0; ms < 400_000; ms += 500) if ((await at(ms)).length > 0) times.push(ms);
    const pauses = times.slice(1).map((ms, i) => ms - (times[i] ?? 0));
    assert.deepEqual(
      pauses.slice(0, 7),
      [1, 2, 4, 8, 16, 32, 60].map((s) => s * FIRST_PAUSE_MS),
    );
    assert.ok(pauses.slice(6).every((pause) => pause === LONGEST_PAUSE_MS));
  });

  it('leaves connected peers alone and dials at once when one is lost', async () => {
    const { at, answer, connected } = story(['a']);
    answer(true);
    assert.deepEqual(await at(0), ['a']);
    assert.deepEqual(await at(1000), []);
    connected.clear();
    assert.deepEqual(await at(2000), ['a']);
  });

  it('asks again soon when there is no address yet', async () => {
    const { at, answer } = story(['no address']);
    answer(true);
    for (const ms of [0, 1000, 2000]) assert.deepEqual(await at(ms), ['no address']);
  });

  it('does not dial a peer that it is dialling', async () => {
    let dials = 0;
    const ended = Promise.withResolvers<boolean>();
    const keeper = createKeeper({
      wanted: () => ['a'],
      isConnected: () => false,
      dial: () => {
        dials += 1;
        return ended.promise;
      },
      log: silentLog,
    });
    const first = keeper.sweep(0);
    await keeper.sweep(1000);
    assert.equal(dials, 1);
    ended.resolve(true);
    await first;
  });

  it('comes to everybody, however many before them are dead or have no address', async () => {
    for (const answers of [false, undefined]) {
      const all = Array.from({ length: 20 * MAX_DIALS }, (_, i) => `peer ${i}`);
      const dialled = new Set<string>();
      const keeper = createKeeper({
        wanted: () => all,
        isConnected: () => false,
        dial: async (target) => {
          dialled.add(target);
          if (answers === undefined) return false;
          throw new Error('no answer');
        },
        log: silentLog,
      });
      for (let second = 0; second < 20; second += 1) await keeper.sweep(second * 1000);
      assert.equal(dialled.size, all.length);
    }
  });

  it('forgets the failures of a peer that is wanted no more', async () => {
    const wanted = ['a'];
    const { at } = story(wanted);
    await at(0);
    wanted.pop();
    await at(100);
    wanted.push('a');
    assert.deepEqual(await at(200), ['a']);
  });

  it('dials few at a time, each once, and comes to all of them', async () => {
    const all = Array.from({ length: 3 * MAX_DIALS }, (_, i) => `peer ${i}`);
    const pending = new Map<string, () => void>();
    const keeper = createKeeper({
      wanted: () => all,
      isConnected: () => false,
      dial: (target) => {
        assert.ok(!pending.has(target));
        return new Promise((_, reject) => pending.set(target, () => reject(new Error('no answer'))));
      },
      log: silentLog,
    });
    const first = keeper.sweep(0);
    await keeper.sweep(1);
    assert.equal(pending.size, MAX_DIALS);
    for (const end of pending.values()) end();
    await first;
    void keeper.sweep(2);
    assert.equal(pending.size, 2 * MAX_DIALS);
  });
});
