// Refuses to compute the open challenge for others (protocol.md 12, CHALLENGE_INPUT): who does not hold a shard must not get its answer
// by asking a hoster that does. One guard per session: the challenge may come in pieces.

import type { Rows } from '../engine/types.ts';
import type { ShardIndex } from '../types/ids.ts';

/** That many rows in a row are no accident: a single token id equals the challenge's in one of `vocab` prompts. */
const SUSPICIOUS_ROWS = 4;
/** Relative L2 distance below which rows are "nearly equal"; f16 rounding of the challenge is at 2e-4, int8 at 1e-2. */
const NEAR = 0.1;

/** Answers whether these rows continue a session that feeds the open challenge of `shard`, from position 0 on. */
export function createChallengeGuard(
  shard: ShardIndex,
  openChallenge: ((shard: ShardIndex) => Rows | undefined) | undefined,
): (position: number, rows: Rows) => boolean {
  let matched = 0;
  return (position, rows) => {
    const challenge = openChallenge?.(shard);
    if (challenge === undefined || position !== matched) return false;
    matched += countMatches(rows, challenge, position);
    return matched >= Math.min(SUSPICIOUS_ROWS, rowCount(challenge));
  };
}

/** Rows at the beginning of `rows` that equal those of the challenge from `at` on. */
function countMatches(rows: Rows, challenge: Rows, at: number): number {
  const limit = Math.min(rowCount(rows), rowCount(challenge) - at);
  let count = 0;
  while (count < limit && isSame(rows, count, challenge, at + count)) count += 1;
  return count;
}

function isSame(rows: Rows, i: number, challenge: Rows, j: number): boolean {
  if (rows.kind === 'tokens' || challenge.kind === 'tokens') {
    return rows.kind === 'tokens' && challenge.kind === 'tokens' && rows.ids[i] === challenge.ids[j];
  }
  return distance(rowOf(rows, i), rowOf(challenge, j)) < NEAR;
}

function rowCount(rows: Rows): number {
  return rows.kind === 'tokens' ? rows.ids.length : rows.count;
}

function rowOf(rows: Rows & { kind: 'hidden' }, i: number): Float32Array {
  const width = rows.data.length / rows.count;
  return rows.data.subarray(i * width, (i + 1) * width);
}

/** |a - b| / |b|. */
function distance(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  b.forEach((value, i) => {
    difference += ((a[i] ?? 0) - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}
