// Scores of an epoch as this node sees them: the closed lists become evidence, the evidence becomes scores, the scores a commitment that is
// opened in the next epoch (protocol.md 6, 7, 8).

import { shardAt } from '../consensus/challenge.ts';
import { commitmentOf, encodeScorePayload, type NodeScore } from '../consensus/commitment.ts';
import { type NamedRecords, readEvidence } from '../consensus/evidence.ts';
import { score } from '../consensus/score.ts';
import type { Epoch, NodeId, PeerId, ShardIndex, SubnetId } from '../types/ids.ts';
import type { Manifest } from '../types/model.ts';
import type { HosterCommit, RecordBody, Reveal, ScoreCommit, SignedRecord } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { fromHex } from '../util/bytes.ts';
import { EVIDENCE_KINDS, type EvidenceIds, type EvidenceKind, NO_IDS } from '../wire/evidence.ts';
import type { Pen } from './pen.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';
import type { ManifestOf } from './work.ts';

export interface ScoringOptions {
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly peer: PeerId;
}

export interface ScoringDeps {
  readonly factsOf: (epoch: Epoch) => EpochFacts | undefined;
  readonly records: Records;
  readonly manifestOf: ManifestOf;
  readonly pen: Pen;
}

export interface Scoring {
  /** The records of the own closed lists that are in evidence of an epoch; undefined while its roster is unknown. */
  own(epoch: Epoch): NamedRecords | undefined;
  /** Scores that follow from records; undefined when rosters or the model are not at hand. */
  compute(epoch: Epoch, records: NamedRecords): readonly NodeScore[] | undefined;
  /** The journaled commitment to the own scores of an epoch; undefined when they cannot be computed. */
  commit(epoch: Epoch): SignedRecord | undefined;
  /** Opens the scores committed in an epoch; undefined when none were. */
  open(epoch: Epoch): SignedRecord | undefined;
}

/** Ids by seat of roster(e). */
export function idsOf(records: NamedRecords, roster: Roster): EvidenceIds {
  const ids = (kind: EvidenceKind) =>
    new Map(
      roster.nodes.flatMap(({ id }, seat) => {
        const record = records[kind].get(id);
        return record === undefined ? [] : [[seat, record.id] as const];
      }),
    );
  return { ...NO_IDS, ...Object.fromEntries(EVIDENCE_KINDS.map((kind) => [kind, ids(kind)])) };
}

export function createScoring(options: ScoringOptions, deps: ScoringDeps): Scoring {
  const { genesis, subnet, node, peer } = options;
  const { pen, records } = deps;
  const head = (epoch: Epoch) => ({ genesis, subnet, epoch, node });

  function compute(epoch: Epoch, named: NamedRecords): readonly NodeScore[] | undefined {
    const facts = deps.factsOf(epoch);
    const before = deps.factsOf((epoch - 1) as Epoch);
    if (facts?.policy === undefined || before === undefined) return undefined;
    const model = deps.manifestOf(facts.policy.manifest);
    if (model === undefined) return undefined;
    const manifest = fromHex(facts.policy.manifest);
    const previousManifest = manifestHash(before) ?? manifest;
    const rosters = { current: facts.roster, previous: before.roster };
    const evidence = readEvidence(named, rosters, { genesis, subnet, manifest, previousManifest });
    return score(evidence, rosters, { seed: facts.seed, taus: tausOf(model, facts.policy.cut) }, facts.policy);
  }

  /** Timely records of seats of roster(e), without nodes proven to sign twice in e or e-1; a reveal only beside its commitment. */
  function own(epoch: Epoch): NamedRecords | undefined {
    const facts = deps.factsOf(epoch);
    if (facts === undefined) return undefined;
    const before = (epoch - 1) as Epoch;
    const twoFaced = new Set([...records.equivocators(epoch), ...records.equivocators(before)]);
    const seats = facts.roster.nodes.map(({ id }) => id).filter((id) => !twoFaced.has(id));
    const hc = pick<HosterCommit>(records.timely('hc', epoch), seats);
    const sc = pick<ScoreCommit>(records.timely('sc', before), seats);
    return {
      hc,
      hr: pick<Reveal>(records.timely('hr', epoch), [...hc.keys()]),
      sc,
      sr: pick<Reveal>(records.timely('sr', before), [...sc.keys()]),
    };
  }

  return {
    own,
    compute,
    commit(epoch) {
      const manifest = manifestHash(deps.factsOf(epoch));
      const mine = own(epoch);
      const scores = mine === undefined ? undefined : compute(epoch, mine);
      if (scores === undefined || manifest === undefined) return undefined;
      const opening = pen.opening('sc', epoch, () => encodeScorePayload(scores));
      const binding = { what: 'score', ...head(epoch), peer, manifest, audits: false } as const;
      return pen.sign({ kind: 'sc', ...head(epoch), commitment: commitmentOf(binding, opening) });
    },
    open(epoch) {
      const opening = pen.kept('sc', epoch);
      return opening === undefined ? undefined : pen.sign({ kind: 'sr', ...head(epoch), ...opening });
    },
  };
}

function manifestHash(facts: EpochFacts | undefined): Uint8Array | undefined {
  return facts?.policy === undefined ? undefined : fromHex(facts.policy.manifest);
}

function tausOf(manifest: Manifest, cut: string): readonly number[] {
  const places = manifest.cuts[cut] ?? [];
  return places.map((_, k) => shardAt(manifest, cut, k as ShardIndex)?.tau ?? 1);
}

/** The kind was decided by the list the records come from. */
function pick<Body extends RecordBody>(
  listed: ReadonlyMap<NodeId, SignedRecord>,
  nodes: readonly NodeId[],
): ReadonlyMap<NodeId, SignedRecord<Body>> {
  return new Map(
    nodes.flatMap((node) => {
      const record = listed.get(node);
      return record === undefined ? [] : [[node, record as SignedRecord<Body>] as const];
    }),
  );
}
