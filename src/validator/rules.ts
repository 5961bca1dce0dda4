// The rules of consensus/ over records that were found: records become evidence, evidence becomes scores, and findings for people
// (protocol.md 6, 7, 8). Needs rosters, policy and model of the epoch; knows nothing of who asks.

import { shardAt } from '../consensus/challenge.ts';
import type { NodeScore } from '../consensus/commitment.ts';
import { type NamedRecords, readEvidence } from '../consensus/evidence.ts';
import { explain, type Fault, type Known } from '../consensus/explain.ts';
import { type Challenge, type Evidence, type Rosters, score } from '../consensus/score.ts';
import type { Epoch, NodeId, ShardIndex, SubnetId } from '../types/ids.ts';
import type { Manifest } from '../types/model.ts';
import type { Policy } from '../types/subnet.ts';
import { fromHex } from '../util/bytes.ts';
import type { EpochFacts } from './roster.ts';
import type { ManifestOf } from './work.ts';

export interface Rules {
  /** Scores that follow from records; undefined when rosters or the model are not at hand. */
  compute(scored: Epoch, named: NamedRecords): readonly NodeScore[] | undefined;
  /** Why each node has its score; undefined as above. */
  explain(scored: Epoch, named: NamedRecords, known: Known): ReadonlyMap<NodeId, readonly Fault[]> | undefined;
}

interface Case {
  readonly evidence: Evidence;
  readonly rosters: Rosters;
  readonly challenge: Challenge;
  readonly policy: Policy;
}

export function createRules(
  options: { readonly genesis: Uint8Array; readonly subnet: SubnetId },
  deps: { readonly factsOf: (epoch: Epoch) => EpochFacts | undefined; readonly manifestOf: ManifestOf },
): Rules {
  function caseOf(scored: Epoch, named: NamedRecords): Case | undefined {
    const facts = deps.factsOf(scored);
    const before = deps.factsOf((scored - 1) as Epoch);
    if (facts?.policy === undefined || before === undefined) return undefined;
    const { policy } = facts;
    const model = deps.manifestOf(policy.manifest);
    if (model === undefined) return undefined;
    const manifest = fromHex(policy.manifest);
    const previousManifest = before.policy === undefined ? manifest : fromHex(before.policy.manifest);
    const rosters = { current: facts.roster, previous: before.roster };
    const evidence = readEvidence(named, rosters, { ...options, manifest, previousManifest });
    return { evidence, rosters, challenge: { seed: facts.seed, taus: tausOf(model, policy.cut) }, policy };
  }

  return {
    compute(scored, named) {
      const found = caseOf(scored, named);
      return found && score(found.evidence, found.rosters, found.challenge, found.policy);
    },
    explain(scored, named, known) {
      const found = caseOf(scored, named);
      return found && explain(named, found.evidence, found.rosters, found.challenge, known);
    },
  };
}

function tausOf(manifest: Manifest, cut: string): readonly number[] {
  const places = manifest.cuts[cut] ?? [];
  return places.map((_, k) => shardAt(manifest, cut, k as ShardIndex)?.tau ?? 1);
}
