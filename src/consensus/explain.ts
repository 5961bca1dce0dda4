// Why a node has the score that it has: what of its work and its voting is missing, late, false or far from the others (protocol.md 7, 8).
// For people; the scores themselves come from score.ts. Pure, over the same evidence.

import type { Epoch, NodeId, ShardIndex } from '../types/ids.ts';
import { type EpochKind, SHORT_ID_BYTES, type SignedRecord, WITNESSED } from '../types/record.ts';
import { toHex } from '../util/bytes.ts';
import type { NamedRecords } from './evidence.ts';
import { type Challenge, type Evidence, judgeShards, type Rosters } from './score.ts';
import { epochOfKind, type Listed } from './witness.ts';

type CountedKind = 'hc' | 'hr' | 'sc' | 'sr' | 'wa' | 'wb';

export type Fault =
  /** It signed two records for one slot: 0 for the epoch. */
  | { readonly why: 'equivocator' }
  /** Most validators' audits name it bad: 0 for the epoch. */
  | { readonly why: 'accused' }
  /** Nobody who was asked has such a record of it. */
  | { readonly why: 'missing'; readonly kind: CountedKind }
  /** w(r) of |W| named witnesses list it: too few. */
  | { readonly why: 'late'; readonly kind: CountedKind; readonly listed: number; readonly of: number }
  /** Most of all witnesses that are held list it, but not most of those that the proposer named. */
  | { readonly why: 'omitted'; readonly kind: CountedKind; readonly listed: number; readonly of: number }
  /** The reveal does not open the commitment, or says nothing that can be read. */
  | { readonly why: 'mismatch'; readonly kind: 'hc' | 'sc' }
  /** Further from the median than is paid; in whole tolerances. */
  | { readonly why: 'distance'; readonly shard: ShardIndex; readonly taus: number }
  /** Fewer than three show the shard: half pay. */
  | { readonly why: 'unconfirmed'; readonly shard: ShardIndex; readonly voters: number };

/** What is known of an epoch scored, beyond what its evidence names. */
export interface Known {
  /** What the named witnesses list, WA and WB. */
  readonly named: Witnesses;
  /** What all witnesses list that are held, named or not. */
  readonly held: Witnesses;
  /** Any record of a node, whether it is in or not. */
  readonly record: (kind: EpochKind, epoch: Epoch, node: NodeId) => SignedRecord | undefined;
}

export interface Witnesses {
  readonly wa: readonly Listed[];
  readonly wb: readonly Listed[];
}

/** Faults of every node of the roster, the gravest first; empty where all was as it should be. */
export function explain(
  named: NamedRecords,
  evidence: Evidence,
  rosters: Rosters,
  challenge: Challenge,
  known: Known,
): ReadonlyMap<NodeId, readonly Fault[]> {
  const shards = judgeShards(evidence, rosters.current, challenge);
  const before = new Set(rosters.previous.nodes.map(({ id }) => id));
  const found = rosters.current.nodes.map(({ id }, seat): [NodeId, readonly Fault[]] => {
    const missing = (kind: CountedKind): readonly Fault[] =>
      named[kind].has(id) ? [] : [whyNotIn({ kind, node: id, seat }, rosters.current.epoch, known)];
    const couldScore = rosters.previous.live && before.has(id);
    const work = evidence.hosters.get(id);
    const isEmpty = work !== undefined && named.hc.has(id) && named.hr.has(id) && work.sketches.length === 0;
    const isUnopened = couldScore && named.sc.has(id) && named.sr.has(id) && !evidence.reveals.has(id);
    const ofShards = shards.flatMap(({ shard, tau, voters, isConfirmed }): readonly Fault[] => {
      const voter = voters.find(({ node }) => node === id);
      if (voter === undefined || voter.audits) return [];
      const taus = Number(voter.distance / BigInt(tau));
      if (voter.q === 0n) return [{ why: 'distance', shard, taus }];
      return isConfirmed ? [] : [{ why: 'unconfirmed', shard, voters: voters.length }];
    });
    return [
      id,
      [
        ...(named.equivocators.has(id) ? [{ why: 'equivocator' } as const] : []),
        ...(evidence.zeroed.has(id) && !named.equivocators.has(id) ? [{ why: 'accused' } as const] : []),
        ...missing('hc'),
        ...(named.hc.has(id) ? missing('hr') : []),
        ...(isEmpty ? [{ why: 'mismatch', kind: 'hc' } as const] : []),
        ...ofShards,
        ...(couldScore ? [...missing('sc'), ...(named.sc.has(id) ? missing('sr') : [])] : []),
        ...(isUnopened ? [{ why: 'mismatch', kind: 'sc' } as const] : []),
        ...missing('wa'),
        ...(couldScore ? missing('wb') : []),
      ],
    ];
  });
  return new Map(found);
}

interface Place {
  readonly kind: CountedKind;
  readonly node: NodeId;
  readonly seat: number;
}

function whyNotIn({ kind, node, seat }: Place, scored: Epoch, { named, held, record }: Known): Fault {
  const by = (WITNESSED.wa as readonly EpochKind[]).includes(kind) ? 'wa' : 'wb';
  const id = record(kind, epochOfKind(kind, scored), node)?.id;
  const short = id === undefined ? undefined : toHex(id.subarray(0, SHORT_ID_BYTES));
  const listed = timesListed(named[by], kind, seat, short);
  if (listed === 0 && short === undefined) return { why: 'missing', kind };
  const isOmitted = 2 * timesListed(held[by], kind, seat, short) > held[by].length;
  return { why: isOmitted ? 'omitted' : 'late', kind, listed, of: named[by].length };
}

/** How many list this record of the seat, or any one where it is not known which. */
function timesListed(witnesses: readonly Listed[], kind: EpochKind, seat: number, short: string | undefined): number {
  const ids = witnesses.flatMap((listed) => listed.get(kind)?.get(seat) ?? []);
  const times = (wanted: string): number => ids.filter((id) => id === wanted).length;
  return short === undefined ? Math.max(0, ...new Set(ids.map(times))) : times(short);
}
