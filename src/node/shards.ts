// `--shards 0,2-3` -> the shards a hoster serves. `auto` is choose.ts.

import type { ShardIndex } from '../types/ids.ts';
import { CodedError } from '../util/errors.ts';

class ShardsError extends CodedError<{ code: 'OPTION_INVALID'; readonly option: 'shards' }> {}

/** Runs such as `0-2` or `0,2-3`. Throws OPTION_INVALID. */
export function parseShards(text: string, shardCount: number): ShardIndex[] {
  const shards = new Set(text.split(',').flatMap((run) => parseRun(run, text, shardCount)));
  return [...shards].sort((a, b) => a - b);
}

function parseRun(run: string, text: string, shardCount: number): ShardIndex[] {
  const match = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(run);
  const from = Number(match?.[1]);
  const to = Number(match?.[2] ?? match?.[1]);
  if (match === null || from > to || to >= shardCount) {
    throw new ShardsError(
      { code: 'OPTION_INVALID', option: 'shards' },
      `--shards ${text}: expected runs of 0-${shardCount - 1} such as 0-2 or 0,2-3, or auto`,
    );
  }
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i) as ShardIndex);
}
