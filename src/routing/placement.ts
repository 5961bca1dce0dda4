// Which shards a node should serve: water is poured over the shards, each node fills where the level is lowest until its memory is full.
// Pure: from the same announces every node finds the same answer, so nobody has to be asked.

import type { NodeId, ShardIndex } from '../types/ids.ts';

/** A node and what it serves; no shards: it has not chosen yet. */
export interface Placed {
  readonly node: NodeId;
  readonly shards: readonly ShardIndex[];
  /** For weights and caches. */
  readonly memoryBytes: number;
}

/**
 * What the node will serve when all that have not chosen choose in the order of their ids, each what fewest serve. Shards of one level are
 * taken as a run, since fewer hops make a faster route. Empty when no shard fits its memory. O(nodes x shards^2).
 *
 * @param shardBytes memory of each shard of the cut
 */
export function placeNode(
  node: NodeId,
  nodes: readonly Placed[],
  shardBytes: readonly number[],
): readonly ShardIndex[] {
  const levels = levelsOf(nodes, shardBytes.length);
  const choosing = nodes.filter(({ shards }) => shards.length === 0).toSorted((a, b) => a.node - b.node);
  for (const one of choosing) {
    const shards = fill(one.memoryBytes, levels, shardBytes);
    if (one.node === node) return shards;
    for (const shard of shards) levels[shard] = (levels[shard] ?? 0) + 1;
  }
  return nodes.find((one) => one.node === node)?.shards ?? [];
}

/** A node takes a shard, and drops another to have room for it. */
export interface Move {
  readonly node: NodeId;
  readonly drop?: ShardIndex;
  readonly take: ShardIndex;
}

/**
 * The one move that the network gains most by, or undefined while none is worth its reload. A shard is worth 1 / level to each that serves
 * it, so moving from level a to level b gains 1 / (b + 1) - 1 / a: moves end, and none leaves a shard without a server. Of equal gains
 * the lowest node, then the lowest shards. Who finds itself named moves, everybody else waits for its announce.
 *
 * @param reload what is lost while a shard is loaded, as part of what one shard alone is worth until the network has changed again
 */
export function nextMove(nodes: readonly Placed[], shardBytes: readonly number[], reload: number): Move | undefined {
  const levels = levelsOf(nodes, shardBytes.length);
  let best: Move | undefined;
  let most = reload;
  for (const one of nodes.toSorted((a, b) => a.node - b.node)) {
    for (const { move, gain } of movesOf(one, levels, shardBytes)) {
      if (gain <= most) continue;
      most = gain;
      best = move;
    }
  }
  return best;
}

function* movesOf(
  { node, shards, memoryBytes }: Placed,
  levels: readonly number[],
  shardBytes: readonly number[],
): Generator<{ readonly move: Move; readonly gain: number }> {
  if (shards.length === 0) return;
  const free = memoryBytes - shards.reduce((sum, shard) => sum + (shardBytes[shard] ?? 0), 0);
  for (const [shard, level] of levels.entries()) {
    const take = shard as ShardIndex;
    if (shards.includes(take)) continue;
    const worth = 1 / (level + 1);
    const need = (shardBytes[shard] ?? 0) - free;
    if (need <= 0) yield { move: { node, take }, gain: worth };
    else {
      for (const drop of shards) {
        if ((shardBytes[drop] ?? 0) < need) continue;
        // The last server of a shard gains nothing by leaving it: 1 / level is 1 there.
        yield { move: { node, drop, take }, gain: worth - 1 / Math.max(1, levels[drop] ?? 0) };
      }
    }
  }
}

/** How many serve each shard. */
function levelsOf(nodes: readonly Placed[], shardCount: number): number[] {
  const levels = new Array<number>(shardCount).fill(0);
  for (const { shards } of nodes) {
    for (const shard of shards) if (shard < shardCount) levels[shard] = (levels[shard] ?? 0) + 1;
  }
  return levels;
}

function fill(memoryBytes: number, levels: readonly number[], shardBytes: readonly number[]): ShardIndex[] {
  const chosen = new Set<number>();
  let free = memoryBytes;
  for (;;) {
    const next = lowest(chosen, free, levels, shardBytes);
    if (next === undefined) return [...chosen].sort((a, b) => a - b) as ShardIndex[];
    chosen.add(next);
    free -= shardBytes[next] ?? 0;
  }
}

/** The lowest shard that fits; of one level a neighbour of what is chosen, then the first. */
function lowest(
  chosen: ReadonlySet<number>,
  free: number,
  levels: readonly number[],
  shardBytes: readonly number[],
): number | undefined {
  let best: number | undefined;
  for (const [shard, level] of levels.entries()) {
    if (chosen.has(shard) || (shardBytes[shard] ?? 0) > free) continue;
    const lower = best === undefined || level < (levels[best] ?? 0);
    const nearer = best !== undefined && level === levels[best] && isBeside(shard, chosen) && !isBeside(best, chosen);
    if (lower || nearer) best = shard;
  }
  return best;
}

function isBeside(shard: number, chosen: ReadonlySet<number>): boolean {
  return chosen.has(shard - 1) || chosen.has(shard + 1);
}
