// From records to evidence (protocol.md 6, 7): which of the records that are in open, and what they say. Which are in was counted before
// (witness.ts); the signatures were checked when the records were admitted.

import type { NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { Audit, HosterCommit, RecordBody, Reveal, ScoreCommit, SignedRecord, Witness } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { type Binding, decodeHosterPayload, decodeScorePayload, type NodeScore, opens } from './commitment.ts';
import type { Evidence, HosterEvidence, Rosters } from './score.ts';
import { sketchEntries } from './sketch.ts';

type ByNode<Body extends RecordBody> = ReadonlyMap<NodeId, SignedRecord<Body>>;

/** The records that are in: `hc`, `hr` and `wa` of e; `sc`, `sr`, `wb` and `au` of e-1. */
export interface NamedRecords {
  readonly hc: ByNode<HosterCommit>;
  readonly hr: ByNode<Reveal>;
  readonly sc: ByNode<ScoreCommit>;
  readonly sr: ByNode<Reveal>;
  readonly wa: ByNode<Witness>;
  readonly wb: ByNode<Witness>;
  readonly au: ByNode<Audit>;
  /** Proven to have signed two records of one kind in e or e-1. */
  readonly equivocators: ReadonlySet<NodeId>;
}

export interface EvidenceContext {
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  /** Manifest hashes of the policies of e and e-1, 32 bytes each. */
  readonly manifest: Uint8Array;
  readonly previousManifest: Uint8Array;
}

/** What score() needs. A record of a node that has no seat in the roster of its epoch is left out. */
export function readEvidence(records: NamedRecords, rosters: Rosters, context: EvidenceContext): Evidence {
  return {
    hosters: readWork(records, rosters.current, context),
    reveals: readScores(records, rosters, context),
    presence: readPresence(records, rosters),
    zeroed: new Set([...records.equivocators, ...accusedByMost(records.au, rosters.current)]),
  };
}

/** w of 8.5: its `wb` of e-1 and its `wa` of e; twice the latter for who could not have witnessed e-1. */
function readPresence({ wa, wb }: NamedRecords, { current, previous }: Rosters): ReadonlyMap<NodeId, number> {
  const before = new Set(previous.nodes.map(({ id }) => id));
  const could = (node: NodeId): boolean => previous.live && before.has(node);
  const first = (node: NodeId): number => (wa.has(node) ? 1 : 0);
  const second = (node: NodeId): number => (wb.has(node) ? 1 : 0);
  return new Map(current.nodes.map(({ id }) => [id, could(id) ? first(id) + second(id) : 2 * first(id)]));
}

/** Named bad by the audits of more than half of the validators (8.6). */
function accusedByMost(audits: ByNode<Audit>, { validators }: Roster): readonly NodeId[] {
  const accusers = new Map<NodeId, number>();
  for (const node of validators) {
    const bad = (audits.get(node)?.body.verdicts ?? []).filter((verdict) => verdict.bad);
    for (const accused of new Set(bad.map((verdict) => verdict.accused))) {
      accusers.set(accused, (accusers.get(accused) ?? 0) + 1);
    }
  }
  return [...accusers].filter(([, count]) => 2 * count > validators.length).map(([node]) => node);
}

/** A reveal whose commitment came too late to be in: work that was answered after others had revealed theirs, for all that anybody can tell. */
const NOTHING_SHOWN: HosterEvidence = { audits: false, sketches: [] };

function readWork(
  records: NamedRecords,
  roster: Roster,
  context: EvidenceContext,
): ReadonlyMap<NodeId, HosterEvidence> {
  const work = new Map<NodeId, HosterEvidence>();
  for (const { id, peer } of roster.nodes) {
    const commit = records.hc.get(id)?.body;
    if (commit === undefined) {
      if (records.hr.has(id)) work.set(id, NOTHING_SHOWN);
      continue;
    }
    const binding = bind('hoster', commit, peer, context.manifest, commit.audits, context);
    const payload = openedPayload(commit.commitment, records.hr.get(id)?.body, binding);
    const sketches = payload === undefined ? undefined : decodeHosterPayload(payload);
    work.set(id, {
      audits: commit.audits,
      sketches: (sketches ?? []).map(({ shard, sketch }) => ({ shard, entries: sketchEntries(sketch) })),
    });
  }
  return work;
}

function readScores(
  records: NamedRecords,
  { current, previous }: Rosters,
  context: EvidenceContext,
): ReadonlyMap<NodeId, readonly NodeScore[]> {
  const reveals = new Map<NodeId, readonly NodeScore[]>();
  const seated = new Set(current.nodes.map(({ id }) => id));
  for (const { id, peer } of previous.nodes) {
    const commit = records.sc.get(id)?.body;
    if (commit === undefined || !seated.has(id)) continue;
    const binding = bind('score', commit, peer, context.previousManifest, false, context);
    const payload = openedPayload(commit.commitment, records.sr.get(id)?.body, binding);
    const scores = payload === undefined ? undefined : decodeScorePayload(payload);
    if (scores !== undefined) reveals.set(id, scores);
  }
  return reveals;
}

function bind(
  what: Binding['what'],
  commit: HosterCommit | ScoreCommit,
  peer: PeerId,
  manifest: Uint8Array,
  audits: boolean,
  { genesis, subnet }: EvidenceContext,
): Binding {
  return { what, genesis, subnet, epoch: commit.epoch, node: commit.node, peer, manifest, audits };
}

/** The payload of a reveal that opens the commitment; a missing or mismatching reveal opens nothing (REVEAL_MISMATCH, protocol.md 6). */
function openedPayload(commitment: Uint8Array, reveal: Reveal | undefined, binding: Binding): Uint8Array | undefined {
  return reveal !== undefined && opens(commitment, binding, reveal) ? reveal.payload : undefined;
}
