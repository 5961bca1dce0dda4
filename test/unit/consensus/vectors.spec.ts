// The vectors that every implementation shares (protocol.md 17; made by scripts/vectors.ts, recomputed by test/vectors/check.py). This side
// of them: what the rules in src/consensus say.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { challengeInput, epochSeed, inputsDigest } from '../../../src/consensus/challenge.ts';
import {
  commitmentOf,
  decodeHosterPayload,
  decodeScorePayload,
  encodeHosterPayload,
  encodeScorePayload,
  shardsToName,
} from '../../../src/consensus/commitment.ts';
import { isqrt, median, medianVector } from '../../../src/consensus/integer.ts';
import { phaseAt, windowOf, windowsOf } from '../../../src/consensus/phase.ts';
import { agreement, drawnAuditors, quality, score } from '../../../src/consensus/score.ts';
import { sketchOf } from '../../../src/consensus/sketch.ts';
import { chooseWitnesses, closingCount, majorityOf, quorumOf, readWitness } from '../../../src/consensus/witness.ts';
import type { BlockNumber, Epoch, NodeId, PeerId, ShardIndex, SubnetId } from '../../../src/types/ids.ts';
import type { Manifest, ManifestShard } from '../../../src/types/model.ts';
import type { EpochKind, Witness } from '../../../src/types/record.ts';
import { WITNESSED } from '../../../src/types/record.ts';
import type { Roster, RosterNode } from '../../../src/types/subnet.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';

function load<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

function rosterOf(ids: readonly number[], validators: readonly number[], live = true): Roster {
  const nodes = ids.map((id) => ({ id }) as RosterNode);
  return { epoch: 7 as Epoch, nodes, validators: validators as NodeId[], live };
}

function floatsOf(bits: readonly number[]): Float32Array {
  return new Float32Array(Uint32Array.from(bits).buffer);
}

describe('vectors: phase', () => {
  interface Group {
    readonly windows: readonly { length: number; commit: number; reveal: number; score: number }[];
    readonly phases: readonly { slot: number; length: number; block: number; at: object | null }[];
    readonly quorums: readonly { validators: number; quorum: number; closing: number }[];
  }
  const file = load<
    Group & {
      stated: Group;
      kinds: { kind: EpochKind; slot: number; length: number; epoch: number; opens: number; closes: number }[];
    }
  >('phase');

  it('gives the windows of each epoch length, and each block its epoch, offset and phase', () => {
    for (const { windows, phases } of [file, file.stated]) {
      for (const expected of windows) assert.deepEqual(windowsOf(expected.length), expected);
      for (const { slot, length, block, at } of phases) {
        const found = phaseAt(block as BlockNumber, { slot, epochLength: length });
        assert.deepEqual(found ?? null, at, `block ${block} of ${length}`);
      }
    }
  });

  it('gives each kind its window', () => {
    for (const { kind, slot, length, epoch, ...window } of file.kinds) {
      assert.deepEqual(windowOf(kind, epoch as Epoch, { slot, epochLength: length }), window, kind);
    }
  });

  it('counts quorums', () => {
    for (const { quorums } of [file, file.stated]) {
      for (const { validators, quorum, closing } of quorums) {
        assert.deepEqual([quorumOf(validators), closingCount(validators)], [quorum, closing], `${validators}`);
      }
    }
  });
});

