// Evidence in, scores out (protocol.md 8): integers only, one floor per division as written, order is roster order. Everybody who has the
// same evidence computes the same numbers; nothing here knows who asks.

import { type NodeId, ONE, type ShardIndex } from '../types/ids.ts';
import type { Policy, Roster } from '../types/subnet.ts';
import { compareBytes, u16le, u32le } from '../util/bytes.ts';
import { sha256, tag } from '../util/hash.ts';
import type { NodeScore } from './commitment.ts';
import { absolute, isqrt, medianVector, sum } from './integer.ts';

/** Below three voters nobody can confirm a shard's reference: quality is halved, and pay never divides by less (8.3, 8.4). */
const FULL_QUORUM = 3;
/** Auditors drawn per shard (8.1): one seat more than a lone honest hoster could outvote. */
const DRAWN_AUDITORS = 3;
/** Beyond this many tolerances an output is another computation (8.3). */
const CUTOFF_TAUS = 16n;
/** Presence is counted in halves: two witnesses of e and e-1 (8.5). */
const FULL_PRESENCE = 2n;

/** What one node with a counted `hc` or `hr` showed. */
export interface HosterEvidence {
  readonly audits: boolean;
  /** Empty when the reveal is missing, does not match or does not parse. */
  readonly sketches: readonly { readonly shard: ShardIndex; readonly entries: readonly bigint[] }[];
}

/** The counted records of an epoch, opened and read (consensus/evidence.ts makes it from records). */
export interface Evidence {
  /** Every node whose `hc` is in, and, as having shown nothing, every node whose `hr` is in without. */
  readonly hosters: ReadonlyMap<NodeId, HosterEvidence>;
  /** Scores of e-1 by every node whose `sc` and matching `sr` are in. */
  readonly reveals: ReadonlyMap<NodeId, readonly NodeScore[]>;
  /** w of 8.5 per node: 0, 1 or 2; absent is 0. */
  readonly presence: ReadonlyMap<NodeId, number>;
  /** Proven equivocators, and nodes that more than n/2 validators' audits name bad (4, 8.6). */
  readonly zeroed: ReadonlySet<NodeId>;
}

export interface Rosters {
  /** roster(e). */
  readonly current: Roster;
  /** roster(e-1). */
  readonly previous: Roster;
}

/** What the rule needs of the model and the epoch's seed. */
export interface Challenge {
  readonly seed: Uint8Array;
  /** tau per place of the cut, in sketch units. */
  readonly taus: readonly number[];
}

/** Scores above 0, in roster order, each at most ONE. */
export function score(
  evidence: Evidence,
  rosters: Rosters,
  challenge: Challenge,
  policy: Pick<Policy, 'hosterShare' | 'attestorShare'>,
): readonly NodeScore[] {
  const work = hosterPay(evidence, rosters.current, challenge);
  const votes = attestorPay(evidence, rosters);
  const allWork = sum(work.values());
  const allVotes = sum(votes.values());
  return rosters.current.nodes
    .map(({ id }) => ({
      nodeId: id,
      score: forfeits(id, evidence, work)
        ? 0n
        : share(policy.hosterShare, work.get(id), allWork) + share(policy.attestorShare, votes.get(id), allVotes),
    }))
    .filter((one) => one.score > 0n);
}

/** q of one sketch against the reference (8.3), before the halving. */
export function quality(entries: readonly bigint[], reference: readonly bigint[], tau: number): bigint {
  return qualityAt(distanceOf(entries, reference), tau);
}

function qualityAt(distance: bigint, tau: number): bigint {
  const tolerance = BigInt(tau);
  return distance <= CUTOFF_TAUS * tolerance ? (ONE * tolerance) / (tolerance + distance) : 0n;
}

/** d of 8.3, in sketch units. */
function distanceOf(entries: readonly bigint[], reference: readonly bigint[]): bigint {
  return isqrt(sum(entries.map((entry, i) => (entry - (reference[i] ?? 0n)) ** 2n)));
}

/** a of one reveal against the median (8.5): 1 - sum|S - med| / sum(S + med). */
export function agreement(scores: readonly bigint[], reference: readonly bigint[]): bigint {
  const apart = sum(scores.map((value, i) => absolute(value - (reference[i] ?? 0n))));
  const both = sum(scores) + sum(reference);
  return both === 0n ? 0n : (ONE * (both - apart)) / both;
}

/** The validators whose audits count on a shard (8.1): the three smallest lots. */
export function drawnAuditors(roster: Roster, seed: Uint8Array, shard: ShardIndex): ReadonlySet<NodeId> {
  const lots = roster.validators.map((node) => ({
    node,
    lot: sha256(tag('tessera/audit/1'), seed, u16le(shard), u32le(node)),
  }));
  lots.sort((a, b) => compareBytes(a.lot, b.lot));
  return new Set(lots.slice(0, DRAWN_AUDITORS).map(({ node }) => node));
}

