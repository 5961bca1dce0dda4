// This node's own scores of an epoch: those that follow from what the witnesses say, or else from its own lists, become a commitment that
// is opened in the next epoch (protocol.md 6, 8.5).

import { commitmentOf, encodeScorePayload } from '../consensus/commitment.ts';
import type { NamedRecords } from '../consensus/evidence.ts';
import { epochOfKind } from '../consensus/witness.ts';
import type { Epoch, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { Audit, HosterCommit, RecordBody, Reveal, ScoreCommit, SignedRecord, Witness } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { fromHex } from '../util/bytes.ts';
import type { EvidenceKind } from '../wire/evidence.ts';
import type { Pen } from './pen.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';
import type { Rules } from './rules.ts';

export interface ScoringOptions {
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly peer: PeerId;
}

export interface ScoringDeps {
  readonly factsOf: (epoch: Epoch) => EpochFacts | undefined;
  readonly records: Pick<Records, 'listed' | 'equivocators'>;
  readonly rules: Pick<Rules, 'compute'>;
  readonly pen: Pen;
}

export interface Scoring {
  /**
   * The journaled commitment to the own scores of an epoch; undefined when they cannot be computed.
   *
   * @param expected what an honest proposer will name; without it the own lists decide
   */
  commit(epoch: Epoch, expected: NamedRecords | undefined): SignedRecord | undefined;
  /** Opens the scores committed in an epoch; undefined when none were. */
  open(epoch: Epoch): SignedRecord | undefined;
}

export function createScoring(options: ScoringOptions, deps: ScoringDeps): Scoring {
  const { genesis, subnet, node, peer } = options;
  const { pen, records, rules } = deps;
  const head = (epoch: Epoch) => ({ genesis, subnet, epoch, node });

  /** What this node's own lists say: the same evidence without asking witnesses. */
  function ownView(epoch: Epoch, roster: Roster): NamedRecords {
    const seats = roster.nodes.map(({ id }) => id);
    const mine = <Body extends RecordBody>(kind: EvidenceKind) =>
      pick<Body>(records.listed(kind, epochOfKind(kind, epoch)), seats);
    const twoFaced = [...records.equivocators(epoch).keys(), ...records.equivocators((epoch - 1) as Epoch).keys()];
    return {
      hc: mine<HosterCommit>('hc'),
      hr: mine<Reveal>('hr'),
      sc: mine<ScoreCommit>('sc'),
      sr: mine<Reveal>('sr'),
      wa: mine<Witness>('wa'),
      wb: mine<Witness>('wb'),
      au: mine<Audit>('au'),
      equivocators: new Set(twoFaced),
    };
  }

  return {
    commit(epoch, expected) {
      const facts = deps.factsOf(epoch);
      const manifest = manifestHash(facts);
      const named = facts === undefined ? undefined : (expected ?? ownView(epoch, facts.roster));
      const scores = named === undefined ? undefined : rules.compute(epoch, named);
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
