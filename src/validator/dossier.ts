// Evidence and the records behind it (protocol.md 7): from the named witnesses follows which records are in, from all of them the root.
// Proposer and voter compute the same here; they differ in where they look for records. Trusts records that were admitted, nothing else.

import type { NodeScore } from '../consensus/commitment.ts';
import type { NamedRecords } from '../consensus/evidence.ts';
import type { Known } from '../consensus/explain.ts';
import { epochOfKind, type Listed, majorityOf, readWitness } from '../consensus/witness.ts';
import type { Epoch, NodeId } from '../types/ids.ts';
import type {
  Audit,
  EpochKind,
  HosterCommit,
  RecordBody,
  Reveal,
  ScoreCommit,
  SignedRecord,
  Witness,
} from '../types/record.ts';
import type { Roster } from '../types/subnet.ts';
import { compareBytes, equalBytes } from '../util/bytes.ts';
import { byPlace, EVIDENCE_KINDS, type EvidenceIds, type EvidenceKind } from '../wire/evidence.ts';
import type { Records } from './records.ts';

/** The two ids of a proof, the smaller first. */
export type Proof = readonly [SignedRecord, SignedRecord];

/** What a proposal names, by seat of roster(e). */
export interface Members {
  readonly first: ReadonlyMap<number, SignedRecord<Witness>>;
  readonly second: ReadonlyMap<number, SignedRecord<Witness>>;
  readonly proofs: ReadonlyMap<number, Proof>;
}

/** Per kind, by seat, the short id of what is in. */
export type Counted = { readonly [K in EvidenceKind]: ReadonlyMap<number, string> };

export interface Dossier {
  readonly ids: EvidenceIds;
  readonly named: NamedRecords;
}

/** Evidence with the scores that follow from it. */
export interface Finding extends Dossier {
  readonly scores: readonly NodeScore[];
}

export const NO_RECORDS: NamedRecords = {
  hc: new Map(),
  hr: new Map(),
  sc: new Map(),
  sr: new Map(),
  wa: new Map(),
  wb: new Map(),
  au: new Map(),
  equivocators: new Set(),
};

export type ById = (id: Uint8Array) => SignedRecord | undefined;

/** What more than half of the members hold; those of e-1 without a seat in roster(e) are not listed at all. */
export function countMembers({ first, second }: Members, roster: Roster): Counted {
  const a = readAll(first, roster);
  const b = readAll(second, roster);
  const listedBy = (kind: EvidenceKind) => (kind === 'hr' || kind === 'sr' || kind === 'wa' ? b : a);
  return Object.fromEntries(EVIDENCE_KINDS.map((kind) => [kind, majorityOf(listedBy(kind), kind)])) as Counted;
}

function readAll(members: ReadonlyMap<number, SignedRecord<Witness>>, { nodes }: Roster): readonly Listed[] {
  return [...members.values()].flatMap(({ body }) => readWitness(body, nodes.length) ?? []);
}

/** A record that counts, by its short id as hex. */
export interface Counts {
  readonly kind: EvidenceKind;
  readonly seat: number;
  readonly short: string;
}

/** Every id in its place; `full` completes what witnesses shorten. What it does not know is missing. */
export function idsOf(
  { first, second, proofs }: Members,
  counted: Counted,
  full: (kind: EvidenceKind, short: string) => Uint8Array | undefined,
): { readonly ids: EvidenceIds; readonly missing: readonly Counts[] } {
  const missing: Counts[] = [];
  const complete = (kind: EvidenceKind): ReadonlyMap<number, Uint8Array> =>
    new Map(
      [...counted[kind]].flatMap(([seat, short]) => {
        const id = full(kind, short);
        if (id === undefined) missing.push({ kind, seat, short });
        return id === undefined ? [] : [[seat, id] as const];
      }),
    );
  const idOf = (record: SignedRecord): Uint8Array => record.id;
  const ids = byPlace((place) => {
    switch (place) {
      case 'a':
        return mapValues(first, idOf);
      case 'b':
        return mapValues(second, idOf);
      case 'low':
        return mapValues(proofs, ([low]) => low.id);
      case 'high':
        return mapValues(proofs, ([, high]) => high.id);
      default:
        return complete(place);
    }
  });
  return { ids, missing };
}

/** The records of ids that are in, each of its kind, epoch and seat; undefined when one is not at hand or is something else. */
export function recordsOf(ids: EvidenceIds, roster: Roster, scored: Epoch, byId: ById): NamedRecords | undefined {
  const of = <Body extends RecordBody>(kind: EvidenceKind) =>
    bySeat<Body>(ids[kind], (id, seat) => recordAt(byId(id), { kind, epoch: epochOfKind(kind, scored), seat }, roster));
  const hc = of<HosterCommit>('hc');
  const hr = of<Reveal>('hr');
  const sc = of<ScoreCommit>('sc');
  const sr = of<Reveal>('sr');
  const wa = of<Witness>('wa');
  const wb = of<Witness>('wb');
  const au = of<Audit>('au');
  if (!hc || !hr || !sc || !sr || !wa || !wb || !au) return undefined;
  const byNode = <Body extends RecordBody>(records: ReadonlyMap<number, SignedRecord<Body>>) =>
    new Map([...records.values()].map((record) => [record.body.node, record]));
  const equivocators = new Set([...ids.low.keys()].flatMap((seat) => roster.nodes[seat]?.id ?? []));
  return {
    hc: byNode(hc),
    hr: byNode(hr),
    sc: byNode(sc),
    sr: byNode(sr),
    wa: byNode(wa),
    wb: byNode(wb),
    au: byNode(au),
    equivocators,
  };
}

