// One epoch from signed records to scores (protocol.md 4 to 8): seven nodes, of which one commits late, one reveals nothing, one shows two
// faces, one reveals something else, one audits; two witnesses differ. Nothing is drawn but from words.

import { commitmentOf, encodeHosterPayload, encodeScorePayload } from '../../src/consensus/commitment.ts';
import { type NamedRecords, readEvidence } from '../../src/consensus/evidence.ts';
import { score } from '../../src/consensus/score.ts';
import { epochOfKind, toWitnessList } from '../../src/consensus/witness.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { type Epoch, type NodeId, ONE, type ShardIndex } from '../../src/types/ids.ts';
import type {
  EpochKind,
  HosterCommit,
  RecordBody,
  Reveal,
  ScoreCommit,
  SignedRecord,
  Witness,
} from '../../src/types/record.ts';
import { WITNESSED } from '../../src/types/record.ts';
import { compareBytes, fromHex, toHex } from '../../src/util/bytes.ts';
import { countMembers, idsOf, recordsOf } from '../../src/validator/dossier.ts';
import { encodeArgs, evidenceRoot } from '../../src/wire/evidence.ts';
import { signRecord } from '../../src/wire/record.ts';
import { createDice, drawn, EPOCH, GENESIS, MANIFEST, rosterOf, SEED, SUBNET } from './common.ts';

const BEFORE = (EPOCH - 1) as Epoch;
const IDS = [1, 2, 3, 5, 8, 13, 21];
const identities = new Map(IDS.map((id) => [id, identityFromSeed(drawn(`key ${id}`, 32))]));
const peers = IDS.map((id) => identityOf(id).peer);
const roster = rosterOf(IDS, { peers });
const previous = rosterOf(IDS, { peers, epoch: BEFORE });
const TAUS = [1024, 600];
const POLICY = { hosterShare: (75n * ONE) / 100n, attestorShare: (25n * ONE) / 100n };
const [LATE, SILENT, TWO_FACED, OTHER, AUDITS] = [2, 3, 5, 8, 21];

function identityOf(id: number) {
  const found = identities.get(id);
  if (found === undefined) throw new RangeError(`no node ${id}`);
  return found;
}

function sign<Body extends RecordBody>(body: Body): SignedRecord<Body> {
  return signRecord(body, identityOf(body.node));
}

const head = (epoch: Epoch, node: number) => ({ genesis: GENESIS, subnet: SUBNET, epoch, node: node as NodeId });
const dice = createDice('epoch');

/** Near the truth, as another machine computes it. */
function sketchFor(shard: number): Uint8Array {
  const truth = new DataView(drawn(`truth ${shard}`, 512).buffer);
  const out = new DataView(new ArrayBuffer(512));
  for (let i = 0; i < 128; i++) out.setInt32(4 * i, (truth.getInt32(4 * i, true) >> 4) + dice(41) - 20, true);
  return new Uint8Array(out.buffer);
}

interface Work {
  readonly hc: SignedRecord<HosterCommit>;
  readonly hr: SignedRecord<Reveal>;
}

function workOf(node: number, shards: readonly number[], salt: string): Work {
  const payload = encodeHosterPayload(
    shards.map((shard) => ({ shard: shard as ShardIndex, sketch: sketchFor(shard) })),
  );
  const audits = node === AUDITS;
  const opening = { salt: drawn(`${salt} ${node}`, 32), payload };
  const binding = {
    what: 'hoster',
    ...head(EPOCH, node),
    peer: identityOf(node).peer,
    manifest: MANIFEST,
    audits,
  } as const;
  return {
    hc: sign({
      kind: 'hc',
      ...head(EPOCH, node),
      commitment: commitmentOf(binding, opening),
      manifest: MANIFEST,
      audits,
    }),
    hr: sign({ kind: 'hr', ...head(EPOCH, node), ...opening }),
  };
}

function scoresOf(node: number, scores: readonly (readonly [number, bigint])[]) {
  const payload = encodeScorePayload(scores.map(([id, value]) => ({ nodeId: id as NodeId, score: value })));
  const opening = { salt: drawn(`score salt ${node}`, 32), payload };
  const binding = {
    what: 'score',
    ...head(BEFORE, node),
    peer: identityOf(node).peer,
    manifest: MANIFEST,
    audits: false,
  } as const;
  return {
    sc: sign<ScoreCommit>({ kind: 'sc', ...head(BEFORE, node), commitment: commitmentOf(binding, opening) }),
    sr: sign<Reveal>({ kind: 'sr', ...head(BEFORE, node), ...opening }),
  };
}

const works = new Map([1, 2, 3, 5, 8, 13, 21].map((id) => [id, workOf(id, id === 1 ? [0] : [0, 1], 'salt')]));
const second = workOf(TWO_FACED, [0], 'another salt');
const voted = new Map(
  IDS.map((id, i) => [
    id,
    scoresOf(
      id,
      IDS.map((other, j) => [other, (ONE / 7n) * BigInt(1 + ((i * j) % 3))] as const),
    ),
  ]),
);

const of = <Key extends 'hc' | 'hr'>(key: Key) => new Map([...works].map(([id, work]) => [id, work[key]]));
const scored = <Key extends 'sc' | 'sr'>(key: Key) => new Map([...voted].map(([id, one]) => [id, one[key]]));
const lied = sign<Reveal>({ ...(works.get(OTHER) as Work).hr.body, salt: drawn('not the salt', 32) });

