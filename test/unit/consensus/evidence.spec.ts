// Which records open, and what they are worth to the score (protocol.md 6, 9).

import assert from 'node:assert/strict';
import { keptByChain, scoresAgree } from '../../../src/consensus/attest.ts';
import { commitmentOf, encodeHosterPayload, encodeScorePayload } from '../../../src/consensus/commitment.ts';
import { type NamedRecords, readEvidence } from '../../../src/consensus/evidence.ts';
import { score } from '../../../src/consensus/score.ts';
import { sketchEntries, sketchOf } from '../../../src/consensus/sketch.ts';
import { identityFromSeed } from '../../../src/p2p/identity.ts';
import type { Address, Epoch, NodeId, ShardIndex, SubnetId } from '../../../src/types/ids.ts';
import type { HosterCommit, Reveal, ScoreCommit, SignedRecord } from '../../../src/types/record.ts';
import type { Roster } from '../../../src/types/subnet.ts';
import { signRecord } from '../../../src/wire/record.ts';

const GENESIS = new Uint8Array(32).fill(1);
const SUBNET = 128_001 as SubnetId;
const MANIFEST = new Uint8Array(32).fill(4);
const OTHER = new Uint8Array(32).fill(5);
const CONTEXT = { genesis: GENESIS, subnet: SUBNET, manifest: MANIFEST, previousManifest: MANIFEST };
const identities = [1, 2, 3].map((i) => identityFromSeed(new Uint8Array(32).fill(i)));

function roster(epoch: number, live = true): Roster {
  const nodes = identities.map(({ peer }, i) => ({
    id: (i + 1) as NodeId,
    peer,
    hotkey: '0x' as Address,
    nodeClass: 'Validator' as const,
    startEpoch: 0 as Epoch,
  }));
  return { epoch: epoch as Epoch, nodes, validators: nodes.map(({ id }) => id), live };
}

const ROSTERS = { current: roster(7), previous: roster(6) };
const salt = new Uint8Array(32).fill(9);
const sketches = encodeHosterPayload([{ shard: 0 as ShardIndex, sketch: new Uint8Array(512).fill(1) }]);
const scores = encodeScorePayload([{ nodeId: 1 as NodeId, score: 5n }]);

function commit(node: number, manifest = MANIFEST): SignedRecord<HosterCommit> {
  const head = { genesis: GENESIS, subnet: SUBNET, epoch: 7 as Epoch, node: node as NodeId };
  const identity = identities[node - 1] as (typeof identities)[number];
  const binding = { what: 'hoster', ...head, peer: identity.peer, manifest, audits: false } as const;
  const commitment = commitmentOf(binding, { salt, payload: sketches });
  return signRecord({ kind: 'hc', ...head, commitment, manifest, audits: false }, identity);
}

function reveal(kind: 'hr' | 'sr', node: number, payload: Uint8Array): SignedRecord<Reveal> {
  const epoch = (kind === 'hr' ? 7 : 6) as Epoch;
  const head = { genesis: GENESIS, subnet: SUBNET, epoch, node: node as NodeId };
  return signRecord({ kind, ...head, salt, payload }, identities[node - 1] as (typeof identities)[number]);
}

function scoreCommit(node: number): SignedRecord<ScoreCommit> {
  const head = { genesis: GENESIS, subnet: SUBNET, epoch: 6 as Epoch, node: node as NodeId };
  const identity = identities[node - 1] as (typeof identities)[number];
  const binding = { what: 'score', ...head, peer: identity.peer, manifest: MANIFEST, audits: false } as const;
  return signRecord({ kind: 'sc', ...head, commitment: commitmentOf(binding, { salt, payload: scores }) }, identity);
}

type Kind = Exclude<keyof NamedRecords, 'equivocators'>;

function named(parts: { [K in Kind]?: readonly SignedRecord[] }, equivocators: readonly number[] = []): NamedRecords {
  const byNode = (kind: Kind) => new Map((parts[kind] ?? []).map((one) => [one.body.node, one]));
  const kinds = ['hc', 'hr', 'sc', 'sr', 'wa', 'wb', 'au'] as const;
  const records = Object.fromEntries(kinds.map((kind) => [kind, byNode(kind)]));
  return { ...records, equivocators: new Set(equivocators) } as unknown as NamedRecords;
}

