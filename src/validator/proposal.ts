// What this node proposes for the scores of an epoch: the witnesses it holds, the records that follow from them, the scores that follow
// from those (protocol.md 7, 9). Made once; submission.ts journals it.

import type { NodeScore } from '../consensus/commitment.ts';
import { chooseWitnesses, epochOfKind, type Listed, quorumOf, readWitness } from '../consensus/witness.ts';
import type { Epoch, NodeId, PeerId } from '../types/ids.ts';
import type { SignedRecord, Witness } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { type EvidenceArgs, type EvidenceIds, evidenceRoot, NO_IDS } from '../wire/evidence.ts';
import { countMembers, idsOf, knownProof, type Members, type Proof, recordsOf } from './dossier.ts';
import type { Gather } from './gather.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';
import type { Scoring } from './scoring.ts';

export interface Draft {
  readonly args: EvidenceArgs;
  readonly scores: readonly NodeScore[];
  readonly ids: EvidenceIds;
}

export interface Proposals {
  /**
   * The draft for an epoch; undefined when it cannot be made now.
   *
   * @param whole only with the second witness of every validator
   */
  draft(
    scored: Epoch,
    facts: EpochFacts,
    whole: boolean,
    peers: readonly PeerId[],
    signal: AbortSignal,
  ): Promise<Draft | undefined>;
  /** Whether enough witnesses are held for evidence that names something. */
  hasQuorum(scored: Epoch, roster: Roster): boolean;
}

type Held = ReadonlyMap<number, SignedRecord<Witness>>;

export function createProposals({
  records,
  scoring,
  gather,
}: {
  readonly records: Records;
  readonly scoring: Scoring;
  readonly gather: Gather;
}): Proposals {
  /** By seat, the witnesses of validators; the first record of one that signed two. */
  function held(kind: Witness['kind'], scored: Epoch, roster: Roster): Held {
    const validators = new Set(roster.validators);
    const seats = roster.nodes.flatMap(({ id }, seat) => {
      const record = validators.has(id) ? records.first(kind, scored, id) : undefined;
      return record === undefined ? [] : [[seat, record as SignedRecord<Witness>] as const];
    });
    return new Map(seats);
  }

  function hasQuorum(scored: Epoch, roster: Roster): boolean {
    const quorum = quorumOf(roster.validators.length);
    return held('wa', scored, roster).size >= quorum && held('wb', scored, roster).size >= quorum;
  }

  function proofs(scored: Epoch, roster: Roster): ReadonlyMap<number, Proof> {
    const seats = roster.nodes.flatMap(({ id }, seat) => {
      const proof = knownProof(records, scored, id);
      return proof === undefined ? [] : [[seat, proof] as const];
    });
    return new Map(seats);
  }

  /** Ids of what the members make count; a witness is left out, while the quorum lasts, that lists what nobody hands over. */
  function complete(
    scored: Epoch,
    roster: Roster,
    members: Members,
  ): { members: Members; ids: EvidenceIds } | undefined {
    const full = (kind: Parameters<typeof epochOfKind>[0], seat: number, short: string): Uint8Array | undefined =>
      records.byShort(kind, epochOfKind(kind, scored), roster.nodes[seat]?.id as NodeId, short)?.id;
    const quorum = quorumOf(roster.validators.length);
    for (let current = members; ; ) {
      const counted = countMembers(current, roster);
      const { ids, missing } = idsOf(current, counted, full);
      const [first] = missing;
      if (first === undefined) return { members: current, ids };
      const short = counted[first.kind].get(first.seat);
      const lists = ({ body }: SignedRecord<Witness>): boolean =>
        readWitness(body, roster.nodes.length)?.get(first.kind)?.get(first.seat) === short;
      const fewer = {
        ...current,
        first: without(current.first, lists, quorum),
        second: without(current.second, lists, quorum),
      };
      if (fewer.first.size === current.first.size && fewer.second.size === current.second.size) return undefined;
      current = fewer;
    }
  }

  return {
    hasQuorum,
    async draft(scored, { roster }, whole, peers, signal) {
      if (!roster.live) return empty(scored, roster);
      if (held('wb', scored, roster).size < roster.validators.length) {
        await gather.evidence(scored, peers, signal);
        if (whole && held('wb', scored, roster).size < roster.validators.length) return undefined;
      }
      if (!hasQuorum(scored, roster)) return empty(scored, roster);
      const quorum = quorumOf(roster.validators.length);
      const found = complete(scored, roster, {
        first: chosen(held('wa', scored, roster), roster, quorum),
        second: chosen(held('wb', scored, roster), roster, quorum),
        proofs: proofs(scored, roster),
      });
      if (found === undefined) return undefined;
      const { members, ids } = found;
      const named = recordsOf(ids, roster, scored, records.byId);
      const scores = named === undefined ? undefined : scoring.compute(scored, named);
      return scores === undefined ? undefined : { scores, ids, args: argsOf(scored, roster, members, ids) };
    },
  };
}

function chosen(held: Held, roster: Roster, quorum: number): Held {
  const listed = new Map<number, Listed>();
  for (const [seat, { body }] of held) {
    const list = readWitness(body, roster.nodes.length);
    if (list !== undefined) listed.set(seat, list);
  }
  const seats = chooseWitnesses(listed, quorum);
  return new Map([...held].filter(([seat]) => seats.has(seat)));
}

/** One member less: the last one that fits, if there are more than the quorum. */
function without(held: Held, fits: (witness: SignedRecord<Witness>) => boolean, quorum: number): Held {
  const last = held.size > quorum ? [...held].findLast(([, witness]) => fits(witness)) : undefined;
  return last === undefined ? held : new Map([...held].filter(([seat]) => seat !== last[0]));
}

function argsOf(scored: Epoch, roster: Roster, members: Members, ids: EvidenceIds): EvidenceArgs {
  return {
    epoch: scored,
    first: [...members.first.keys()],
    second: [...members.second.keys()],
    equivocators: [...members.proofs.keys()],
    root: evidenceRoot(roster, ids),
  };
}

function empty(scored: Epoch, roster: Roster): Draft {
  const root = evidenceRoot(roster, NO_IDS);
  return { args: { epoch: scored, first: [], second: [], equivocators: [], root }, scores: [], ids: NO_IDS };
}
