// Where the rows of a batch stand, as each kind of attention on a device is told it.

import type { DeviceProfile } from '../../graph/linear.ts';
import { PORT } from '../../graph/llama.ts';
import { PLACE_PORT } from '../../graph/plain-attention.ts';
import type { NativeTensors } from './runtime.ts';

export interface RowPlaces {
  /** Lengths after this run, one per sequence. */
  readonly totals: readonly number[];
  /** Rows per sequence, the last ones. */
  readonly rows: number;
  /** Positions of a cache. */
  readonly capacity: number;
  readonly kvHeads: number;
}

export function placesOf(profile: DeviceProfile, places: RowPlaces): NativeTensors {
  return profile === 'half' ? lengthsOf(places) : cellsOf(places);
}

/** The two length inputs of fused attention. */
function lengthsOf({ totals }: RowPlaces): NativeTensors {
  const before = Int32Array.from(totals, (total) => total - 1);
  return {
    [PORT.seqlens]: { type: 'i32', dims: [totals.length], place: before },
    [PORT.total]: { type: 'i32', dims: [1], place: Int32Array.of(Math.max(...totals)) },
  };
}

/** Each row's position, and where its keys and values are written. */
function cellsOf({ totals, rows, capacity, kvHeads }: RowPlaces): NativeTensors {
  const count = totals.length;
  const positions = totals.flatMap((total) => Array.from({ length: rows }, (_, row) => BigInt(total - rows + row)));
  const cells = new BigInt64Array(count * kvHeads * rows * 3);
  for (let cell = 0; cell < count * kvHeads * rows; cell++) {
    const [sequence, head] = [Math.floor(cell / (kvHeads * rows)), Math.floor(cell / rows) % kvHeads];
    const position = positions[sequence * rows + (cell % rows)] ?? 0n;
    cells.set([BigInt(sequence), BigInt(head), position], 3 * cell);
  }
  const columns = BigInt64Array.from({ length: capacity }, (_, column) => BigInt(column));
  return {
    [PLACE_PORT.positions]: { type: 'i64', dims: [count, rows], place: BigInt64Array.from(positions) },
    [PLACE_PORT.columns]: { type: 'i64', dims: [capacity], place: columns },
    [PLACE_PORT.cells]: { type: 'i64', dims: [count, kvHeads, rows, 3], place: cells },
  };
}