type Lists = ReadonlyMap<number, SignedRecord>;
const NOBODY: Lists = new Map();
const without = (lists: Lists, ...ids: readonly number[]): Lists =>
  new Map([...lists].filter(([id]) => !ids.includes(id)));

function witness(
  kind: Witness['kind'],
  epoch: Epoch,
  node: number,
  lists: { readonly [K in EpochKind]?: Lists },
): SignedRecord<Witness> {
  const held = WITNESSED[kind].map((one) => {
    const ids = [...(lists[one] ?? NOBODY)].map(([id, record]) => [IDS.indexOf(id), record.id] as const);
    return toWitnessList(new Map(ids.sort(([a], [b]) => a - b)), IDS.length);
  });
  return sign({ kind, ...head(epoch, node), held });
}

/** `wb` of the epoch before, by all but one. */
const oldSecond = new Map(IDS.slice(1).map((id) => [id, witness('wb', BEFORE, id, {})]));
const accusing = new Map(
  [1, 2].map((id) => [
    id,
    sign({
      kind: 'au',
      ...head(BEFORE, id),
      verdicts: [{ accused: 13 as NodeId, shard: 0 as ShardIndex, segment: drawn('segment', 32), bad: true }],
    }),
  ]),
);
// The late commitment is listed by three of seven; both faces of another by some.
const firsts = new Map(
  IDS.map((id, i) => {
    const hc = new Map<number, SignedRecord>(without(of('hc'), ...(i < 3 ? [] : [LATE])));
    if (i === 6) hc.set(TWO_FACED, second.hc);
    return [id, witness('wa', EPOCH, id, { hc, sc: scored('sc'), wb: oldSecond, au: accusing })];
  }),
);
const reveals = new Map<number, SignedRecord>([...without(of('hr'), SILENT), [OTHER, lied]]);
const seconds = new Map(
  IDS.map((id, i) => [
    id,
    witness('wb', EPOCH, id, {
      hr: i === 0 ? without(reveals, 1) : reveals,
      sr: without(scored('sr'), 3),
      wa: without(firsts, 5),
    }),
  ]),
);

const seatsOf = (records: ReadonlyMap<number, SignedRecord<Witness>>, ids: readonly number[]) =>
  new Map(ids.map((id) => [IDS.indexOf(id), records.get(id) as SignedRecord<Witness>] as const));
const faces = [(works.get(TWO_FACED) as Work).hc, second.hc].sort((a, b) => compareBytes(a.id, b.id));
const members = {
  first: seatsOf(firsts, [1, 2, 3, 5, 8, 13]),
  second: seatsOf(seconds, [1, 2, 3, 8, 13, 21]),
  proofs: new Map([[IDS.indexOf(TWO_FACED), faces as unknown as readonly [SignedRecord, SignedRecord]]]),
};

const all: readonly SignedRecord[] = [
  ...[...works.values()].flatMap(({ hc, hr }) => [hc, hr]),
  second.hc,
  lied,
  ...[...voted.values()].flatMap(({ sc, sr }) => [sc, sr]),
  ...[oldSecond, firsts, seconds, accusing].flatMap((records) => [...records.values()]),
];
const byId = (id: Uint8Array) => all.find((one) => compareBytes(one.id.subarray(0, id.length), id) === 0);
const { ids, missing } = idsOf(members, countMembers(members, roster), (_, short) => byId(fromHex(short))?.id);
const named = recordsOf(ids, roster, EPOCH, byId) as NamedRecords | undefined;
if (missing.length > 0 || named === undefined) throw new Error('a record that counts is missing');

const rosters = { current: roster, previous };
const context = { genesis: GENESIS, subnet: SUBNET, manifest: MANIFEST, previousManifest: MANIFEST };
const scores = score(readEvidence(named, rosters, context), rosters, { seed: fromHex(SEED), taus: TAUS }, POLICY);
const args = encodeArgs(
  {
    epoch: EPOCH,
    first: [...members.first.keys()],
    second: [...members.second.keys()],
    equivocators: [...members.proofs.keys()],
    root: evidenceRoot(roster, ids),
  },
  IDS.length,
);

export const epoch = {
  comment: 'both rosters are these nodes, all of them validators, e-1 was live; the records in any order',
  genesis: toHex(GENESIS),
  subnet: SUBNET,
  epoch: EPOCH,
  manifest: toHex(MANIFEST),
  seed: SEED,
  taus: TAUS,
  hosterShare: String(POLICY.hosterShare),
  attestorShare: String(POLICY.attestorShare),
  nodes: IDS.map((id) => ({ id, peer: identityOf(id).peer })),
  records: [...all].sort((a, b) => compareBytes(a.id, b.id)).map(({ bytes }) => toHex(bytes)),
  epochs: Object.fromEntries(
    (['hc', 'hr', 'sc', 'sr', 'wa', 'wb', 'au'] as const).map((kind) => [kind, epochOfKind(kind, EPOCH)]),
  ),
  args: toHex(args),
  scores: scores.map(({ nodeId, score: value }) => [nodeId, String(value)]),
};