/** What 8.2 and 8.3 say of one shard. */
export interface ShardJudgement {
  readonly shard: ShardIndex;
  /** In sketch units. */
  readonly tau: number;
  /** G_k in roster order: how far each is from the median, and q. */
  readonly voters: readonly {
    readonly node: NodeId;
    readonly audits: boolean;
    readonly distance: bigint;
    readonly q: bigint;
  }[];
  /** Enough voters to confirm each other: else q is halved. */
  readonly isConfirmed: boolean;
}

export function judgeShards(evidence: Evidence, roster: Roster, challenge: Challenge): readonly ShardJudgement[] {
  return challenge.taus.map((tau, k) => {
    const group = groupOf(evidence, roster, challenge.seed, k as ShardIndex);
    const reference = medianVector(group.map(({ entries }) => entries));
    const isConfirmed = group.length >= FULL_QUORUM;
    const voters = group.map(({ node, audits, entries }) => {
      const distance = distanceOf(entries, reference);
      const q = qualityAt(distance, tau);
      return { node, audits, distance, q: isConfirmed ? q : q / 2n };
    });
    return { shard: k as ShardIndex, tau, voters, isConfirmed };
  });
}

/** H_i (8.4): what each hoster earned over all shards, in units of a whole shard's pay. */
function hosterPay(evidence: Evidence, roster: Roster, challenge: Challenge): ReadonlyMap<NodeId, bigint> {
  const pay = new Map<NodeId, bigint>();
  for (const { voters } of judgeShards(evidence, roster, challenge)) {
    const earned = voters.filter(({ audits }) => !audits);
    const divisor = atLeast(sum(earned.map(({ q }) => q)), BigInt(FULL_QUORUM) * ONE);
    for (const { node, q } of earned) pay.set(node, (pay.get(node) ?? 0n) + (ONE * q) / divisor);
  }
  return pay;
}

/** G_k (8.1), in roster order. */
function groupOf(evidence: Evidence, roster: Roster, seed: Uint8Array, shard: ShardIndex) {
  const drawn = drawnAuditors(roster, seed, shard);
  return roster.nodes.flatMap(({ id }) => {
    const hoster = evidence.hosters.get(id);
    const entries = hoster?.sketches.find((one) => one.shard === shard)?.entries;
    if (hoster === undefined || entries === undefined || evidence.zeroed.has(id)) return [];
    return hoster.audits && !drawn.has(id) ? [] : [{ node: id, audits: hoster.audits, entries }];
  });
}

/** v_i (8.5): agreement of revealed scores with their median, times presence. */
function attestorPay(evidence: Evidence, { current, previous }: Rosters): ReadonlyMap<NodeId, bigint> {
  const before = new Set(previous.nodes.map(({ id }) => id));
  const couldScore = (node: NodeId): boolean => previous.live && before.has(node);
  const vectors = new Map<NodeId, readonly bigint[]>();
  for (const { id } of current.nodes) {
    const revealed = evidence.reveals.get(id);
    if (revealed === undefined || !couldScore(id) || evidence.zeroed.has(id)) continue;
    if (revealed.every(({ nodeId }) => before.has(nodeId))) vectors.set(id, spread(revealed, previous));
  }
  const reference = vectors.size === 0 ? [] : medianVector([...vectors.values()]);
  return new Map(
    current.nodes.map(({ id }) => {
      const vector = vectors.get(id);
      const a = couldScore(id) ? (vector === undefined ? 0n : agreement(vector, reference)) : ONE;
      return [id, (a * BigInt(evidence.presence.get(id) ?? 0)) / FULL_PRESENCE];
    }),
  );
}

/** Scores over all seats of roster(e-1); missing entries are 0. */
function spread(scores: readonly NodeScore[], roster: Roster): readonly bigint[] {
  const byNode = new Map(scores.map(({ nodeId, score: value }) => [nodeId, value]));
  return roster.nodes.map(({ id }) => byNode.get(id) ?? 0n);
}

/**
 * A node scores 0 for the whole epoch when it is proven false, and when it committed to work or revealed some and has nothing good to show
 * for it: no reveal, one that does not match or whose commitment was late, or nothing within the cutoff on any shard (protocol.md 6, 8.6).
 * Its voting does not pay for that.
 */
function forfeits(node: NodeId, evidence: Evidence, work: ReadonlyMap<NodeId, bigint>): boolean {
  if (evidence.zeroed.has(node)) return true;
  const hoster = evidence.hosters.get(node);
  return hoster !== undefined && !hoster.audits && (work.get(node) ?? 0n) === 0n;
}

/** floor(part of `whole`), 0 when the sum is 0 (8.6). */
function share(whole: bigint, part: bigint | undefined, all: bigint): bigint {
  return all === 0n ? 0n : (whole * (part ?? 0n)) / all;
}

function atLeast(value: bigint, least: bigint): bigint {
  return value < least ? least : value;
}