describe('vectors: challenge', () => {
  const file = load<{
    seeds: { genesis: string; subnet: number; epoch: number; blockHash: string; seed: string }[];
    manifest: string;
    tokens: { shard: number; vocab: number; specials: number; positions: number; ids: number[] }[];
    hidden: { shard: number; width: number; positions: number; gBits: number; bits: number[] }[];
    digest: { inputs: { tokens?: number[]; bits?: number[] }[]; digest: string };
    named: { node: number; shards: ShardIndex[]; named: number[] }[];
    auditors: { shard: number; validators: number[]; drawn: number[] }[];
  }>('challenge');
  const seed = fromHex(file.seeds[0]?.seed ?? '');

  it('derives seeds', () => {
    for (const { genesis, subnet, epoch, blockHash, seed: expected } of file.seeds) {
      const found = epochSeed(fromHex(genesis), subnet as SubnetId, epoch as Epoch, fromHex(blockHash));
      assert.equal(toHex(found), expected);
    }
  });

  it('draws tokens and hidden states', () => {
    const draw = (shard: number, manifest: Partial<Manifest>, of: Partial<ManifestShard>, positions: number) =>
      challengeInput(seed, fromHex(file.manifest), shard as ShardIndex, {
        manifest: manifest as Manifest,
        of: of as ManifestShard,
        positions,
      });
    for (const { shard, vocab, specials, positions, ids } of file.tokens) {
      const model = { shape: { vocab }, tokenizer: { specials } } as Manifest;
      const found = draw(shard, model, { first: true }, positions);
      assert.deepEqual(found.kind === 'tokens' && [...found.ids], ids);
    }
    for (const { shard, width, positions, gBits, bits } of file.hidden) {
      const found = draw(shard, { shape: { width } } as Manifest, { first: false, gBits }, positions);
      assert.deepEqual(found.kind === 'hidden' && [...new Uint32Array(found.data.buffer)], bits);
    }
  });

  it('digests the inputs of all shards', () => {
    const inputs = file.digest.inputs.map(({ tokens, bits }) =>
      tokens === undefined
        ? ({ kind: 'hidden', data: floatsOf(bits ?? []), count: 3 } as const)
        : ({ kind: 'tokens', ids: Int32Array.from(tokens) } as const),
    );
    assert.equal(toHex(inputsDigest(inputs)), file.digest.digest);
  });

  it('draws the shards that are named and the auditors that count', () => {
    for (const { node, shards, named } of file.named) {
      assert.deepEqual(shardsToName(seed, node as NodeId, shards), named);
    }
    for (const { shard, validators, drawn } of file.auditors) {
      const found = drawnAuditors(rosterOf(validators, validators), seed, shard as ShardIndex);
      assert.deepEqual(
        [...found].sort((a, b) => a - b),
        drawn,
      );
    }
  });
});

describe('vectors: sketch', () => {
  const file = load<{
    seed: string;
    sketches: { why: string; shard: number; rmsBits: number; output: number[]; sketch: string | null }[];
  }>('sketch');

  for (const { why, shard, rmsBits, output, sketch } of file.sketches) {
    it(`of ${why}`, () => {
      const found = sketchOf(fromHex(file.seed), shard as ShardIndex, floatsOf(output), rmsBits);
      assert.equal(found === undefined ? null : toHex(found), sketch);
    });
  }
});

describe('vectors: commitment', () => {
  const file = load<{
    commitments: {
      what: 'hoster' | 'score';
      genesis: string;
      subnet: SubnetId;
      epoch: Epoch;
      node: NodeId;
      peer: PeerId;
      manifest: string;
      audits: boolean;
      salt: string;
      payload: string;
      commitment: string;
    }[];
    hosterPayloads: { bytes: string; shards: [number, string][] | null }[];
    scorePayloads: { bytes: string; scores: [number, string][] | null }[];
  }>('commitment');

  it('binds what it should', () => {
    for (const { genesis, manifest, salt, payload, commitment, ...rest } of file.commitments) {
      const binding = { ...rest, genesis: fromHex(genesis), manifest: fromHex(manifest) };
      assert.equal(toHex(commitmentOf(binding, { salt: fromHex(salt), payload: fromHex(payload) })), commitment);
    }
  });

  it('reads payloads, and refuses those that do not parse', () => {
    for (const { bytes, shards } of file.hosterPayloads) {
      const found = decodeHosterPayload(fromHex(bytes));
      assert.deepEqual(found?.map(({ shard, sketch }) => [shard, toHex(sketch)]) ?? null, shards);
      if (found !== undefined) assert.equal(toHex(encodeHosterPayload(found)), bytes);
    }
    for (const { bytes, scores } of file.scorePayloads) {
      const found = decodeScorePayload(fromHex(bytes));
      assert.deepEqual(found?.map(({ nodeId, score: value }) => [nodeId, String(value)]) ?? null, scores);
      if (found !== undefined) assert.equal(toHex(encodeScorePayload(found)), bytes);
    }
  });
});

describe('vectors: witnesses', () => {
  const file = load<{
    witnesses: {
      kind: Witness['kind'];
      seats: number;
      quorum: number;
      members: { seats: string; ids: string }[][];
      in: Record<string, [number, string][]>;
      named: number[];
    }[];
  }>('evidence');

  it('make count what more than half of them list, and an honest proposer names those that differ least', () => {
    for (const { kind, seats, quorum, members, in: counted, named } of file.witnesses) {
      const read = members.flatMap((lists) => {
        const held = lists.map((list) => ({ seats: fromHex(list.seats), ids: fromHex(list.ids) }));
        return readWitness({ kind, held }, seats) ?? [];
      });
      assert.equal(read.length, members.length);
      for (const one of WITNESSED[kind]) assert.deepEqual([...majorityOf(read, one)], counted[one]);
      const chosen = chooseWitnesses(new Map(read.map((listed, i) => [i, listed])), quorum);
      assert.deepEqual(
        [...chosen].sort((a, b) => a - b),
        named,
      );
    }
  });
});

