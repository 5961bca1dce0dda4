// The cheapest chain of shard runs through a model. Pure: the same offers in any order give the same route.

import type { NodeId, PeerId, ShardIndex } from '../types/ids.ts';
import { missingShards, type Offer } from './coverage.ts';

export interface RoutedHop {
  readonly node: NodeId;
  readonly peer: PeerId;
  /** Shards [from, to) of the cut. */
  readonly from: ShardIndex;
  readonly to: ShardIndex;
}

export interface RouteRequest {
  readonly offers: readonly Offer[];
  readonly shardCount: number;
  /** Peers that failed and are not to be tried again. */
  readonly excluded: ReadonlySet<PeerId>;
  /** Extra cost of peers that are suspected, in thousandths of a shard's work. */
  readonly penalties: ReadonlyMap<PeerId, number>;
}

export type RouteResult =
  | { readonly ok: true; readonly hops: readonly RoutedHop[] }
  | { readonly ok: false; readonly missing: readonly ShardIndex[] };

/** Costs are thousandths of the work of one shard on an idle node. */
const SHARD_COST = 1_000;
/** A hop (encode, network, decode) weighs as much as one shard: fewer hops win until a peer is twice as loaded. */
const HOP_COST = 1_000;

/**
 * The chain [0, shardCount) of least cost: each hop costs itself plus shards x (1 + load). Ties go to fewer hops, then at each hop to
 * the lower node id, then to the longer run. O(shards^2 x offers). When some shard has no server left, `missing` names it.
 */
export function cheapestRoute(request: RouteRequest): RouteResult {
  const offers = request.offers
    .filter((offer) => !request.excluded.has(offer.peer))
    .toSorted((a, b) => a.node - b.node);
  /** tails[a]: the best way from shard a to the end; built from the end. */
  const tails: Tail[] = [];
  tails[request.shardCount] = { cost: 0, hops: [] };
  for (let from = request.shardCount - 1; from >= 0; from -= 1) {
    const tail = bestTail(from, offers, tails, request.penalties);
    if (tail === undefined) return { ok: false, missing: missingShards(offers, request.shardCount) };
    tails[from] = tail;
  }
  return { ok: true, hops: tails[0]?.hops ?? [] };
}

interface Tail {
  readonly cost: number;
  readonly hops: readonly RoutedHop[];
}

function bestTail(
  from: number,
  offers: readonly Offer[],
  tails: readonly Tail[],
  penalties: ReadonlyMap<PeerId, number>,
): Tail | undefined {
  let best: Tail | undefined;
  for (const offer of offers) {
    for (let to = runEnd(offer, from, tails.length - 1); to > from; to -= 1) {
      const tail = tails[to];
      if (tail === undefined) continue;
      const cost = tail.cost + hopCost(offer, to - from, penalties);
      if (best === undefined || cost < best.cost || (cost === best.cost && tail.hops.length + 1 < best.hops.length)) {
        best = { cost, hops: [hopOf(offer, from, to), ...tail.hops] };
      }
    }
  }
  return best;
}

/** First shard from `from` on that the offer does not serve, at most `limit`. */
function runEnd(offer: Offer, from: number, limit: number): number {
  let end = from;
  while (end < limit && offer.shards.includes(end as ShardIndex)) end += 1;
  return end;
}

function hopCost(offer: Offer, shards: number, penalties: ReadonlyMap<PeerId, number>): number {
  return HOP_COST + (penalties.get(offer.peer) ?? 0) + shards * (SHARD_COST + offer.load);
}

function hopOf(offer: Offer, from: number, to: number): RoutedHop {
  return { node: offer.node, peer: offer.peer, from: from as ShardIndex, to: to as ShardIndex };
}
