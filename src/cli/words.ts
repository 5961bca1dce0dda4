// What the program's words mean for a person: reasons of rewards, missed duties, refused votes. docs/operators.md says the same at length.

import type { MissedReason } from '../consensus/duty.ts';
import type { Fault } from '../consensus/explain.ts';
import type { RewardReason } from '../node/rewards.ts';
import type { Unproven } from '../validator/roster-proof.ts';
import type { ValidatorEvent } from '../validator/validator.ts';
import type { Obstacle } from '../validator/verify.ts';
import type { DiaryEntry } from './diary.ts';

export const REWARD_WORDS: Readonly<Record<RewardReason, string>> = {
  open: 'the epoch is not settled yet',
  'nobody-elected': 'nobody was elected: the subnet was not live',
  'no-proposal': 'the elected node submitted nothing, so nobody was paid',
  'all-zero': 'no node had a score above zero, so nobody was paid',
  rejected: 'fewer than 66 % attested, so nobody was paid',
  'not-in-epoch': 'the node was not active in this epoch',
  idle: 'class Idle: not scored yet, it climbs with accepted epochs',
  'not-scored': 'its work was missing, late or wrong in the eyes of the others',
  included: 'class Included: scored for the ladder, paid from class Validator on',
  'not-a-voter': 'it became a validator after the scores were submitted',
  silent: 'it did not attest, which costs two thirds',
  'late-vote': 'it attested late, which costs a part',
  paid: 'paid in full',
};

export const MISSED_WORDS: Readonly<Record<MissedReason, string>> = {
  'no-seed': "the epoch's first block was not final in time: chain endpoint slow or finality behind",
  'no-answer': 'the engine did not finish the challenge in time: machine too slow or busy',
  'late-start': 'the node was started after the work window had closed',
  'window-skipped': 'no head arrived while the window was open: chain endpoint stalled or machine asleep',
  'not-in-roster': 'the node is not of class Included yet',
  'no-roster': 'the members of the epoch could not be read from the chain',
  'no-proposal': 'the elected node submitted nothing to vote on',
  unfinished: 'the epoch ended before it was done',
};

/** Why a submission is not voted for, or cannot be verified; by code of docs/errors.md. */
export const OBSTACLE_WORDS: Readonly<Record<Obstacle, string>> = {
  MODEL_NEEDED: 'the model of that epoch is another one, name it with --model',
  PROPOSAL_FEW_WITNESSES: 'too few nodes witnessed what the proposal names',
  ROSTER_UNAVAILABLE: 'the chain no longer tells who belonged to the epoch, and no node proves it',
  PROPOSAL_UNREADABLE: "the proposal's evidence cannot be read",
  PROPOSAL_MISSING_RECORD: 'the proposal names records that nobody hands over',
  PROPOSAL_OMITS: 'the proposal leaves out records that were in time',
  PROPOSAL_ROOT_MISMATCH: "the proposal's root is not that of the records it names",
  PROPOSAL_SCORES_DIFFER: 'the scores are not what the evidence gives',
};

/** Why it is not proven who was in an epoch. */
export const UNPROVEN_WORDS: Readonly<Record<Unproven, string>> = {
  PROOF_MISSING: 'neither the chain endpoint nor a node that answered has a proof',
  PROOF_WRONG_BLOCK: "the proof that was handed over is not of the epoch's first block",
  PROOF_INCOMPLETE: 'the proof that was handed over lacks a part, or was altered',
  PROOF_SURPLUS: 'the proof that was handed over has parts that nothing needs',
  PROOF_MALFORMED: 'what was handed over as proof is none',
  PROOF_TOO_LARGE: 'the proof is larger than nodes keep',
  PROOF_UNREADABLE: "the proof holds, but this chain's metadata describes something else",
  PROOF_UNSUPPORTED: 'this chain does not tell it by storage that the program knows',
};

/** What a record of a kind is for a person. */
const KIND_WORDS = {
  hc: 'commitment to its work',
  hr: 'reveal of its work',
  sc: 'commitment to its scores',
  sr: 'reveal of its scores',
  wa: 'first witness',
  wb: 'second witness',
} as const;

/** By the `why` of a fault; docs/operators.md says the same at length. */
export const FAULT_WORDS: { readonly [W in Fault['why']]: (fault: Extract<Fault, { why: W }>) => string } = {
  equivocator: () => 'signed two different records for one slot',
  accused: () => 'named bad by the audits of most validators',
  missing: ({ kind }) => `no ${KIND_WORDS[kind]}`,
  late: ({ kind, listed, of }) => `${KIND_WORDS[kind]} too late: ${listed} of ${of} named witnesses list it`,
  omitted: ({ kind, listed, of }) =>
    `${KIND_WORDS[kind]} left out by the proposer: ${listed} of ${of} named witnesses list it, but most of all do`,
  mismatch: ({ kind }) => `what it revealed does not open its ${KIND_WORDS[kind]}`,
  distance: ({ shard, taus }) => `answer on shard ${shard} ${taus} tolerances from the others, at most 16 are paid`,
  unconfirmed: ({ shard, voters }) => `shard ${shard} shown by ${voters} of at least 3: half pay`,
};

/** One fault as a person reads it. */
export function describeFault(fault: Fault): string {
  const describe = FAULT_WORDS[fault.why] as (fault: Fault) => string;
  return describe(fault);
}

/** One outcome as a person reads it. */
export function describeOutcome(outcome: DiaryEntry): string {
  switch (outcome.type) {
    case 'missed':
      return `missed ${outcome.duty}: ${MISSED_WORDS[outcome.why]}`;
    case 'abstained':
      return `abstained: ${OBSTACLE_WORDS[outcome.code]}`;
    case 'judged':
      return outcome.score === '0'
        ? `scored 0: ${outcome.faults.map(describeFault).join('; ')}`
        : 'scored by the others';
    case 'witnessed':
      return `witnessed ${outcome.kind}`;
    default:
      return outcome.type;
  }
}

/** What happened to a running node, in one line: `scored    epoch 53`. */
export function eventLine(event: ValidatorEvent): string {
  const { type, ...facts } = event;
  const shown =
    event.type === 'judged' ? { ...facts, faults: event.faults.map(describeFault).join('; ') || 'none' } : facts;
  const words = Object.entries(shown).map(([name, value]) => `${name} ${value}`);
  return `${type.padEnd(9)} ${words.join(', ')}`;
}
