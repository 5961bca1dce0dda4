// How far apart the blocks of a chain are, by the timestamps in its own state: of the last final ones, asked for once in a while.

import type { BlockNumber } from '../types/ids.ts';
import type { Head } from './types.ts';

/** Of so many blocks the average is told, and asked for again when as many more are there. */
export const MEASURED_BLOCKS = 16;

/** The timestamp of a block in milliseconds; undefined where there is no such block. */
type Timestamp = (block: BlockNumber, signal: AbortSignal | undefined) => Promise<number | undefined>;

export function measurePace(timestamp: Timestamp) {
  let known: { readonly at: BlockNumber; readonly ms: number } | undefined;

  return {
    /** The last known one where the chain cannot be asked: nothing rests on it. Throws the signal's reason alone. */
    async blockMs(head: Head | undefined, signal: AbortSignal | undefined): Promise<number | undefined> {
      // Genesis has no timestamp of its own.
      const first = Math.max(1, (head?.number ?? 0) - MEASURED_BLOCKS) as BlockNumber;
      if (head === undefined || first >= head.number) return undefined;
      const isOld = known === undefined || Math.abs(head.number - known.at) >= MEASURED_BLOCKS;
      if (!isOld) return known?.ms;
      try {
        const [from, to] = await Promise.all([timestamp(first, signal), timestamp(head.number, signal)]);
        if (from === undefined || to === undefined) return known?.ms;
        known = { at: head.number, ms: Math.round((to - from) / (head.number - first)) };
      } catch {
        signal?.throwIfAborted();
      }
      return known?.ms;
    },
  };
}
