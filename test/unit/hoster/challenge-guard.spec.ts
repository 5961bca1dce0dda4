import assert from 'node:assert/strict';
import type { Rows } from '../../../src/engine/types.ts';
import { createChallengeGuard } from '../../../src/hoster/challenge-guard.ts';
import type { ShardIndex } from '../../../src/types/ids.ts';

const ROWS = 6;
const WIDTH = 4;
const IDS = Int32Array.from([11, 12, 13, 14, 15, 16]);
const HIDDEN = Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i + 1));

function challenge(shard: ShardIndex): Rows {
  return shard === 0 ? { kind: 'tokens', ids: IDS } : { kind: 'hidden', data: HIDDEN, count: ROWS };
}

function tokens(...ids: number[]): Rows {
  return { kind: 'tokens', ids: Int32Array.from(ids) };
}

function hidden(change: (value: number, i: number) => number, from = 0, to = ROWS): Rows {
  return { kind: 'hidden', data: HIDDEN.map(change).subarray(from * WIDTH, to * WIDTH), count: to - from };
}

/** The answers to rows that follow each other from position 0. */
function feed(shard: number, ...pieces: readonly Rows[]): boolean[] {
  const guard = createChallengeGuard(shard as ShardIndex, challenge);
  let position = 0;
  return pieces.map((rows) => {
    const answer = guard(position, rows);
    position += rows.kind === 'tokens' ? rows.ids.length : rows.count;
    return answer;
  });
}

describe('hoster: the open challenge is not run for others', () => {
  it('rows that were taken back do not hide those in their place', () => {
    const guard = createChallengeGuard(0 as ShardIndex, challenge);
    const at = (position: number, ...ids: number[]) => guard(position, tokens(...ids));
    assert.deepEqual([at(0, 11, 99, 98), at(1, 12, 13), at(3, 14)], [false, false, true]);
  });

  const table: Record<string, [boolean[], boolean[]]> = {
    'all of it': [feed(0, tokens(...IDS)), [true]],
    'its first four rows': [feed(0, tokens(11, 12, 13, 14)), [true]],
    'row by row': [feed(0, tokens(11), tokens(12), tokens(13), tokens(14)), [false, false, false, true]],
    'with something behind it': [feed(0, tokens(11, 12, 13, 14, 99)), [true]],
    'a prompt that begins with the same three tokens': [feed(0, tokens(11, 12, 13, 99), tokens(14)), [false, false]],
    'the same tokens one place later': [feed(0, tokens(1, 11, 12, 13, 14, 15)), [false]],
    'all but one of its tokens': [feed(0, tokens(99, 12, 13, 14, 15, 16)), [true]],
    'hidden rows, the first ones bent': [
      feed(
        1,
        hidden((value, i) => (i < 2 * WIDTH ? value * (1 + 0.3 * (-1) ** i) : value)),
      ),
      [true],
    ],
    'hidden rows as they are': [
      feed(
        1,
        hidden((value) => value),
      ),
      [true],
    ],
    'hidden rows made larger': [
      feed(
        1,
        hidden((value) => value * 1.2),
      ),
      [true],
    ],
    'hidden rows rounded to f16': [
      feed(
        1,
        hidden((value) => Math.f16round(value)),
      ),
      [true],
    ],
    'hidden rows with a little noise': [
      feed(
        1,
        hidden((value, i) => value * (1 + 0.02 * (-1) ** i)),
      ),
      [true],
    ],
    'other hidden rows': [
      feed(
        1,
        hidden((_, i) => Math.cos(i * 3)),
      ),
      [false],
    ],
    'hidden rows in pieces': [
      feed(
        1,
        hidden((v) => v, 0, 2),
        hidden((v) => v, 2, 4),
      ),
      [false, true],
    ],
  };
  for (const [what, [answers, expected]] of Object.entries(table)) {
    it(what, () => assert.deepEqual(answers, expected));
  }

  for (const shard of [0, 1] as ShardIndex[]) {
    it(`rows that came before the challenge was known here count: shard ${shard}`, () => {
      let known = false;
      const guard = createChallengeGuard(shard, (asked) => (known ? challenge(asked) : undefined));
      const rows = (from: number, to: number) =>
        shard === 0 ? tokens(...IDS.subarray(from, to)) : hidden((value) => value, from, to);
      const early = rows(0, 1);
      assert.equal(guard(0, early), false);
      // The memory of a frame may be used again.
      if (early.kind === 'hidden') early.data.fill(0);
      known = true;
      assert.equal(guard(1, rows(1, 3)), false);
      assert.equal(guard(3, rows(3, 6)), true);
      assert.equal(guard(6, shard === 0 ? tokens(1) : hidden((value) => value, 5, 6)), true);
    });
  }

  it('nothing is refused while no challenge is open', () => {
    assert.equal(createChallengeGuard(0 as ShardIndex, () => undefined)(0, tokens(...IDS)), false);
    assert.equal(createChallengeGuard(0 as ShardIndex, undefined)(0, tokens(...IDS)), false);
  });
});
