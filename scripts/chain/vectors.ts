// node scripts/chain/vectors.ts: writes test/vectors/settlement.json, epochs drawn from fixed seeds and what the chain's twin makes of them.
// The pallet's tests and the twin's read it; neither computes with the other's code.

import { writeFileSync } from 'node:fs';
import { u32le } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { type SettlementCase, settlementOf } from '../../test/support/settlement.ts';

const FILE = new URL('../../test/vectors/settlement.json', import.meta.url);
const CASES = 60;
const ONE = 10n ** 18n;

/** Numbers drawn from a seed: the n-th call gives the same number on every machine. */
function createDice(seed: number): (below: number) => number {
  let drawn = 0;
  return (below) => Buffer.from(sha256(u32le(seed), u32le(drawn++))).readUInt32LE(0) % below;
}

function drawCase(seed: number): SettlementCase {
  const below = createDice(seed);
  const count = 1 + below(10);
  const ids = Array.from({ length: count }, (_, index) => index + 1);
  const fraction = (): bigint => (ONE * BigInt(below(1_000_000))) / 1_000_000n;
  const reputation = (): bigint =>
    [ONE, ONE / 10n + BigInt(below(1000)), ONE / 10n + (fraction() * 9n) / 10n][below(3)] ?? ONE;
  const proposer = 1 + below(count);
  const offset = below(20);
  const score = (): bigint => [0n, BigInt(below(100)), fraction(), 10n ** 24n - fraction()][below(4)] ?? 0n;
  const zeal = [2, 7, 10][seed % 3] ?? 0;
  const voters = ids.filter((id) => id !== proposer && below(10) < zeal);
  const hasProposal = seed % 10 !== 9;
  return {
    validators: ids.map(() => ({
      stake: String(100n * ONE + (900n * fraction() + BigInt(below(1000)))),
      reputation: String(reputation()),
    })),
    subnetReputation: String(ONE / 2n + fraction() / 2n),
    proposer,
    ...(hasProposal
      ? { proposal: { offset, scores: ids.filter(() => below(5) > 0).map((id) => [id, String(score())] as const) } }
      : {}),
    votes: hasProposal
      ? voters.map((id) => [id, offset + below(20 - offset)] as const).sort(([, a], [, b]) => a - b)
      : [],
  };
}

const vectors = Array.from({ length: CASES }, (_, seed) => {
  const given = drawCase(seed);
  return { given, settled: settlementOf(given) };
});
writeFileSync(FILE, `[\n${vectors.map((vector) => JSON.stringify(vector)).join(',\n')}\n]\n`);
