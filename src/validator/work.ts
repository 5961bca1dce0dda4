// Answers the epoch's challenge: derived inputs through the engine, outputs to sketches, sketches into a commitment and its reveal
// (protocol.md 5, 6).

import { challengeInput, inputsDigest, shardAt } from '../consensus/challenge.ts';
import { commitmentOf, encodeHosterPayload, type ShardSketch, shardsToName } from '../consensus/commitment.ts';
import { drawnAuditors } from '../consensus/score.ts';
import { sketchOf } from '../consensus/sketch.ts';
import type { Engine } from '../engine/types.ts';
import type { Epoch, NodeId, PeerId, ShardIndex, SubnetId } from '../types/ids.ts';
import type { Manifest, ManifestHash } from '../types/model.ts';
import type { SignedRecord } from '../types/record.ts';
import type { Policy } from '../types/subnet.ts';
import { fromHex } from '../util/bytes.ts';
import type { Log } from '../util/log.ts';
import type { Pen } from './pen.ts';
import type { EpochFacts } from './roster.ts';

/** The manifest of a hash, when this node has it. */
export type ManifestOf = (hash: ManifestHash) => Manifest | undefined;

export interface WorkOptions {
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly peer: PeerId;
  /** Those that it holds now. */
  readonly shards: () => readonly ShardIndex[];
  /** Whether it serves nobody and answers only for shards that it is drawn for, to confirm what hosters show (protocol.md 8.1). */
  readonly audits: boolean;
}

export interface WorkDeps {
  readonly engine: Pick<Engine, 'challenge'> | undefined;
  readonly manifestOf: ManifestOf;
  readonly pen: Pen;
  readonly log: Log;
}

export interface Work {
  /** Runs the shards, unless the journal holds the answer already; then there is something to commit to. */
  answer(epoch: Epoch, facts: EpochFacts, signal: AbortSignal): Promise<'answered' | 'unanswered' | 'undrawn'>;
  /** Seed and inputs for readers without a chain client; undefined without the model. Journaled. */
  prompt(epoch: Epoch, facts: EpochFacts): SignedRecord | undefined;
  /** The commitment to the answer; journaled. */
  commit(epoch: Epoch, facts: EpochFacts): SignedRecord;
  /** Opens the commitment; undefined when none was made. */
  reveal(epoch: Epoch): SignedRecord | undefined;
}

export function createWork(options: WorkOptions, deps: WorkDeps): Work {
  const { genesis, subnet, node, peer, shards, audits } = options;
  const { pen, log } = deps;
  const head = (epoch: Epoch) => ({ genesis, subnet, epoch, node });
  let answered: { readonly epoch: Epoch; readonly payload: Uint8Array } | undefined;

  function askedOf({ roster, seed }: EpochFacts): readonly ShardIndex[] {
    const held = shards();
    return audits ? held.filter((shard) => drawnAuditors(roster, seed, shard).has(node)) : held;
  }

  async function sketchShard(
    shard: ShardIndex,
    { facts, policy, manifest }: { facts: EpochFacts; policy: Policy; manifest: Manifest },
    signal: AbortSignal,
  ): Promise<ShardSketch | undefined> {
    const of = shardAt(manifest, policy.cut, shard);
    if (of === undefined || deps.engine === undefined) return undefined;
    const shape = { manifest, of, positions: policy.challengeTokens };
    const input = challengeInput(facts.seed, fromHex(policy.manifest), shard, shape);
    const output = await deps.engine.challenge(shard, input, signal);
    const sketch = sketchOf(facts.seed, shard, output, of.rmsBits);
    if (sketch === undefined) log.warn('output not finite, shard not named', { shard });
    return sketch === undefined ? undefined : { shard, sketch };
  }

  return {
    async answer(epoch, facts, signal) {
      if (pen.kept('hc', epoch) !== undefined) return 'answered';
      const asked = askedOf(facts);
      // A hoster between two shards has one soon.
      if (asked.length === 0) return audits ? 'undrawn' : 'unanswered';
      const { policy } = facts;
      const manifest = policy === undefined ? undefined : deps.manifestOf(policy.manifest);
      if (policy === undefined || manifest === undefined) {
        log.warn('no model for this policy', { epoch, manifest: policy?.manifest });
        return 'unanswered';
      }
      const sketches: ShardSketch[] = [];
      for (const shard of shardsToName(facts.seed, node, asked)) {
        const sketch = await sketchShard(shard, { facts, policy, manifest }, signal);
        if (sketch !== undefined) sketches.push(sketch);
      }
      if (sketches.length === 0) return 'unanswered';
      answered = { epoch, payload: encodeHosterPayload(sketches) };
      return 'answered';
    },
    prompt(epoch, { policy, seed }) {
      const manifest = policy === undefined ? undefined : deps.manifestOf(policy.manifest);
      if (policy === undefined || manifest === undefined) return undefined;
      const inputs = (manifest.cuts[policy.cut] ?? []).flatMap((_, k) => {
        const of = shardAt(manifest, policy.cut, k as ShardIndex);
        const shape = of === undefined ? undefined : { manifest, of, positions: policy.challengeTokens };
        return shape === undefined ? [] : challengeInput(seed, fromHex(policy.manifest), k as ShardIndex, shape);
      });
      return pen.sign({ kind: 'pr', ...head(epoch), seed, digest: inputsDigest(inputs) });
    },
    commit(epoch, facts) {
      const { policy } = facts;
      if (policy === undefined) throw new Error(`no policy in epoch ${epoch}`);
      const manifest = fromHex(policy.manifest);
      const opening = pen.opening('hc', epoch, () => {
        if (answered?.epoch !== epoch) throw new Error(`no answer for epoch ${epoch}`);
        return answered.payload;
      });
      const binding = { what: 'hoster', ...head(epoch), peer, manifest, audits } as const;
      return pen.sign({
        kind: 'hc',
        ...head(epoch),
        commitment: commitmentOf(binding, opening),
        manifest,
        audits,
      });
    },
    reveal(epoch) {
      const opening = pen.kept('hc', epoch);
      return opening === undefined ? undefined : pen.sign({ kind: 'hr', ...head(epoch), ...opening });
    },
  };
}
