// Is a proposal on chain what the records say (protocol.md 9)? Everything it names is found again, among what is held or by asking the
// proposer and others, and computed anew. Trusts the proposer in nothing: what it says only has to lead to the root on chain.

import type { Submission as Submitted } from '../chain/types.ts';
import { type AbstainCode, scoresAgree } from '../consensus/attest.ts';
import { quorumOf } from '../consensus/witness.ts';
import type { Epoch, NodeId, PeerId } from '../types/ids.ts';
import type { SignedRecord, Witness } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { equalBytes, fromHex, toHex } from '../util/bytes.ts';
import {
  decodeArgs,
  type EvidenceArgs,
  type EvidenceIds,
  type EvidenceKind,
  evidenceRoot,
  NO_IDS,
  PLACES,
} from '../wire/evidence.ts';
import {
  countMembers,
  type Dossier,
  type Finding,
  idsOf,
  knownProof,
  type Members,
  membersOf,
  NO_RECORDS,
  recordsOf,
} from './dossier.ts';
import type { NamedIds } from './evidence-protocol.ts';
import type { Gather } from './gather.ts';
import type { Proposals } from './proposal.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';
import type { Rules } from './rules.ts';

export type Judgement =
  | ({ readonly ok: true; readonly root: Uint8Array } & Finding)
  | { readonly ok: false; readonly code: AbstainCode };

export interface Voter {
  /** The evidence behind what stands on chain, or why it cannot be had. */
  examine(scored: Epoch, facts: EpochFacts, submitted: Submitted, signal: AbortSignal): Promise<Dossier | AbstainCode>;
  /** Whether to attest to what stands on chain for the scores of an epoch. */
  judge(scored: Epoch, facts: EpochFacts, submitted: Submitted, signal: AbortSignal): Promise<Judgement>;
}

export interface VoterDeps {
  readonly records: Records;
  readonly rules: Pick<Rules, 'compute'>;
  readonly gather: Gather;
  readonly proposals: Pick<Proposals, 'hasQuorum'>;
  /** Roster peers that answer, others than this node; best first. */
  readonly peersOf: (epoch: Epoch) => readonly PeerId[];
}

/** Peers asked for the ids behind a proposal: the proposer and some that attested. */
const MAX_NAMED_PEERS = 4;

/** What a voter looks at. */
interface Case {
  readonly scored: Epoch;
  readonly facts: EpochFacts;
  readonly submitted: Submitted;
  readonly args: EvidenceArgs;
}

/** Completes a short id. */
type Full = (kind: EvidenceKind, short: string) => Uint8Array | undefined;

