// What a hoster must not compute for others: the epoch's challenge, from the block that decides its seed until reveals make the answers
// public (protocol.md 12, CHALLENGE_INPUT). The seed counts here before it is final: who asks early asks for the same rows.

import type { Head } from '../chain/types.ts';
import { type ChallengeInput, challengeInput, epochSeed, shardAt } from '../consensus/challenge.ts';
import { type ClockParams, firstBlock, type Moment, phaseAt, windowsOf } from '../consensus/phase.ts';
import type { Epoch, ShardIndex, SubnetId } from '../types/ids.ts';
import { fromHex } from '../util/bytes.ts';
import type { EpochFacts } from './roster.ts';
import type { ManifestOf } from './work.ts';

export interface OpenChallenge {
  /** A new best head. */
  observe(head: Head): void;
  /** What enters a shard in the challenge that is open now; undefined when none is. */
  input(shard: ShardIndex): ChallengeInput | undefined;
}

export interface OpenChallengeOptions {
  readonly genesis: Uint8Array;
  readonly subnet: SubnetId;
  readonly clock: ClockParams;
}

export function createOpenChallenge(
  { genesis, subnet, clock }: OpenChallengeOptions,
  deps: { readonly factsOf: (epoch: Epoch) => EpochFacts | undefined; readonly manifestOf: ManifestOf },
): OpenChallenge {
  const { reveal } = windowsOf(clock.epochLength);
  let now: Moment | undefined;
  /** The seed that follows if the h(e) seen on the best chain stays. */
  let early: { readonly epoch: Epoch; readonly seed: Uint8Array } | undefined;
  let made: { readonly seed: Uint8Array | undefined; readonly inputs: Map<ShardIndex, ChallengeInput | undefined> };
  made = { seed: undefined, inputs: new Map() };

  function seedOf(epoch: Epoch): Uint8Array | undefined {
    return deps.factsOf(epoch)?.seed ?? (early?.epoch === epoch ? early.seed : undefined);
  }

  function make(epoch: Epoch, seed: Uint8Array, shard: ShardIndex): ChallengeInput | undefined {
    const policy = deps.factsOf(epoch)?.policy ?? deps.factsOf((epoch - 1) as Epoch)?.policy;
    const manifest = policy === undefined ? undefined : deps.manifestOf(policy.manifest);
    const of = manifest === undefined || policy === undefined ? undefined : shardAt(manifest, policy.cut, shard);
    if (policy === undefined || manifest === undefined || of === undefined) return undefined;
    const shape = { manifest, of, positions: policy.challengeTokens };
    return challengeInput(seed, fromHex(policy.manifest), shard, shape);
  }

  return {
    observe(head) {
      now = phaseAt(head.number, clock);
      if (now === undefined || head.number !== firstBlock(now.epoch, clock)) return;
      early = { epoch: now.epoch, seed: epochSeed(genesis, subnet, now.epoch, fromHex(head.hash)) };
    },
    input(shard) {
      const seed = now === undefined || now.offset > reveal ? undefined : seedOf(now.epoch);
      if (now === undefined || seed === undefined) return undefined;
      if (made.seed !== seed) made = { seed, inputs: new Map() };
      if (!made.inputs.has(shard)) made.inputs.set(shard, make(now.epoch, seed, shard));
      return made.inputs.get(shard);
    },
  };
}
