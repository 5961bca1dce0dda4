// From records to evidence (protocol.md 6, 7): which of the named records open, and what they say. Who held what in time was decided
// before; the signatures were checked when the records were admitted. Interim rules (args v:0): the proposer's bitmaps name what is in.

import type { NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { HosterCommit, RecordBody, Reveal, ScoreCommit, SignedRecord } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { type Binding, decodeHosterPayload, decodeScorePayload, type NodeScore, opens } from './commitment.ts';
import type { Evidence, HosterEvidence, Rosters } from './score.ts';
import { sketchEntries } from './sketch.ts';

type ByNode<Body extends RecordBody> = ReadonlyMap<NodeId, SignedRecord<Body>>;

/** The records that are in: `hc` and `hr` of e, `sc` and `sr` of e-1. */
export interface NamedRecords {
  readonly hc: ByNode<HosterCommit>;
  readonly hr: ByNode<Reveal>;
  readonly sc: ByNode<ScoreCommit>;
  readonly sr: ByNode<Reveal>;
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
  const reveals = readScores(records, rosters, context);
  return {
    hosters: readWork(records, rosters.current, context),
    reveals,
    presence: interimPresence(rosters, new Set(reveals.keys())),
    zeroed: new Set(),
  };
}

/** Until witnesses exist: full presence for whoever revealed scores, and for whoever could not have scored yet (8.5). */
function interimPresence({ current, previous }: Rosters, revealed: ReadonlySet<NodeId>): ReadonlyMap<NodeId, number> {
  const before = new Set(previous.nodes.map(({ id }) => id));
  const present = (node: NodeId): boolean => revealed.has(node) || !previous.live || !before.has(node);
  return new Map(current.nodes.map(({ id }) => [id, present(id) ? 2 : 0]));
}

function readWork(
  records: NamedRecords,
  roster: Roster,
  context: EvidenceContext,
): ReadonlyMap<NodeId, HosterEvidence> {
  const work = new Map<NodeId, HosterEvidence>();
  for (const { id, peer } of roster.nodes) {
    const commit = records.hc.get(id)?.body;
    if (commit === undefined) continue;
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