describe('vectors: score', () => {
  interface Sketches {
    readonly node: NodeId;
    readonly audits: boolean;
    readonly sketches: readonly { shard: ShardIndex; entries: number[] }[];
  }
  interface Case {
    readonly why: string;
    readonly current: number[];
    readonly previous: number[];
    readonly previousLive: boolean;
    readonly validators: number[];
    readonly taus: number[];
    readonly hosterShare: string;
    readonly attestorShare: string;
    readonly hosters: readonly Sketches[];
    readonly reveals: readonly { node: NodeId; scores: [NodeId, string][] }[];
    readonly presence: Record<string, number>;
    readonly zeroed: NodeId[];
    readonly scores: [number, string][];
  }
  interface Integers {
    readonly isqrt: { of: string; is: string }[];
    readonly median: { of: number[]; is: number }[];
  }
  interface Reveals {
    readonly reveals: string[][];
    readonly a: string[];
  }
  const file = load<
    Integers & {
      seed: string;
      stated: Integers;
      quality: { tau: number; entries: number[]; reference: number[]; q: string }[];
      agreement: Reveals[];
      example: {
        taus: number[];
        hosterShare: string;
        attestorShare: string;
        sketches: { shard: ShardIndex; node: NodeId; entries: number[] }[];
        reveals: { node: NodeId; scores: string[] }[];
        presence: Record<string, number>;
        scores: Record<string, string>;
        agreement: Reveals;
      };
      cases: Case[];
    }
  >('score');
  const seed = fromHex(file.seed);

  function scoresOf(one: Omit<Case, 'why' | 'scores'>) {
    const hosters = one.hosters.map(({ node, audits, sketches }) => {
      const read = sketches.map(({ shard, entries }) => ({ shard, entries: entries.map(BigInt) }));
      return [node, { audits, sketches: read }] as const;
    });
    const reveals = one.reveals.map(({ node, scores }) => {
      return [node, scores.map(([nodeId, value]) => ({ nodeId, score: BigInt(value) }))] as const;
    });
    const found = score(
      {
        hosters: new Map(hosters),
        reveals: new Map(reveals),
        presence: new Map(Object.entries(one.presence).map(([node, w]) => [Number(node) as NodeId, w])),
        zeroed: new Set(one.zeroed),
      },
      {
        current: rosterOf(one.current, one.validators),
        previous: rosterOf(one.previous, one.previous, one.previousLive),
      },
      { seed, taus: one.taus },
      { hosterShare: BigInt(one.hosterShare), attestorShare: BigInt(one.attestorShare) },
    );
    return found.map(({ nodeId, score: value }) => [Number(nodeId), String(value)]);
  }

  it('floors square roots, and medians toward minus infinity', () => {
    for (const { isqrt: roots, median: medians } of [file, file.stated]) {
      for (const { of, is } of roots) assert.equal(isqrt(BigInt(of)), BigInt(is));
      for (const { of, is } of medians) assert.equal(median(of.map(BigInt)), BigInt(is), `${of}`);
    }
  });

  it('measures quality up to the cutoff, and agreement with the median', () => {
    for (const { tau, entries, reference, q } of file.quality) {
      assert.equal(quality(entries.map(BigInt), reference.map(BigInt), tau), BigInt(q));
    }
    for (const { reveals, a } of [...file.agreement, file.example.agreement]) {
      const vectors = reveals.map((all) => all.map(BigInt));
      const reference = medianVector(vectors);
      assert.deepEqual(
        vectors.map((one) => agreement(one, reference)),
        a.map(BigInt),
      );
    }
  });

  it('scores the worked example to the last digit', () => {
    const { sketches, reveals, scores, ...rest } = file.example;
    const nodes = [1, 2, 3, 4, 5];
    const hosters = [...Map.groupBy(sketches, ({ node }) => node)];
    const found = scoresOf({
      ...rest,
      current: nodes,
      previous: nodes,
      previousLive: true,
      validators: nodes,
      zeroed: [],
      hosters: hosters.map(([node, all]) => ({ node, audits: false, sketches: all })),
      reveals: reveals.map(({ node, scores: all }) => ({
        node,
        scores: all.map((value, i) => [(i + 1) as NodeId, value] as [NodeId, string]),
      })),
    });
    assert.deepEqual(
      found,
      Object.entries(scores).map(([node, value]) => [Number(node), value]),
    );
  });

  for (const { why, scores, ...given } of file.cases) {
    it(`scores ${why}`, () => assert.deepEqual(scoresOf(given), scores));
  }
});
