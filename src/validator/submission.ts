// The scores of the epoch before on chain: propose when elected, else recompute from the named records and attest, else abstain with a
// code (protocol.md 9). The journal holds what is proposed and attested before the chain sees it; it refuses any other payload.

import type { Chain, Signer, Submission as Submitted } from '../chain/types.ts';
import { type AbstainCode, scoresAgree } from '../consensus/attest.ts';
import type { NodeScore } from '../consensus/commitment.ts';
import type { NamedRecords } from '../consensus/evidence.ts';
import { epochOfKind } from '../consensus/witness.ts';
import type { Journal, Slot } from '../store/types.ts';
import type { Epoch, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { HosterCommit, RecordBody, Reveal, ScoreCommit, SignedRecord } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { equalBytes } from '../util/bytes.ts';
import { decodeCbor, encodeCbor } from '../util/cbor.ts';
import {
  decodeArgs,
  EVIDENCE_KINDS,
  type EvidenceArgs,
  type EvidenceIds,
  type EvidenceKind,
  encodeArgs,
  evidenceRoot,
  NO_IDS,
} from '../wire/evidence.ts';
import { bigUint, bytes, exactly, type Field, list, readMap, tuple, U32, uint } from '../wire/fields.ts';
import type { NamedIds } from './evidence-protocol.ts';
import type { Gather } from './gather.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';
import { idsOf, type Scoring } from './scoring.ts';

/** What stands on chain for an epoch, seen from this node. */
export type Standing = 'voteless' | 'elected' | 'proposed' | 'proposal' | 'attested' | 'nothing';

export type Check = { readonly ok: true } | { readonly ok: false; readonly code: AbstainCode };

export interface Submission {
  look(epoch: Epoch, signal: AbortSignal): Promise<Standing>;
  /** Submits the scores of `epoch` - 1; throws what the chain or the journal says. False when they cannot be made yet. */
  propose(epoch: Epoch, signal: AbortSignal): Promise<boolean>;
  /** Recomputes the proposal of `epoch` and attests to it, or says why not; undefined when it is gone from the chain. */
  check(epoch: Epoch, signal: AbortSignal): Promise<Check | undefined>;
  /** The ids behind the evidence that this node proposed or attested, for peers that lack them. */
  named(scored: Epoch): EvidenceIds | undefined;
}

export interface SubmissionOptions {
  readonly subnet: SubnetId;
  readonly node: NodeId;
}

export interface SubmissionDeps {
  readonly chain: Pick<Chain, 'electedValidator' | 'submission' | 'propose' | 'attest'>;
  readonly hotkey: Signer;
  readonly journal: Journal;
  readonly readFacts: (epoch: Epoch, signal: AbortSignal) => Promise<EpochFacts | undefined>;
  /** Roster peers that answer, others than this node; best first. */
  readonly peersOf: (epoch: Epoch) => readonly PeerId[];
  readonly records: Records;
  readonly scoring: Scoring;
  readonly gather: Gather;
}

/** Findings kept for peers: scores of e-1 are checked in e, and records of e-2 are still held. */
const KEPT_FINDINGS = 3;
/** Peers asked for the ids behind a proposal: the proposer and some that attested. */
const MAX_NAMED_PEERS = 4;

const MAX_SEATS = 256;
/** What the chain allows. */
const MAX_ARGS_BYTES = 4096;

/** The payload of the `propose` slot: everything a restart needs to submit the same again. */
interface Bundle {
  readonly scores: readonly NodeScore[];
  readonly args: Uint8Array;
  readonly root: Uint8Array;
}

export function createSubmission(options: SubmissionOptions, deps: SubmissionDeps): Submission {
  const { subnet, node } = options;
  const { chain, journal, records, scoring, gather } = deps;
  const findings = new Map<Epoch, EvidenceIds>();
  const slot = (kind: 'propose' | 'attest', epoch: Epoch): Slot => ({ subnet, node, epoch, kind });

  function find(scored: Epoch, ids: EvidenceIds): void {
    findings.set(scored, ids);
    while (findings.size > KEPT_FINDINGS) findings.delete(Math.min(...findings.keys()) as Epoch);
  }

  /** What this node proposes for the scores of an epoch; empty evidence when the epoch was not live or nobody committed. */
  function build(scored: Epoch, facts: EpochFacts): Bundle | undefined {
    const mine = facts.roster.live ? scoring.own(scored) : undefined;
    if (mine === undefined || mine.hc.size === 0) return emptyBundle(scored, facts.roster);
    const scores = scoring.compute(scored, mine);
    if (scores === undefined) return undefined;
    const ids = idsOf(mine, facts.roster);
    find(scored, ids);
    return bundle(scored, facts.roster, ids, scores);
  }

  /** Facts of the epoch scored; those of the one before are read beside them, since its roster's scores are judged too. */
  async function factsFor(scored: Epoch, signal: AbortSignal): Promise<EpochFacts | undefined> {
    const [facts] = await Promise.all([deps.readFacts(scored, signal), deps.readFacts((scored - 1) as Epoch, signal)]);
    return facts;
  }

  async function make(scored: Epoch, signal: AbortSignal): Promise<Bundle | undefined> {
    const facts = await factsFor(scored, signal);
    if (facts === undefined) return undefined;
    await gather.unseen(scored, deps.peersOf(scored), signal);
    return build(scored, facts);
  }

  async function check(epoch: Epoch, signal: AbortSignal): Promise<Check | undefined> {
    const scored = (epoch - 1) as Epoch;
    const submitted = await chain.submission(subnet, epoch, undefined, signal);
    if (submitted === undefined) return undefined;
    const facts = await factsFor(scored, signal);
    if (facts === undefined) return { ok: false, code: 'ROSTER_UNAVAILABLE' };
    const decoded = decodeArgs(submitted.args, facts.roster.nodes.length);
    if (!decoded.ok || decoded.args.epoch !== scored) return { ok: false, code: 'PROPOSAL_UNREADABLE' };
    const verdict = isEmpty(decoded.args)
      ? checkEmpty(scored, facts, submitted, decoded.args)
      : await checkFull(scored, facts, { submitted, args: decoded.args }, signal);
    if (!verdict.ok) return verdict;
    journal.claim(slot('attest', epoch), decoded.args.root);
    await chain.attest(deps.hotkey, subnet, epoch, decoded.args.root, { signal });
    return { ok: true };
  }

  function checkEmpty(scored: Epoch, facts: EpochFacts, submitted: Submitted, args: EvidenceArgs): Check {
    if (!equalBytes(args.root, evidenceRoot(facts.roster, NO_IDS)))
      return { ok: false, code: 'PROPOSAL_ROOT_MISMATCH' };
    if (submitted.scores.length > 0) return { ok: false, code: 'PROPOSAL_SCORES_DIFFER' };
    const omits = facts.roster.live && (scoring.own(scored)?.hc.size ?? 0) > 0;
    return omits ? { ok: false, code: 'PROPOSAL_OMITS' } : { ok: true };
  }

  async function checkFull(
    scored: Epoch,
    facts: EpochFacts,
    { submitted, args }: { readonly submitted: Submitted; readonly args: EvidenceArgs },
    signal: AbortSignal,
  ): Promise<Check> {
    const collected = await collect(scored, facts.roster, { args, proposer: submitted.proposer }, signal);
    if (!collected.ok) return collected;
    const mine = scoring.compute(scored, collected.named);
    if (mine === undefined) return { ok: false, code: 'ROSTER_UNAVAILABLE' };
    if (!scoresAgree({ ...submitted, epoch: (scored + 1) as Epoch }, mine)) {
      return { ok: false, code: 'PROPOSAL_SCORES_DIFFER' };
    }
    find(scored, idsOf(collected.named, facts.roster));
    return { ok: true };
  }

  type Collected =
    | { readonly ok: true; readonly named: NamedRecords }
    | { readonly ok: false; readonly code: AbstainCode };

  /** The records behind the bitmaps: those held, if their ids give the root; else by the ids that the proposer or an attestor tells. */
  async function collect(
    scored: Epoch,
    roster: Roster,
    { args, proposer }: { readonly args: EvidenceArgs; readonly proposer: NodeId },
    signal: AbortSignal,
  ): Promise<Collected> {
    const held = heldRecords(scored, roster, args);
    if (held !== undefined && hasRoot(held, roster, args)) return { ok: true, named: held };
    const peers = proposerFirst(deps.peersOf(scored), roster, proposer);
    for (const peer of peers.slice(0, MAX_NAMED_PEERS)) {
      const told = await gather.named(scored, peer, signal);
      const ids = told === undefined ? undefined : seatIds(args, told);
      if (ids === undefined || !equalBytes(evidenceRoot(roster, ids), args.root)) continue;
      await gather.byIds(allIds(ids), peers, signal);
      const named = recordsOfIds(ids, roster, scored);
      return named === undefined ? { ok: false, code: 'PROPOSAL_MISSING_RECORD' } : { ok: true, named };
    }
    return { ok: false, code: held === undefined ? 'PROPOSAL_MISSING_RECORD' : 'PROPOSAL_ROOT_MISMATCH' };
  }

  function heldRecords(scored: Epoch, roster: Roster, args: EvidenceArgs): NamedRecords | undefined {
    return gatherKinds((kind) => {
      const found = args.named[kind].map((seat) => {
        const id = roster.nodes[seat]?.id;
        return id === undefined ? undefined : records.first(kind, epochOfKind(kind, scored), id);
      });
      return byNode(found);
    });
  }

  /** The records of ids, each of its kind, epoch and seat; undefined when one is missing or is something else. */
  function recordsOfIds(ids: EvidenceIds, roster: Roster, scored: Epoch): NamedRecords | undefined {
    return gatherKinds((kind) => {
      const found = [...ids[kind]].map(([seat, id]) => {
        const record = records.byId(id);
        const fits =
          record?.body.kind === kind &&
          record.body.epoch === epochOfKind(kind, scored) &&
          record.body.node === roster.nodes[seat]?.id;
        return fits ? record : undefined;
      });
      return byNode(found);
    });
  }

  function hasRoot(named: NamedRecords, roster: Roster, args: EvidenceArgs): boolean {
    return equalBytes(evidenceRoot(roster, idsOf(named, roster)), args.root);
  }

  return {
    async look(epoch, signal) {
      const [proposer, submitted] = await Promise.all([
        chain.electedValidator(subnet, epoch, undefined, signal),
        chain.submission(subnet, epoch, undefined, signal),
      ]);
      if (submitted === undefined)
        return proposer === node ? 'elected' : proposer === undefined ? 'voteless' : 'nothing';
      if (submitted.proposer === node) return 'proposed';
      if (submitted.attests.some(({ nodeId }) => nodeId === node)) return 'attested';
      return submitted.validators.includes(node) ? 'proposal' : 'voteless';
    },
    async propose(epoch, signal) {
      const scored = (epoch - 1) as Epoch;
      const before = journal.claimed(slot('propose', epoch));
      const made = before === undefined ? await make(scored, signal) : decodeBundle(before);
      if (made === undefined) return false;
      journal.claim(slot('propose', epoch), encodeBundle(made));
      const { scores, args, root } = made;
      await chain.propose(deps.hotkey, { subnet, epoch, scores, args, attestData: root }, { signal });
      return true;
    },
    check,
    named: (scored) => findings.get(scored),
  };
}

function emptyBundle(scored: Epoch, roster: Roster): Bundle {
  return bundle(scored, roster, NO_IDS, []);
}

function bundle(scored: Epoch, roster: Roster, ids: EvidenceIds, scores: readonly NodeScore[]): Bundle {
  const root = evidenceRoot(roster, ids);
  const seats = (kind: EvidenceKind): readonly number[] => [...ids[kind].keys()];
  const named = { hc: seats('hc'), hr: seats('hr'), sc: seats('sc'), sr: seats('sr') };
  return { scores, root, args: encodeArgs({ epoch: scored, named, root }, roster.nodes.length) };
}

function isEmpty({ named }: EvidenceArgs): boolean {
  return EVIDENCE_KINDS.every((kind) => named[kind].length === 0);
}

function proposerFirst(peers: readonly PeerId[], roster: Roster, proposer: NodeId): readonly PeerId[] {
  const first = roster.nodes.find(({ id }) => id === proposer)?.peer;
  return first === undefined ? peers : [first, ...peers.filter((peer) => peer !== first)];
}

/** Seats with the ids told for them; undefined when the counts differ. */
function seatIds(args: EvidenceArgs, told: NamedIds): EvidenceIds | undefined {
  if (EVIDENCE_KINDS.some((kind) => args.named[kind].length !== told[kind].length)) return undefined;
  const seats = (kind: EvidenceKind) =>
    new Map(args.named[kind].map((seat, i) => [seat, told[kind][i] as Uint8Array] as const));
  return { hc: seats('hc'), hr: seats('hr'), sc: seats('sc'), sr: seats('sr') };
}

function allIds(ids: EvidenceIds): readonly Uint8Array[] {
  return EVIDENCE_KINDS.flatMap((kind) => [...ids[kind].values()]);
}

/** The four kinds together, or undefined when one is not whole. `of` answers records of the kind asked only. */
function gatherKinds(
  of: (kind: EvidenceKind) => ReadonlyMap<NodeId, SignedRecord> | undefined,
): NamedRecords | undefined {
  const [hc, hr, sc, sr] = [of('hc'), of('hr'), of('sc'), of('sr')];
  if (hc === undefined || hr === undefined || sc === undefined || sr === undefined) return undefined;
  return {
    hc: typed<HosterCommit>(hc),
    hr: typed<Reveal>(hr),
    sc: typed<ScoreCommit>(sc),
    sr: typed<Reveal>(sr),
  };
}

function typed<Body extends RecordBody>(
  records: ReadonlyMap<NodeId, SignedRecord>,
): ReadonlyMap<NodeId, SignedRecord<Body>> {
  return records as ReadonlyMap<NodeId, SignedRecord<Body>>;
}

function byNode(found: readonly (SignedRecord | undefined)[]): ReadonlyMap<NodeId, SignedRecord> | undefined {
  const whole = found.filter((record) => record !== undefined);
  return whole.length === found.length ? new Map(whole.map((record) => [record.body.node, record])) : undefined;
}

function encodeBundle({ scores, args, root }: Bundle): Uint8Array {
  return encodeCbor({ v: 1, s: scores.map(({ nodeId, score }) => [nodeId, score]), a: args, r: root });
}

const SCORE_PAIR = tuple(uint(U32) as Field<NodeId>, bigUint((1n << 64n) - 1n));

/** `saved` came from the own journal; it is parsed strictly all the same. */
function decodeBundle(saved: Uint8Array): Bundle {
  const pair: Field<NodeScore> = (value) => {
    const [nodeId, score] = SCORE_PAIR(value);
    return { nodeId, score };
  };
  const shape = { v: exactly(1), s: list(pair, MAX_SEATS), a: bytes(0, MAX_ARGS_BYTES), r: bytes(32) };
  const map = readMap(decodeCbor(saved), shape);
  return { scores: map.s, args: map.a, root: map.r };
}
