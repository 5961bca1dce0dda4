// `tessera verify-epoch N`: from nothing but the chain and what peers and the DHT hand over, recomputes what was submitted in subnet epoch N
// and says for every node whether it agrees, and why a score is what it is; and whether it is proven who was in the epoch. Needs no keys and
// no node.

import { phaseAt } from '../../consensus/phase.ts';
import type { Epoch, SubnetId } from '../../types/ids.ts';
import { ONE } from '../../types/ids.ts';
import { CodedError } from '../../util/errors.ts';
import { VERIFIABLE_EPOCHS } from '../../validator/library.ts';
import type { RosterSource, Verdict, VerifyStep } from '../../validator/verify.ts';
import { defineCommand } from '../command.ts';
import { EVIDENCE_OPTIONS, withVerifier } from '../evidence.ts';
import { UsageError } from '../exit.ts';
import { formatShare, table } from '../io.ts';
import { requireSubnet, withChain } from '../session.ts';
import { describeFault, OBSTACLE_WORDS, UNPROVEN_WORDS } from '../words.ts';

class VerifyError extends CodedError<
  | { readonly code: 'EPOCH_DIFFERS' | 'EPOCH_UNKNOWN'; readonly epoch: number }
  | { readonly code: 'EPOCH_TOO_OLD'; readonly epoch: number; readonly oldest: number }
> {}

export const verifyEpoch = defineCommand({
  name: 'verify-epoch',
  describe: 'recompute the scores of an epoch from the evidence of its nodes, and prove who was in it',
  examples: ['tessera verify-epoch 9', 'tessera verify-epoch 9 --rpc wss://chain.example --json'],
  options: ['rpc', 'subnet-id', ...EVIDENCE_OPTIONS],
  positional: 'N',
  async run({ options, text, io, log, signal }) {
    if (!/^[0-9]{1,10}$/.test(text))
      throw new UsageError('say which epoch: tessera verify-epoch N, as tessera epochs lists them');
    const epoch = Number(text) as Epoch;
    await withChain({ options, log, signal }, async (chain) => {
      const subnet = await requireSubnet(chain, options['subnet-id'], signal);
      const id = options['subnet-id'] as SubnetId;
      const [{ epochLength }, head] = await Promise.all([chain.info(signal), chain.head('best', signal)]);
      const now = phaseAt(head.number, { slot: subnet.slot, epochLength })?.epoch ?? 0;
      requireVerifiable(epoch, now);
      const verdict = await withVerifier({ options, log, signal }, { chain, subnet }, (verifier, peers) => {
        io.note(`${peers} ${peers === 1 ? 'node' : 'nodes'} reached`);
        return verifier.verify(epoch, (step) => io.note(STEP_WORDS[step]), signal);
      });
      io.result({ event: 'verified', subnet: id, epoch, scored: epoch - 1, ...verdict }, describe(epoch, verdict));
      requireAgreement(epoch, verdict);
    });
  },
});

const STEP_WORDS: Readonly<Record<VerifyStep, string>> = {
  chain: 'reading what was submitted',
  roster: 'reading who was in the epoch, at its first block',
  records: 'asking nodes for its records',
  evidence: 'looking for what the submission names',
  dht: 'asking the DHT for what nodes did not hand over',
  scores: 'recomputing the scores',
};

function requireVerifiable(epoch: number, now: number): void {
  if (epoch > now) throw new UsageError(`epoch ${epoch} has not begun; the subnet is in epoch ${now}`);
  const oldest = Math.max(0, now - VERIFIABLE_EPOCHS + 1);
  if (epoch >= oldest) return;
  throw new VerifyError(
    { code: 'EPOCH_TOO_OLD', epoch, oldest },
    `epoch ${epoch} can no longer be verified: chain and nodes keep ${VERIFIABLE_EPOCHS} epochs, from ${oldest} on`,
  );
}

function requireAgreement(epoch: number, verdict: Verdict): void {
  if (verdict.verdict === 'unknown') {
    const model = verdict.manifest === undefined ? '' : ` (${verdict.manifest})`;
    throw new VerifyError(
      { code: 'EPOCH_UNKNOWN', epoch },
      `epoch ${epoch} could not be verified: ${OBSTACLE_WORDS[verdict.code]}${model}`,
    );
  }
  if (verdict.verdict === 'agrees' || verdict.verdict === 'nothing') return;
  throw new VerifyError(
    { code: 'EPOCH_DIFFERS', epoch },
    `what node ${verdict.proposer} submitted in epoch ${epoch} is not what the evidence gives`,
  );
}

function describe(epoch: number, verdict: Verdict): string {
  switch (verdict.verdict) {
    case 'nothing':
      return verdict.elected === undefined
        ? `epoch ${epoch}: nobody was elected, there is nothing to verify`
        : `epoch ${epoch}: node ${verdict.elected} was elected and submitted nothing; there is nothing to verify`;
    case 'unknown':
      return '';
    case 'invalid':
      return `epoch ${epoch}: DISAGREE with node ${verdict.proposer}: ${OBSTACLE_WORDS[verdict.code]}`;
    default:
      return describeNodes(epoch, verdict);
  }
}

function describeNodes(
  epoch: number,
  { verdict, proposer, nodes, ...source }: Extract<Verdict, { nodes: unknown }>,
): string {
  const rows = nodes.map(({ node, onChain, recomputed, faults }) => [
    `  node ${node}`,
    onChain === recomputed ? 'agree' : 'DISAGREE',
    onChain.toString(),
    onChain === recomputed ? formatShare((recomputed * ONE) / total(nodes)) : `evidence gives ${recomputed}`,
    faults.map(describeFault).join('; '),
  ]);
  const word = verdict === 'agrees' ? 'AGREE' : 'DISAGREE';
  const head = `epoch ${epoch} (scores of ${epoch - 1}), proposed by node ${proposer}: ${word}`;
  return [head, table(rows), ...describeSource(source)].join('\n');
}

const SOURCE_WORDS: Readonly<Record<RosterSource['roster'], string>> = {
  proven: 'roster proven: who was in the epoch follows from the state root of its first block',
  chain: 'roster not proven: who was in the epoch is what the chain endpoint says',
  nodes:
    'roster not proven: who was in the epoch is what its nodes say alike, the chain endpoint has forgotten that state',
};

function describeSource({ roster, unproven, refused }: RosterSource): readonly string[] {
  const why = unproven === undefined ? '' : `; ${UNPROVEN_WORDS[unproven]}`;
  const peers = [...new Set(refused.map(({ peer }) => peer))];
  return [
    SOURCE_WORDS[roster] + why,
    ...peers.map((peer) => `  ${peer} handed over a roster that is not the chain's: its proof does not hold`),
  ];
}

function total(nodes: readonly { readonly recomputed: bigint }[]): bigint {
  return nodes.reduce((sum, { recomputed }) => sum + recomputed, 0n) || 1n;
}