function witness(kind: 'wa' | 'wb', node: number): SignedRecord {
  const epoch = (kind === 'wa' ? 7 : 6) as Epoch;
  const head = { genesis: GENESIS, subnet: SUBNET, epoch, node: node as NodeId };
  return signRecord({ kind, ...head, held: [] }, identities[node - 1] as (typeof identities)[number]);
}

function audit(node: number, ...accused: readonly [number, boolean][]): SignedRecord {
  const head = { genesis: GENESIS, subnet: SUBNET, epoch: 6 as Epoch, node: node as NodeId };
  const verdicts = accused.map(([id, bad]) => ({ accused: id as NodeId, shard: 0 as ShardIndex, segment: salt, bad }));
  return signRecord({ kind: 'au', ...head, verdicts }, identities[node - 1] as (typeof identities)[number]);
}

describe('evidence', () => {
  it('reads what was opened', () => {
    const found = readEvidence(named({ hc: [commit(1)], hr: [reveal('hr', 1, sketches)] }), ROSTERS, CONTEXT);
    const hoster = found.hosters.get(1 as NodeId);
    assert.equal(hoster?.sketches[0]?.shard, 0);
    assert.equal(hoster?.sketches[0]?.entries.length, 128);
    assert.equal(hoster?.sketches[0]?.entries[0], 0x01010101n);
  });

  it('has nothing of a node without a reveal, with another reveal, with a commitment of another or to another model', () => {
    const stolen = { ...commit(1), body: { ...commit(1).body, node: 2 as NodeId } };
    for (const records of [
      named({ hc: [commit(1)] }),
      named({ hc: [commit(1)], hr: [reveal('hr', 1, encodeHosterPayload([]))] }),
      named({ hc: [commit(1)], hr: [reveal('hr', 1, new Uint8Array([1, 2]))] }),
      named({ hc: [stolen], hr: [reveal('hr', 2, sketches)] }),
      named({ hc: [commit(1, OTHER)], hr: [reveal('hr', 1, sketches)] }),
    ]) {
      const [hoster] = readEvidence(records, ROSTERS, CONTEXT).hosters.values();
      assert.deepEqual(hoster, { audits: false, sketches: [] });
    }
  });

  it('takes a reveal of work whose commitment was late for work that shows nothing, and ignores one of scores', () => {
    const late = named({ hr: [reveal('hr', 1, sketches)], sr: [reveal('sr', 1, scores)], wa: [witness('wa', 1)] });
    const found = readEvidence(late, ROSTERS, CONTEXT);
    assert.deepEqual([...found.hosters], [[1, { audits: false, sketches: [] }]]);
    assert.equal(found.reveals.size, 0);
    const shares = { hosterShare: 75n * 10n ** 16n, attestorShare: 25n * 10n ** 16n };
    const challenge = { seed: salt, taus: [100] };
    const present = { ...ROSTERS, previous: roster(6, false) };
    const paid = (records: NamedRecords) => score(readEvidence(records, present, CONTEXT), present, challenge, shares);
    assert.deepEqual(paid(late), [], 'nothing for voting either');
    assert.equal(paid(named({ wa: [witness('wa', 1)] })).length, 1, 'who only votes is paid');
  });

  it('reads the scores that were opened, of who had a seat in both epochs', () => {
    const records = named({
      sc: [scoreCommit(1), scoreCommit(2)],
      sr: [reveal('sr', 1, scores), reveal('sr', 2, sketches)],
    });
    assert.deepEqual([...readEvidence(records, ROSTERS, CONTEXT).reveals], [[1, [{ nodeId: 1, score: 5n }]]]);
    const gone = { ...ROSTERS, current: { ...ROSTERS.current, nodes: ROSTERS.current.nodes.slice(1) } };
    assert.equal(readEvidence(records, gone, CONTEXT).reveals.size, 0);
  });

  it('counts as present whose witnesses are in; twice the first of who could not have witnessed before', () => {
    const records = named({ wa: [witness('wa', 1), witness('wa', 2)], wb: [witness('wb', 2), witness('wb', 3)] });
    const presence = (rosters: typeof ROSTERS) => [...readEvidence(records, rosters, CONTEXT).presence.values()];
    assert.deepEqual(presence(ROSTERS), [1, 2, 1]);
    assert.deepEqual(presence({ ...ROSTERS, previous: roster(6, false) }), [2, 2, 0]);
    const later = { ...ROSTERS.previous, nodes: ROSTERS.previous.nodes.slice(1) };
    assert.deepEqual(presence({ ...ROSTERS, previous: later }), [2, 2, 1]);
  });

  it('zeroes who is proven to have signed twice, and whom more than half of the validators found bad', () => {
    const zeroed = (au: readonly SignedRecord[], proven: readonly number[] = []) => [
      ...readEvidence(named({ au }, proven), ROSTERS, CONTEXT).zeroed,
    ];
    assert.deepEqual(zeroed([], [3]), [3]);
    assert.deepEqual(zeroed([audit(1, [2, true], [2, true])]), [], 'one of three, however often');
    assert.deepEqual(zeroed([audit(1, [2, true]), audit(3, [2, false])]), []);
    assert.deepEqual(zeroed([audit(1, [2, true]), audit(3, [2, true], [1, true])]), [2]);
    const oneVoter = { ...ROSTERS, current: { ...ROSTERS.current, validators: [2 as NodeId] } };
    assert.deepEqual([...readEvidence(named({ au: [audit(1, [3, true])] }), oneVoter, CONTEXT).zeroed], []);
  });
});

