// `--shards auto`: a node that has not chosen yet says so, listens for one announce period, and takes what the announces of all leave for
// it (routing/placement.ts). Two that choose at once hear each other and find the same order.

import type { Chain } from '../chain/types.ts';
import type { Directory } from '../client/directory.ts';
import { ANNOUNCE_EVERY_BLOCKS, type Announcer } from '../hoster/announce.ts';
import { placeNode } from '../routing/placement.ts';
import type { BlockNumber, NodeId, ShardIndex } from '../types/ids.ts';
import type { ManifestShard } from '../types/model.ts';
import { CodedError } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

class PlacementError extends CodedError<{ code: 'OPTION_INVALID'; readonly option: 'memory' }> {}

export interface ChooseOptions {
  readonly node: NodeId;
  readonly shards: readonly ManifestShard[];
  /** Positions. */
  readonly maxContext: number;
  /** For weights and caches. */
  readonly memoryBytes: number;
}

export interface ChooseDeps {
  readonly chain: Pick<Chain, 'heads'>;
  /** Hears announces, also those of this node. */
  readonly directory: Pick<Directory, 'offers' | 'refresh'>;
  readonly announcer: Pick<Announcer, 'onHead'>;
  readonly log: Log;
}

const MIB = 2 ** 20;
/** Sessions of full length that each shard has cache for: with one alone the second client would be refused. */
const SESSIONS = 2;

/** Throws OPTION_INVALID when not even one shard fits the memory. */
export async function chooseShards(
  options: ChooseOptions,
  { chain, directory, announcer, log }: ChooseDeps,
  signal: AbortSignal,
): Promise<readonly ShardIndex[]> {
  const shardBytes = shardNeeds(options);
  requireRoom(options.memoryBytes, shardBytes);
  if (shardBytes.reduce((sum, bytes) => sum + bytes, 0) <= options.memoryBytes)
    return shardBytes.map((_, i) => i as ShardIndex);
  await listen(chain, announcer, signal);
  // Whoever came to hear of this node in the middle of a period has not spoken yet.
  await directory.refresh(signal);
  const self = { node: options.node, shards: [], memoryBytes: options.memoryBytes };
  const others = directory
    .offers()
    .filter(({ node }) => node !== options.node)
    .map(({ node, shards, coming = [], memoryMiB }) => {
      return { node, shards: [...new Set([...shards, ...coming])], memoryBytes: memoryMiB * MIB };
    });
  const chosen = placeNode(options.node, [self, ...others], shardBytes);
  log.info('shards chosen', { shards: chosen.join(' '), others: others.length });
  return chosen;
}

/** Says that the chosen shards are coming until the job is done: whoever chooses meanwhile takes others. Rejects as the job does, or with the signal's reason. */
export async function whileComing(
  chosen: readonly ShardIndex[],
  { chain, announcer }: Pick<ChooseDeps, 'chain'> & { readonly announcer: Pick<Announcer, 'onHead' | 'offer'> },
  job: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  announcer.offer([], chosen);
  const saying = (async () => {
    const until = AbortSignal.any([signal, done.signal]);
    try {
      for await (const { number } of chain.heads('best', until)) await announcer.onHead(number);
    } catch (error) {
      if (!until.aborted) throw error;
    }
  })();
  try {
    await Promise.race([job, saying.then(() => job)]);
  } finally {
    done.abort();
    await saying.catch(() => undefined);
  }
}

/** Memory of each shard: its weights, and caches. */
export function shardNeeds({ shards, maxContext }: Pick<ChooseOptions, 'shards' | 'maxContext'>): readonly number[] {
  return shards.map(({ memory }) => memory.weights + SESSIONS * maxContext * memory.kvPerToken);
}

/** One announce period, in which everybody alive says what it serves. */
async function listen(
  chain: Pick<Chain, 'heads'>,
  announcer: Pick<Announcer, 'onHead'>,
  signal: AbortSignal,
): Promise<void> {
  let first: BlockNumber | undefined;
  for await (const { number } of chain.heads('best', signal)) {
    first ??= number;
    if (number > first + ANNOUNCE_EVERY_BLOCKS) return;
    await announcer.onHead(number);
  }
}

function requireRoom(memoryBytes: number, shardBytes: readonly number[]): void {
  const least = Math.min(...shardBytes);
  if (memoryBytes >= least) return;
  throw new PlacementError(
    { code: 'OPTION_INVALID', option: 'memory' },
    `--memory ${memoryBytes}: the smallest shard takes ${least} bytes with its caches; give more, or choose --shards`,
  );
}
