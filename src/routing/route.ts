// The fastest chain of shard runs through a model: what a lap of one row over it is expected to take. Pure: the same offers in any
// order give the same route.

import type { NodeId, PeerId, ShardIndex } from '../types/ids.ts';
import { missingShards, type Offer } from './coverage.ts';

export interface RoutedHop {
  readonly node: NodeId;
  readonly peer: PeerId;
  /** Shards [from, to) of the cut. */
  readonly from: ShardIndex;
  readonly to: ShardIndex;
}

/** What was measured of a peer, microseconds; absent where nothing was. */
export interface Pace {
  /** What being a hop adds to a lap beside the work: about a round trip between us and the peer. */
  readonly hopUs?: number;
  /** One row through one shard, waiting included. */
  readonly rowUs?: number;
}

export interface RouteRequest {
  readonly offers: readonly Offer[];
  readonly shardCount: number;
  /** Positions that the session will reserve at each hop. */
  readonly positions: number;
  /** Peers that failed and are not to be tried again. */
  readonly excluded: ReadonlySet<PeerId>;
  /** Extra cost of peers that are suspected, microseconds. */
  readonly penalties: ReadonlyMap<PeerId, number>;
  readonly paces: ReadonlyMap<PeerId, Pace>;
}

export type RouteResult =
  | { readonly ok: true; readonly hops: readonly RoutedHop[] }
  | { readonly ok: false; readonly missing: readonly ShardIndex[] };

/** A peer that was never measured is near enough to be tried where what is known is slow: within one country. */
const UNKNOWN_HOP_US = 10_000;
/** A shard of a small model on a slow processor. */
const UNKNOWN_ROW_US = 2_000;
/** Decode, schedule, encode: whatever the network, a hop is not free. */
const HOP_OVERHEAD_US = 500;
/** From that load on more of it is not told apart: a node that always works takes ten times as long. */
const MAX_LOAD = 900;
const PER_MILLE = 1_000;
const US_PER_SECOND = 1_000_000;
/** A hop without room for the session refuses, and another route is opened: about a second. Announces are some blocks old, so it may have room after all. */
const NO_ROOM_US = 1_000_000;

/**
 * The chain [0, shardCount) of least expected lap: each hop costs its network share and the work of its shards, which queueing stretches by
 * 1 / (1 - load). Links are taken as half of either end's round trip to us, an upper bound by the triangle inequality, so that a hop's
 * share does not depend on its neighbours. Ties go to fewer hops, then at each hop to the lower node id, then to the longer run.
 * O(shards^2 x offers). When some shard has no server left, `missing` names it.
 */
export function cheapestRoute(request: RouteRequest): RouteResult {
  const { shardCount } = request;
  const offers = request.offers
    .filter((offer) => !request.excluded.has(offer.peer))
    .toSorted((a, b) => a.node - b.node)
    .map((offer) => costed(offer, request));
  const tails = { costs: new Float64Array(shardCount + 1), hops: new Uint16Array(shardCount + 1), firsts: [] };
  for (let from = shardCount - 1; from >= 0; from -= 1) setTail(tails, from, offers);
  const reached = Number.isFinite(tails.costs[0]);
  return reached
    ? { ok: true, hops: hopsFrom(tails, shardCount) }
    : { ok: false, missing: missingShards(offers, shardCount) };
}

/** An offer with what it costs, and where each of its runs ends. */
interface Costed extends Pick<Offer, 'node' | 'peer' | 'shards'> {
  readonly hopUs: number;
  readonly shardUs: number;
  /** Longest run that its cache has room for. */
  readonly room: number;
  /** For each shard the first one from there on that is not served. */
  readonly ends: Uint16Array;
}

function costed(offer: Offer, { shardCount, positions, penalties, paces }: RouteRequest): Costed {
  const { node, peer, shards, load, rowsPerSecond, freePositions } = offer;
  const pace = paces.get(peer);
  const told = rowsPerSecond > 0 ? US_PER_SECOND / rowsPerSecond : UNKNOWN_ROW_US;
  const queued = PER_MILLE / (PER_MILLE - Math.min(load, MAX_LOAD));
  return {
    node,
    peer,
    shards,
    hopUs: Math.round(HOP_OVERHEAD_US + (pace?.hopUs ?? UNKNOWN_HOP_US) + (penalties.get(peer) ?? 0)),
    shardUs: Math.round((pace?.rowUs ?? told) * queued),
    room: Math.floor(freePositions / Math.max(1, positions)),
    ends: runEnds(shards, shardCount),
  };
}

function runEnds(shards: readonly ShardIndex[], shardCount: number): Uint16Array {
  const served = new Set(shards);
  const ends = new Uint16Array(shardCount + 1);
  ends[shardCount] = shardCount;
  for (let shard = shardCount - 1; shard >= 0; shard -= 1) {
    ends[shard] = served.has(shard as ShardIndex) ? Math.max(shard + 1, ends[shard + 1] ?? 0) : shard;
  }
  return ends;
}

/** The best way from each shard to the end. */
interface Tails {
  readonly costs: Float64Array;
  readonly hops: Uint16Array;
  /** The first hop of it. */
  readonly firsts: ({ readonly offer: Costed; readonly to: number } | undefined)[];
}

function setTail(tails: Tails, from: number, offers: readonly Costed[]): void {
  const { costs, hops, firsts } = tails;
  let best = Number.POSITIVE_INFINITY;
  let fewest = 0;
  for (const offer of offers) {
    const { hopUs, shardUs, room } = offer;
    for (let to = offer.ends[from] ?? from; to > from; to -= 1) {
      const refused = to - from > room ? NO_ROOM_US : 0;
      const cost = (costs[to] ?? 0) + hopUs + (to - from) * shardUs + refused;
      const count = (hops[to] ?? 0) + 1;
      if (cost > best || (cost === best && count >= fewest)) continue;
      best = cost;
      fewest = count;
      firsts[from] = { offer, to };
    }
  }
  costs[from] = best;
  hops[from] = fewest;
}

function hopsFrom({ firsts }: Tails, shardCount: number): readonly RoutedHop[] {
  const hops: RoutedHop[] = [];
  for (let from = 0; from < shardCount; ) {
    const first = firsts[from];
    if (first === undefined) throw new RangeError(`no hop from shard ${from} on a route that is complete`);
    const { offer, to } = first;
    hops.push({ node: offer.node, peer: offer.peer, from: from as ShardIndex, to: to as ShardIndex });
    from = to;
  }
  return hops;
}