describe('sketch', () => {
  it('is not made of values that are not finite, nor of nothing', () => {
    const seed = new Uint8Array(32);
    assert.equal(sketchOf(seed, 0 as ShardIndex, Float32Array.of(1, Number.NaN), 0x3f800000), undefined);
    assert.equal(sketchOf(seed, 0 as ShardIndex, Float32Array.of(Number.POSITIVE_INFINITY), 0x3f800000), undefined);
    assert.equal(sketchOf(seed, 0 as ShardIndex, new Float32Array(), 0x3f800000), undefined);
  });

  it('rounds ties to even', () => {
    // Two values and 128 entries: the divisor is sqrt(256) = 16, so a first value of x / 2^20 gives x.
    const magnitudes = (x: number) => {
      const sketch = sketchOf(new Uint8Array(32), 0 as ShardIndex, Float32Array.of(x / 2 ** 20, 0), 0x3f800000);
      return new Set(sketchEntries(sketch ?? new Uint8Array()).map((entry) => (entry < 0n ? -entry : entry)));
    };
    assert.deepEqual(
      [0.5, 1.5, 2.5, 3.5, 2.25].map((x) => [...magnitudes(x)]),
      [[0n], [2n], [2n], [4n], [2n]],
    );
  });

  it('saturates at int32 instead of wrapping', () => {
    const sketch = sketchOf(new Uint8Array(32), 0 as ShardIndex, new Float32Array(8).fill(3e38), 0x3f800000);
    const view = new DataView((sketch ?? new Uint8Array()).buffer);
    for (let i = 0; i < 128; i++) assert.ok([2 ** 31 - 1, -(2 ** 31), 0].includes(view.getInt32(i * 4, true)));
  });
});

describe('a proposal', () => {
  const node = (id: number, nodeClass: 'Idle' | 'Validator', startEpoch = 0) => ({
    id: id as NodeId,
    nodeClass,
    startEpoch: startEpoch as Epoch,
  });
  const pair = (id: number, score: bigint) => ({ nodeId: id as NodeId, score });
  const nodes = [node(1, 'Validator'), node(2, 'Validator'), node(3, 'Idle'), node(4, 'Validator', 9)];
  const proposed = { epoch: 8 as Epoch, nodes, scores: [pair(1, 10n), pair(2, 20n)] };

  it('agrees when the chain kept what it keeps of the recomputed pairs', () => {
    const mine = [pair(1, 10n), pair(2, 20n), pair(3, 5n), pair(4, 5n), pair(9, 5n)];
    assert.equal(scoresAgree(proposed, mine), true);
    assert.deepEqual(
      keptByChain(mine, proposed).map(({ nodeId }) => nodeId),
      [1, 2],
    );
  });

  for (const [name, mine] of [
    ['another score', [pair(1, 11n), pair(2, 20n)]],
    ['one too many', [pair(1, 10n)]],
    ['one too few', [pair(1, 10n), pair(2, 20n), pair(4, 1n)]],
  ] as const) {
    it(`differs by ${name}`, () => {
      const started = { ...proposed, nodes: nodes.map((one) => ({ ...one, startEpoch: 0 as Epoch })) };
      assert.equal(scoresAgree(started, mine), false);
    });
  }
});
