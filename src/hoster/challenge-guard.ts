// Refuses to compute the open challenge for others (protocol.md 12, CHALLENGE_INPUT): who does not hold a shard must not get its answer
// by asking a hoster that does. One guard per session: the challenge may come in pieces.

import type { Rows } from '../engine/types.ts';
import type { ShardIndex } from '../types/ids.ts';

/** That many equal rows are no accident: a single token id equals the challenge's in one of `vocab` prompts. */
const SUSPICIOUS_ROWS = 4;
/** First rows of a session that are looked at. Who alters more of them than may pass gets an answer that is far from the challenge's. */
const KEPT_ROWS = 16;
/** Distance below which rows are "nearly equal", up to a factor that a norm would take out again; f16 rounding of the challenge is at 2e-4, int8 at 1e-2. */
const NEAR = 0.1;

type Row = number | Float32Array;

/**
 * Answers whether a session that takes these rows would have been fed the open challenge of `shard`, from position 0 on. The session's first
 * rows are kept: who knows a newer head than this node may send them before the challenge is known here.
 */
export function createChallengeGuard(
  shard: ShardIndex,
  openChallenge: ((shard: ShardIndex) => Rows | undefined) | undefined,
): (position: number, rows: Rows) => boolean {
  const kept: Row[] = [];

  function keep(position: number, rows: Rows): void {
    // A step may take rows back: what stands in their place now counts.
    if (position < kept.length) kept.length = position;
    if (position !== kept.length) return;
    const count = Math.min(KEPT_ROWS - kept.length, rowCount(rows));
    for (let i = 0; i < count; i += 1) kept.push(copyOf(rowOf(rows, i)));
  }

  return (position, rows) => {
    keep(position, rows);
    const challenge = openChallenge?.(shard);
    if (challenge === undefined) return false;
    const compared = kept.slice(0, rowCount(challenge));
    const equal = compared.filter((row, i) => isSame(row, rowOf(challenge, i))).length;
    return equal >= Math.min(SUSPICIOUS_ROWS, rowCount(challenge));
  };
}

function copyOf(row: Row): Row {
  return typeof row === 'number' ? row : row.slice();
}

function isSame(row: Row, other: Row): boolean {
  return typeof row === 'number' || typeof other === 'number' ? row === other : distance(row, other) < NEAR;
}

function rowCount(rows: Rows): number {
  return rows.kind === 'tokens' ? rows.ids.length : rows.count;
}

/** A token id, or a view of a row. */
function rowOf(rows: Rows, i: number): Row {
  if (rows.kind === 'tokens') return rows.ids[i] ?? -1;
  const width = rows.data.length / rows.count;
  return rows.data.subarray(i * width, (i + 1) * width);
}

/** Sine of the angle between a and b: what is left of one, as part of it, when it is scaled to come nearest to the other. */
function distance(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  b.forEach((value, i) => {
    const other = a[i] ?? 0;
    dot += other * value;
    aa += other ** 2;
    bb += value ** 2;
  });
  return Math.sqrt(Math.max(0, 1 - dot ** 2 / (aa * bb)));
}
