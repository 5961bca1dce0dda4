// Which shards of the cut are served, and by whom. Pure; trusts that offers were verified and are fresh.

import type { NodeId, PeerId, ShardIndex } from '../types/ids.ts';

/** A hoster's standing offer, as its announce says (protocol.md 4, `an`). */
export interface Offer {
  readonly node: NodeId;
  readonly peer: PeerId;
  readonly shards: readonly ShardIndex[];
  /** Per mille of capacity in use. */
  readonly load: number;
}

/** For each shard 0 .. shardCount-1 the nodes that serve it, ascending. */
export function coverage(offers: readonly Offer[], shardCount: number): readonly (readonly NodeId[])[] {
  return Array.from({ length: shardCount }, (_, shard) =>
    offers
      .filter((offer) => offer.shards.includes(shard as ShardIndex))
      .map((offer) => offer.node)
      .sort((a, b) => a - b),
  );
}

/** Shards that nobody serves, ascending. */
export function missingShards(offers: readonly Offer[], shardCount: number): readonly ShardIndex[] {
  return coverage(offers, shardCount).flatMap((nodes, shard) => (nodes.length === 0 ? [shard as ShardIndex] : []));
}