export function createVoter({ records, rules, gather, proposals, peersOf }: VoterDeps): Voter {
  function judgeEmpty({ scored, facts: { roster }, submitted, args }: Case): Dossier | AbstainCode {
    if (!equalBytes(args.root, evidenceRoot(roster, NO_IDS))) return 'PROPOSAL_ROOT_MISMATCH';
    if (submitted.scores.length > 0) return 'PROPOSAL_SCORES_DIFFER';
    if (roster.live && proposals.hasQuorum(scored, roster)) return 'PROPOSAL_OMITS';
    return { ids: NO_IDS, named: NO_RECORDS };
  }

  async function find(proposal: Case, signal: AbortSignal): Promise<Dossier | AbstainCode> {
    if (!areQuorums(proposal.args, proposal.facts.roster)) return 'PROPOSAL_FEW_WITNESSES';
    const held = heldEvidence(proposal);
    return typeof held === 'string' ? fetchedEvidence(proposal, held, signal) : held;
  }

  const examine: Voter['examine'] = async (scored, facts, submitted, signal) => {
    const decoded = decodeArgs(submitted.args, facts.roster.nodes.length);
    if (!decoded.ok || decoded.args.epoch !== scored) return 'PROPOSAL_UNREADABLE';
    const proposal = { scored, facts, submitted, args: decoded.args };
    return isEmpty(decoded.args) ? judgeEmpty(proposal) : find(proposal, signal);
  };

  /** The evidence out of what is held: the records seen first of witnesses, the proofs known here. */
  function heldEvidence(proposal: Case): Dossier | AbstainCode {
    const { scored, facts, args } = proposal;
    const { nodes } = facts.roster;
    const nodeAt = (seat: number): NodeId => nodes[seat]?.id as NodeId;
    const witness = (kind: Witness['kind'], seat: number) =>
      records.first(kind, scored, nodeAt(seat)) as SignedRecord<Witness> | undefined;
    const first = allOf(args.first, (seat) => witness('wa', seat));
    const second = allOf(args.second, (seat) => witness('wb', seat));
    const proofs = allOf(args.equivocators, (seat) => knownProof(records, scored, nodeAt(seat)));
    if (!first || !second || !proofs) return 'PROPOSAL_MISSING_RECORD';
    const full: Full = (_kind, short) => records.byId(fromHex(short))?.id;
    const ids = countedIds(proposal, { first, second, proofs }, full);
    return typeof ids === 'string' ? ids : withRecords(proposal, ids);
  }

  /** The evidence by the ids that the proposer or an attestor tells; `why` they are asked, if nobody can say. */
  async function fetchedEvidence(
    proposal: Case,
    why: AbstainCode,
    signal: AbortSignal,
  ): Promise<Dossier | AbstainCode> {
    const { scored, facts, submitted } = proposal;
    const peers = proposerFirst(peersOf(scored), facts.roster, submitted.proposer);
    let reason = why;
    for (const peer of peers.slice(0, MAX_NAMED_PEERS)) {
      const told = await gather.named(scored, peer, signal);
      const ids = told === undefined ? undefined : await idsFrom(proposal, told, peers, signal);
      if (typeof ids === 'string') reason = ids;
      if (ids === undefined || typeof ids === 'string') continue;
      await gather.byIds(
        PLACES.flatMap((place) => [...ids[place].values()]),
        peers,
        signal,
      );
      return withRecords(proposal, ids);
    }
    return reason;
  }

  /** Fetches the witnesses that a peer names, counts them, and completes what is in from the ids that it told. */
  async function idsFrom(
    proposal: Case,
    told: NamedIds,
    peers: readonly PeerId[],
    signal: AbortSignal,
  ): Promise<EvidenceIds | AbstainCode> {
    const { scored, facts, args } = proposal;
    const a = atSeats(args.first, told.a);
    const b = atSeats(args.second, told.b);
    const low = atSeats(args.equivocators, told.low);
    const high = atSeats(args.equivocators, told.high);
    if (!a || !b || !low || !high) return 'PROPOSAL_ROOT_MISMATCH';
    await gather.byIds([...told.a, ...told.b, ...told.low, ...told.high], peers, signal);
    const members = membersOf({ a, b, low, high }, facts.roster, scored, records.byId);
    if (members === undefined) return 'PROPOSAL_MISSING_RECORD';
    return countedIds(proposal, members, (kind, short) => told[kind].find((id) => toHex(id).startsWith(short)));
  }

  /** All ids that the members make count, if they give the root on chain. */
  function countedIds({ facts: { roster }, args }: Case, members: Members, full: Full): EvidenceIds | AbstainCode {
    const { ids, missing } = idsOf(members, countMembers(members, roster), full);
    if (missing.length > 0) return 'PROPOSAL_MISSING_RECORD';
    return equalBytes(evidenceRoot(roster, ids), args.root) ? ids : 'PROPOSAL_ROOT_MISMATCH';
  }

  function withRecords({ scored, facts }: Case, ids: EvidenceIds): Dossier | AbstainCode {
    const named = recordsOf(ids, facts.roster, scored, records.byId);
    return named === undefined ? 'PROPOSAL_MISSING_RECORD' : { ids, named };
  }

  return {
    examine,
    async judge(scored, facts, submitted, signal) {
      const found = await examine(scored, facts, submitted, signal);
      if (typeof found === 'string') return abstain(found);
      const { ids } = found;
      const root = evidenceRoot(facts.roster, ids);
      if (ids === NO_IDS) return { ok: true, root, ...found, scores: [] };
      const mine = rules.compute(scored, found.named);
      if (mine === undefined) return abstain('ROSTER_UNAVAILABLE');
      if (!scoresAgree({ ...submitted, epoch: (scored + 1) as Epoch }, mine)) return abstain('PROPOSAL_SCORES_DIFFER');
      return { ok: true, root, ...found, scores: mine };
    },
  };
}

function abstain(code: AbstainCode): Judgement {
  return { ok: false, code };
}

function isEmpty({ first, second, equivocators }: EvidenceArgs): boolean {
  return first.length === 0 && second.length === 0 && equivocators.length === 0;
}

/** Both sets have a quorum, of validators only. */
function areQuorums({ first, second }: EvidenceArgs, { nodes, validators }: Roster): boolean {
  const isValidator = (seat: number): boolean => validators.includes(nodes[seat]?.id as NodeId);
  return [first, second].every(
    (seats) => seats.length >= quorumOf(validators.length) && seats.every((seat) => isValidator(seat)),
  );
}

function proposerFirst(peers: readonly PeerId[], roster: Roster, proposer: NodeId): readonly PeerId[] {
  const first = roster.nodes.find(({ id }) => id === proposer)?.peer;
  return first === undefined ? peers : [first, ...peers.filter((peer) => peer !== first)];
}

/** A value for every seat, or undefined when one has none. */
function allOf<T>(seats: readonly number[], of: (seat: number) => T | undefined): ReadonlyMap<number, T> | undefined {
  const found = seats.flatMap((seat) => {
    const value = of(seat);
    return value === undefined ? [] : [[seat, value] as const];
  });
  return found.length === seats.length ? new Map(found) : undefined;
}

function atSeats(seats: readonly number[], ids: readonly Uint8Array[]): ReadonlyMap<number, Uint8Array> | undefined {
  return seats.length === ids.length ? new Map(seats.map((seat, i) => [seat, ids[i] as Uint8Array])) : undefined;
}
