// Which shards of the cut are served, and by whom. Pure; trusts that offers were verified and are fresh.

import type { NodeId, PeerId, ShardIndex } from '../types/ids.ts';

/** A hoster's standing offer, as its announce says (protocol.md 4, `an`). */
export interface Offer {
  readonly node: NodeId;
  readonly peer: PeerId;
  readonly shards: readonly ShardIndex[];
  /** Per mille of the time in which it works. */
  readonly load: number;
  /** Rows of one session per second through one shard, while nobody else asks; 0 where that is not known. */
  readonly rowsPerSecond: number;
  /** Free cache, in positions of one shard. */
  readonly freePositions: number;
}

/** For each shard 0 .. shardCount-1 the nodes that serve it, ascending. */
export function coverage(
  offers: readonly Pick<Offer, 'node' | 'shards'>[],
  shardCount: number,
): readonly (readonly NodeId[])[] {
  const servers: NodeId[][] = Array.from({ length: shardCount }, () => []);
  for (const { node, shards } of offers.toSorted((a, b) => a.node - b.node)) {
    for (const shard of shards) servers[shard]?.push(node);
  }
  return servers;
}

/** Shards that nobody serves, ascending. */
export function missingShards(
  offers: readonly Pick<Offer, 'node' | 'shards'>[],
  shardCount: number,
): readonly ShardIndex[] {
  return coverage(offers, shardCount).flatMap((nodes, shard) => (nodes.length === 0 ? [shard as ShardIndex] : []));
}