/** The named witnesses and proofs by their ids; undefined when one is not at hand or is something else. */
export function membersOf(
  ids: Pick<EvidenceIds, 'a' | 'b' | 'low' | 'high'>,
  roster: Roster,
  scored: Epoch,
  byId: ById,
): Members | undefined {
  const witnesses = (kind: Witness['kind'], place: 'a' | 'b') =>
    bySeat<Witness>(ids[place], (id, seat) => recordAt(byId(id), { kind, epoch: scored, seat }, roster));
  const first = witnesses('wa', 'a');
  const second = witnesses('wb', 'b');
  const proofs = new Map<number, Proof>();
  for (const [seat, low] of ids.low) {
    const proof = toProof(byId(low), byId(ids.high.get(seat) ?? low));
    if (proof === undefined || !provesAgainst(proof, roster.nodes[seat]?.id, scored)) return undefined;
    proofs.set(seat, proof);
  }
  return first === undefined || second === undefined ? undefined : { first, second, proofs };
}

/** What else is known of an epoch whose evidence was found: what the named witnesses say, and everything that is held. */
export function knownOf(
  scored: Epoch,
  roster: Roster,
  { ids }: Pick<Dossier, 'ids'>,
  records: Pick<Records, 'first' | 'held' | 'byId'>,
): Known {
  const read = (all: Iterable<SignedRecord | undefined>): readonly Listed[] =>
    [...all].flatMap((record) => (isWitness(record) ? (readWitness(record.body, roster.nodes.length) ?? []) : []));
  const named = (place: 'a' | 'b') => read([...ids[place].values()].map((id) => records.byId(id)));
  const validators = new Set(roster.validators);
  const held = (kind: Witness['kind']) =>
    read(records.held(kind, scored).filter(({ body }) => validators.has(body.node)));
  return {
    named: { wa: named('a'), wb: named('b') },
    held: { wa: held('wa'), wb: held('wb') },
    record: records.first,
  };
}

function isWitness(record: SignedRecord | undefined): record is SignedRecord<Witness> {
  return record?.body.kind === 'wa' || record?.body.kind === 'wb';
}

/** The proof that is known against a node: of the epoch scored, else of the one before. */
export function knownProof(records: Pick<Records, 'equivocators'>, scored: Epoch, node: NodeId): Proof | undefined {
  const pair = [scored, (scored - 1) as Epoch]
    .map((epoch) => records.equivocators(epoch).get(node))
    .find((found) => found !== undefined);
  return pair === undefined ? undefined : toProof(...pair);
}

/** Two records as a proof: of one kind, epoch and node, and not the same. */
function toProof(one: SignedRecord | undefined, other: SignedRecord | undefined): Proof | undefined {
  if (one === undefined || other === undefined || equalBytes(one.id, other.id)) return undefined;
  const isSameSlot =
    one.body.kind === other.body.kind && one.body.epoch === other.body.epoch && one.body.node === other.body.node;
  if (!isSameSlot || one.body.kind === 'an') return undefined;
  return compareBytes(one.id, other.id) < 0 ? [one, other] : [other, one];
}

function provesAgainst([{ body }]: Proof, node: NodeId | undefined, scored: Epoch): boolean {
  return body.node === node && (body.epoch === scored || body.epoch === scored - 1);
}

function recordAt(
  record: SignedRecord | undefined,
  place: { readonly kind: EpochKind; readonly epoch: Epoch; readonly seat: number },
  roster: Roster,
): SignedRecord | undefined {
  const fits =
    record?.body.kind === place.kind &&
    record.body.epoch === place.epoch &&
    record.body.node === roster.nodes[place.seat]?.id;
  return fits ? record : undefined;
}

/** `of` answers records whose kind it has checked, which is what says their type. */
function bySeat<Body extends RecordBody>(
  ids: ReadonlyMap<number, Uint8Array>,
  of: (id: Uint8Array, seat: number) => SignedRecord | undefined,
): ReadonlyMap<number, SignedRecord<Body>> | undefined {
  const found = new Map<number, SignedRecord<Body>>();
  for (const [seat, id] of ids) {
    const record = of(id, seat);
    if (record === undefined) return undefined;
    found.set(seat, record as SignedRecord<Body>);
  }
  return found;
}

function mapValues<A, B>(map: ReadonlyMap<number, A>, of: (value: A) => B): ReadonlyMap<number, B> {
  return new Map([...map].map(([seat, value]) => [seat, of(value)]));
}
