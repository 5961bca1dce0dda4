// What this node proposes for the scores of an epoch: the witnesses it holds, the records that follow from them, the scores that follow
// from those (protocol.md 7, 9). Made once; submission.ts journals it.

import type { NamedRecords } from '../consensus/evidence.ts';
import { chooseWitnesses, type Listed, quorumOf, readWitness } from '../consensus/witness.ts';
import type { Epoch, PeerId } from '../types/ids.ts';
import type { SignedRecord, Witness } from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { fromHex } from '../util/bytes.ts';
import { type EvidenceArgs, type EvidenceIds, type EvidenceKind, evidenceRoot, NO_IDS } from '../wire/evidence.ts';
import {
  type Counts,
  countMembers,
  type Finding,
  idsOf,
  knownProof,
  type Members,
  NO_RECORDS,
  type Proof,
  recordsOf,
} from './dossier.ts';
import type { Gather } from './gather.ts';
import type { Records } from './records.ts';
import type { EpochFacts } from './roster.ts';
import type { Rules } from './rules.ts';

export interface Draft extends Finding {
  readonly args: EvidenceArgs;
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
  /** What an honest proposer will name, as far as it can be known while the epoch lasts; undefined without a quorum of both witnesses. */
  expected(
    scored: Epoch,
    facts: EpochFacts,
    peers: readonly PeerId[],
    signal: AbortSignal,
  ): Promise<NamedRecords | undefined>;
  /** Whether enough witnesses are held for evidence that names something. */
  hasQuorum(scored: Epoch, roster: Roster): boolean;
}

type Held = ReadonlyMap<number, SignedRecord<Witness>>;

/** Members, all ids that follow from them, and what counts but is not held. */
interface Compiled {
  readonly members: Members;
  readonly ids: EvidenceIds;
  readonly missing: readonly Counts[];
}

export function createProposals({
  records,
  rules,
  gather,
}: {
  readonly records: Records;
  readonly rules: Pick<Rules, 'compute'>;
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

  /** What an honest proposer names of what it holds (protocol.md 7). */
  function choose(scored: Epoch, roster: Roster): Members {
    const quorum = quorumOf(roster.validators.length);
    return {
      first: chosen(held('wa', scored, roster), roster, quorum),
      second: chosen(held('wb', scored, roster), roster, quorum),
      proofs: proofs(scored, roster),
    };
  }

  function compile(roster: Roster, members: Members): Compiled {
    const full = (_kind: EvidenceKind, short: string): Uint8Array | undefined => records.byId(fromHex(short))?.id;
    return { members, ...idsOf(members, countMembers(members, roster), full) };
  }

  /** Leaves out, while the quorum lasts, witnesses that make count what nobody hands over; undefined when it does not last. */
  function deliverable(scored: Epoch, roster: Roster): Compiled | undefined {
    let compiled: Compiled | undefined = compile(roster, choose(scored, roster));
    while (compiled?.missing[0] !== undefined) {
      const fewer = withoutOne(compiled.members, compiled.missing[0], roster);
      compiled = fewer === undefined ? undefined : compile(roster, fewer);
    }
    return compiled;
  }

  function toDraft(scored: Epoch, roster: Roster, { members, ids }: Compiled): Draft | undefined {
    const named = recordsOf(ids, roster, scored, records.byId);
    const scores = named === undefined ? undefined : rules.compute(scored, named);
    if (named === undefined || scores === undefined) return undefined;
    return { scores, ids, named, args: argsOf(scored, roster, members, ids) };
  }

  function hasAll(kind: Witness['kind'], scored: Epoch, roster: Roster): boolean {
    return held(kind, scored, roster).size === roster.validators.length;
  }

  return {
    hasQuorum,
    async expected(scored, { roster }, peers, signal) {
      const lacking = (['wa', 'wb'] as const).filter((kind) => !hasAll(kind, scored, roster));
      await Promise.all(lacking.map((kind) => gather.missing(kind, scored, peers, signal)));
      if (!roster.live || !hasQuorum(scored, roster)) return undefined;
      await gather.byIds(shortIds(compile(roster, choose(scored, roster))), peers, signal);
      const compiled = deliverable(scored, roster);
      return compiled === undefined ? undefined : recordsOf(compiled.ids, roster, scored, records.byId);
    },
    async draft(scored, { roster }, whole, peers, signal) {
      if (!roster.live) return empty(scored, roster);
      const isWhole = (): boolean => hasAll('wb', scored, roster);
      if (isWhole() && hasQuorum(scored, roster)) {
        const compiled = compile(roster, choose(scored, roster));
        if (compiled.missing.length === 0) return toDraft(scored, roster, compiled);
      }
      await gather.evidence(scored, peers, signal);
      if (whole && !isWhole()) return undefined;
      if (!hasQuorum(scored, roster)) return empty(scored, roster);
      await gather.byIds(shortIds(compile(roster, choose(scored, roster))), peers, signal);
      const compiled = deliverable(scored, roster);
      return compiled === undefined ? undefined : toDraft(scored, roster, compiled);
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

function shortIds({ missing }: Compiled): readonly Uint8Array[] {
  return missing.map(({ short }) => fromHex(short));
}

/** Without the last witness that lists this record; undefined when no set has one to spare. */
function withoutOne(members: Members, { kind, seat, short }: Counts, roster: Roster): Members | undefined {
  const quorum = quorumOf(roster.validators.length);
  const isListedBy = ({ body }: SignedRecord<Witness>): boolean =>
    readWitness(body, roster.nodes.length)?.get(kind)?.get(seat) === short;
  const spare = (set: Held) =>
    set.size > quorum ? [...set].findLast(([, witness]) => isListedBy(witness)) : undefined;
  const [first, second] = [spare(members.first), spare(members.second)];
  if (first === undefined && second === undefined) return undefined;
  return {
    ...members,
    first: withoutSeat(members.first, first?.[0]),
    second: withoutSeat(members.second, second?.[0]),
  };
}

function withoutSeat(held: Held, left: number | undefined): Held {
  return new Map([...held].filter(([seat]) => seat !== left));
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
  return {
    args: { epoch: scored, first: [], second: [], equivocators: [], root },
    scores: [],
    ids: NO_IDS,
    named: NO_RECORDS,
  };
}
