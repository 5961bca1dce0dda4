import assert from 'node:assert/strict';
import { createStandings } from '../../../src/chain/substrate/standings.ts';

describe('standings of endpoints', () => {
  let time: number;
  const create = (chance = 0) => createStandings(['a', 'b'], { now: () => time, chance: () => chance });

  beforeEach(() => {
    time = 1_000_000;
  });

  it('prefers the first, and the next while that one rests', () => {
    const standings = create();
    assert.deepEqual(standings.ready(), ['a', 'b']);
    standings.failed('a');
    assert.deepEqual(standings.ready(), ['b']);
    assert.equal(standings.restMs(), 0);
    standings.failed('b');
    assert.deepEqual(standings.ready(), []);
    assert.equal(standings.restMs(), 250);
    time += 250;
    assert.deepEqual(standings.ready(), ['a', 'b']);
  });

  for (const [chance, share] of [
    [0, 0.5],
    [0.999999, 1],
  ] as const) {
    it(`rests twice as long each time, up to 30 s, with chance ${chance}`, () => {
      const standings = create(chance);
      for (const rest of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
        standings.joined('a');
        standings.failed('a');
        standings.failed('b');
        assert.equal(Math.round(standings.restMs()), rest * share);
        time += standings.restMs();
      }
    });
  }

  it('forgets old failures of one that held for a minute, and not of one that held for less', () => {
    for (const [held, rest] of [
      [60_000, 250],
      [59_999, 1000],
    ] as const) {
      const standings = create();
      standings.failed('a');
      standings.failed('a');
      standings.joined('a');
      time += held;
      standings.failed('a');
      standings.failed('b');
      standings.failed('b');
      standings.failed('b');
      assert.equal(standings.restMs(), rest);
    }
  });

  it('calls one recovered that was well at every look for a minute, if it is preferred', () => {
    const standings = create();
    standings.looked('a', true);
    time += 59_999;
    standings.looked('a', true);
    assert.equal(standings.recovered('b'), undefined);
    time += 1;
    assert.equal(standings.recovered('b'), 'a');
    assert.equal(standings.recovered('a'), undefined);
    standings.looked('a', false);
    standings.looked('a', true);
    assert.equal(standings.recovered('b'), undefined);
    standings.looked('b', true);
    time += 60_000;
    assert.equal(standings.recovered('a'), undefined, 'the second is not preferred to the first');
  });
});
