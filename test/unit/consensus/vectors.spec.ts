// The vectors that every implementation shares (protocol.md 17; made by scripts/vectors.ts, challenge and sketch checked against a second
// program in another language).

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { challengeInput, epochSeed, inputsDigest } from '../../../src/consensus/challenge.ts';
import { isqrt, median, medianVector } from '../../../src/consensus/integer.ts';
import { firstBlock, phaseAt, windowsOf } from '../../../src/consensus/phase.ts';
import { agreement, score } from '../../../src/consensus/score.ts';
import { sketchOf } from '../../../src/consensus/sketch.ts';
import type { BlockNumber, Epoch, NodeId, ShardIndex, SubnetId } from '../../../src/types/ids.ts';
import type { Manifest, ManifestShard } from '../../../src/types/model.ts';
import type { Roster, RosterNode } from '../../../src/types/subnet.ts';
import { fromHex, toHex } from '../../../src/util/bytes.ts';

function load<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

describe('vectors: clock', () => {
  const clock = load<{
    windows: { length: number; commit: number; reveal: number; score: number }[];
    phases: {
      slot: number;
      length: number;
      epoch: number;
      at: { block: number; offset: number; phase: string }[];
      none: number[];
    };
  }>('clock');

  it('gives the windows of each epoch length', () => {
    for (const expected of clock.windows) assert.deepEqual(windowsOf(expected.length), expected);
  });

  it('gives each block its epoch, offset and phase', () => {
    const { slot, length: epochLength, epoch, at, none } = clock.phases;
    for (const { block, offset, phase } of at) {
      assert.deepEqual(phaseAt(block as BlockNumber, { slot, epochLength }), { epoch, offset, phase });
    }
    for (const block of none) assert.equal(phaseAt(block as BlockNumber, { slot, epochLength }), undefined);
    assert.equal(firstBlock(epoch as Epoch, { slot, epochLength }), 143);
  });
});

describe('vectors: integers', () => {
  const integers = load<{ isqrt: { of: string; is: string }[]; median: { of: number[]; is: number }[] }>('integers');

  it('floors square roots', () => {
    for (const { of, is } of integers.isqrt) assert.equal(isqrt(BigInt(of)), BigInt(is));
  });

  it('floors medians toward minus infinity', () => {
    for (const { of, is } of integers.median) assert.equal(median(of.map(BigInt)), BigInt(is), `${of}`);
  });
});

describe('vectors: challenge', () => {
  const vector = load<{
    genesis: string;
    subnet: number;
    epoch: number;
    blockHash: string;
    seed: string;
    manifest: string;
    vocab: number;
    specials: number;
    width: number;
    positions: number;
    tokens: { shard: number; ids: number[] };
    hidden: { shard: number; gBits: number; bits: number[] };
    sketch: { shard: number; rmsBits: number; output: number[]; bytes: string };
  }>('challenge');
  const seed = fromHex(vector.seed);
  const manifest = {
    shape: { width: vector.width, vocab: vector.vocab },
    tokenizer: { specials: vector.specials },
  } as Manifest;

  it('derives the seed', () => {
    const { genesis, subnet, epoch, blockHash } = vector;
    const found = epochSeed(fromHex(genesis), subnet as SubnetId, epoch as Epoch, fromHex(blockHash));
    assert.equal(toHex(found), vector.seed);
  });

  it('draws tokens and hidden states', () => {
    const draw = (shard: number, of: Partial<ManifestShard>) =>
      challengeInput(seed, fromHex(vector.manifest), shard as ShardIndex, {
        manifest,
        of: of as ManifestShard,
        positions: vector.positions,
      });
    const tokens = draw(vector.tokens.shard, { first: true });
    assert.deepEqual(tokens.kind === 'tokens' && [...tokens.ids], vector.tokens.ids);
    const hidden = draw(vector.hidden.shard, { first: false, gBits: vector.hidden.gBits });
    assert.deepEqual(hidden.kind === 'hidden' && [...new Uint32Array(hidden.data.buffer)], vector.hidden.bits);
  });

  it('digests the inputs of all shards', () => {
    const ids = Int32Array.from(vector.tokens.ids);
    const data = new Float32Array(Uint32Array.from(vector.hidden.bits).buffer);
    const digest = createHash('sha256').update('\x10tessera/inputs/1');
    digest.update(Uint8Array.of(0, 0)).update(ids).update(Uint8Array.of(1, 0)).update(data);
    const inputs = [{ kind: 'tokens', ids } as const, { kind: 'hidden', data, count: vector.positions } as const];
    assert.equal(toHex(inputsDigest(inputs)), digest.digest('hex'));
  });

  it('sketches an output', () => {
    const { shard, output, rmsBits, bytes } = vector.sketch;
    const sketch = sketchOf(seed, shard as ShardIndex, Float32Array.from(output), rmsBits);
    assert.equal(toHex(sketch ?? new Uint8Array()), bytes);
  });
});

describe('vectors: score', () => {
  const vector = load<{
    taus: number[];
    hosterShare: string;
    attestorShare: string;
    sketches: { shard: number; node: number; entries: number[] }[];
    reveals: { node: number; scores: string[] }[];
    presence: Record<string, number>;
    scores: Record<string, string>;
    agreement: { reveals: string[][]; a: string[] };
  }>('score');

  it('scores the worked example to the last digit', () => {
    const roster: Roster = {
      epoch: 7 as Epoch,
      nodes: [1, 2, 3, 4, 5].map((id) => ({ id }) as RosterNode),
      validators: [1, 2, 3, 4, 5] as NodeId[],
      live: true,
    };
    const hosters = Map.groupBy(vector.sketches, ({ node }) => node as NodeId);
    const found = score(
      {
        hosters: new Map(
          [...hosters].map(([node, all]) => {
            const sketches = all.map(({ shard, entries }) => ({
              shard: shard as ShardIndex,
              entries: entries.map(BigInt),
            }));
            return [node, { audits: false, sketches }];
          }),
        ),
        reveals: new Map(
          vector.reveals.map(({ node, scores }) => [
            node as NodeId,
            scores.map((value, i) => ({ nodeId: (i + 1) as NodeId, score: BigInt(value) })),
          ]),
        ),
        presence: new Map(Object.entries(vector.presence).map(([node, w]) => [Number(node) as NodeId, w])),
        zeroed: new Set(),
      },
      { current: roster, previous: roster },
      { seed: new Uint8Array(32), taus: vector.taus },
      { hosterShare: BigInt(vector.hosterShare), attestorShare: BigInt(vector.attestorShare) },
    );
    const expected = Object.entries(vector.scores).map(([node, value]) => [Number(node), BigInt(value)]);
    assert.deepEqual(
      found.map(({ nodeId, score: value }) => [nodeId, value]),
      expected,
    );
  });

  it('measures agreement with the median', () => {
    const reveals = vector.agreement.reveals.map((all) => all.map(BigInt));
    const reference = medianVector(reveals);
    assert.deepEqual(
      reveals.map((one) => agreement(one, reference)),
      vector.agreement.a.map(BigInt),
    );
  });
});
