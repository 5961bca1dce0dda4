// What this node has to do in an epoch, as a pure step: (duty, event) -> (duty, effects). Five tracks run beside each other: the challenge
// (hc, hr), what it witnesses of others (wa, wb), the scores of this epoch (sc), the opening of the last epoch's scores (sr), and the
// submission of the last epoch's scores on chain. Every outcome is an effect of kind `report`; a missed window is a state with a reason (protocol.md 2, 6, 9).

import type { Epoch } from '../types/ids.ts';
import type { EpochKind, Witness } from '../types/record.ts';
import type { AbstainCode } from './attest.ts';
import type { Windows } from './phase.ts';

export type MissedReason =
  | 'no-seed'
  | 'no-answer'
  | 'late-start'
  | 'window-skipped'
  | 'not-in-roster'
  | 'no-roster'
  | 'no-proposal'
  | 'unfinished';

/** pr of this epoch. `from`: the offset from which a node that is not the proposer sends one, if none is found. */
export type Prompting =
  | { readonly at: 'none' }
  | { readonly at: 'waiting' }
  | { readonly at: 'ready'; readonly from: number }
  | { readonly at: 'done' };

/** hc and hr of this epoch. `tried`: the offset at which it could not be done, -1 at first; tried again at a later head. */
export type Work =
  | { readonly at: 'none' }
  | { readonly at: 'waiting'; readonly tried: number }
  | { readonly at: 'inferring' }
  | { readonly at: 'answered' }
  | { readonly at: 'committed' }
  | { readonly at: 'revealed' }
  | { readonly at: 'missed'; readonly why: MissedReason };

/** wa or wb of this epoch. */
export type Witnessing =
  | { readonly at: 'none' }
  | { readonly at: 'due' }
  | { readonly at: 'witnessed' }
  | { readonly at: 'missed'; readonly why: MissedReason };

export type WitnessKind = Witness['kind'];

/** sc of this epoch; `tried` as above. */
export type Scoring =
  | { readonly at: 'none' }
  | { readonly at: 'waiting'; readonly tried: number }
  | { readonly at: 'scoring' }
  | { readonly at: 'scored' }
  | { readonly at: 'missed'; readonly why: MissedReason };

/** sr of the epoch before. */
export type Opening =
  | { readonly at: 'none' }
  | { readonly at: 'due' }
  | { readonly at: 'revealed' }
  | { readonly at: 'missed'; readonly why: MissedReason };

/** The submission of this epoch: the scores of the epoch before. */
export type Submission =
  | { readonly at: 'none' }
  | { readonly at: 'waiting' }
  | { readonly at: 'proposing' }
  | { readonly at: 'proposed' }
  | { readonly at: 'checking' }
  | { readonly at: 'attested' }
  | { readonly at: 'abstained'; readonly code: AbstainCode }
  | { readonly at: 'missed'; readonly why: MissedReason };

export interface EpochDuty {
  readonly epoch: Epoch;
  readonly offset: number;
  /** Whether seed and roster are known and this node has a seat. */
  readonly ready: boolean;
  readonly prompt: Prompting;
  readonly work: Work;
  readonly witness: { readonly [K in WitnessKind]: Witnessing };
  /** Whether a head was seen in the window whose list a witness is about. */
  readonly watched: { readonly [K in WitnessKind]: boolean };
  readonly scoring: Scoring;
  readonly opening: Opening;
  readonly submission: Submission;
}

/** Before the first head there is no duty. */
export type Duty = { readonly at: 'idle' } | ({ readonly at: 'epoch' } & EpochDuty);

/** What the journal says was signed already for the epoch entered; `sr` and `lastSc` are the score records of the epoch before. */
export type Signed = { readonly [K in 'pr' | 'hc' | 'hr' | 'wa' | 'wb' | 'sc' | 'lastSc' | 'sr']: boolean };

export type DutyEvent =
  /** A new best head. `signed` is looked at when it is the first head of an epoch that this duty sees. */
  | { readonly type: 'head'; readonly epoch: Epoch; readonly offset: number; readonly signed: Signed }
  /** h(e) is final and read: seed and roster are known. */
  | { readonly type: 'ready'; readonly epoch: Epoch; readonly member: boolean; readonly live: boolean }
  | { readonly type: 'answered'; readonly epoch: Epoch }
  | { readonly type: 'unanswered'; readonly epoch: Epoch }
  /** An auditor that no shard was drawn for: there is nothing to answer. */
  | { readonly type: 'undrawn'; readonly epoch: Epoch }
  | { readonly type: 'scored'; readonly epoch: Epoch }
  | { readonly type: 'unscored'; readonly epoch: Epoch }
  /** This node is the epoch's proposer, and nothing is on chain yet. */
  | { readonly type: 'elected'; readonly epoch: Epoch }
  | { readonly type: 'proposed'; readonly epoch: Epoch }
  /** The chain or the own journal refused: look again at the next head. */
  | { readonly type: 'retry'; readonly epoch: Epoch }
  /** Another validator's proposal is on chain, and this node may vote on it. */
  | { readonly type: 'proposal'; readonly epoch: Epoch }
  | { readonly type: 'attested'; readonly epoch: Epoch }
  | { readonly type: 'abstained'; readonly epoch: Epoch; readonly code: AbstainCode }
  /** Nobody was elected, or this node has no vote. */
  | { readonly type: 'voteless'; readonly epoch: Epoch };

export type Outcome =
  | { readonly type: 'committed' | 'revealed' | 'scored' | 'opened' | 'proposed' | 'attested'; readonly epoch: Epoch }
  | { readonly type: 'witnessed'; readonly epoch: Epoch; readonly kind: WitnessKind }
  | { readonly type: 'abstained'; readonly epoch: Epoch; readonly code: AbstainCode }
  | {
      readonly type: 'missed';
      readonly epoch: Epoch;
      readonly duty: 'work' | WitnessKind | 'scores' | 'opening' | 'submission';
      readonly why: MissedReason;
    };

export type Effect =
  /** Read roster and seed of the epoch, when h(e) is final; asked for at each head until `ready` comes. */
  | { readonly do: 'read'; readonly epoch: Epoch }
  /** Tell seed and inputs, unless somebody has. */
  | { readonly do: 'prompt'; readonly epoch: Epoch }
  | { readonly do: 'infer'; readonly epoch: Epoch }
  | { readonly do: 'commit'; readonly epoch: Epoch }
  | { readonly do: 'reveal'; readonly epoch: Epoch }
  /** Say what was held in time. */
  | { readonly do: 'witness'; readonly epoch: Epoch; readonly kind: WitnessKind }
  /** Open the scores of `epoch` - 1. */
  | { readonly do: 'open'; readonly epoch: Epoch }
  | { readonly do: 'score'; readonly epoch: Epoch }
  /** Look on chain for the epoch's proposer and proposal. */
  | { readonly do: 'look'; readonly epoch: Epoch }
  /** `whole`: only with the witness of every validator; from the third block on without. */
  | { readonly do: 'propose'; readonly epoch: Epoch; readonly whole: boolean }
  | { readonly do: 'check'; readonly epoch: Epoch }
  /** Ask peers for the records of a kind that are missing: its window closes soon. */
  | { readonly do: 'gather'; readonly epoch: Epoch; readonly kind: EpochKind }
  | { readonly do: 'report'; readonly outcome: Outcome };

export interface EpochParams {
  readonly windows: Windows;
  /** Whether this node answers challenges. */
  readonly hosts: boolean;
}

export interface Step {
  readonly duty: Duty;
  readonly effects: readonly Effect[];
}

export const IDLE: Duty = { at: 'idle' };

/** Blocks before a window closes in which peers are asked for what is missing. */
const GATHER_BLOCKS = 2;
/** Part of the epoch that the proposer has for telling the prompt. */
const PROMPT_PERCENT = 10;
/** Blocks in which a proposer, and who scores, waits for witnesses that are still missing (protocol.md 8.5, 9). */
const PATIENT_BLOCKS = 2;

/** An event of another epoch than the duty's is old news and changes nothing; only a head moves the epoch on, and never back. */
export function step(duty: Duty, event: DutyEvent, params: EpochParams): Step {
  if (event.type === 'head') return onHead(duty, event, params);
  if (duty.at === 'idle' || duty.epoch !== event.epoch) return { duty, effects: [] };
  return settle(onNews(duty, event, params.windows), params);
}

type Head = Extract<DutyEvent, { type: 'head' }>;
type News = Exclude<DutyEvent, Head>;
type Ready = Extract<News, { type: 'ready' }>;
type Current = Extract<Duty, { at: 'epoch' }>;
type CurrentStep = { readonly duty: Current; readonly effects: readonly Effect[] };

function onHead(duty: Duty, head: Head, params: EpochParams): Step {
  if (duty.at === 'epoch' && duty.epoch > head.epoch) return { duty, effects: [] };
  const entered = duty.at === 'epoch' && duty.epoch === head.epoch;
  const ended = duty.at === 'epoch' && !entered ? leave(duty) : [];
  const moved: Current = entered ? { ...duty, offset: Math.max(duty.offset, head.offset) } : enter(head, params);
  const current = watch(moved, params.windows);
  const late = !entered && current.work.at === 'missed' ? missWork(current, current.work.why).effects : [];
  const settled = settle({ duty: current, effects: [...late, ...headEffects(current, params.windows)] }, params);
  return { duty: settled.duty, effects: [...ended, ...settled.effects] };
}

/** The duty of an epoch at the first head seen of it: nothing done but what the journal knows. */
function enter(head: Head, { windows, hosts }: EpochParams): Current {
  const { signed } = head;
  return {
    at: 'epoch',
    epoch: head.epoch,
    offset: head.offset,
    ready: false,
    prompt: { at: signed.pr ? 'done' : 'waiting' },
    work: enterWork(head, windows, hosts),
    witness: { wa: { at: signed.wa ? 'witnessed' : 'due' }, wb: { at: signed.wb ? 'witnessed' : 'due' } },
    watched: { wa: false, wb: false },
    scoring: signed.sc ? { at: 'scored' } : { at: 'waiting', tried: -1 },
    opening: enterOpening(signed),
    submission: { at: 'waiting' },
  };
}

/** Notes the windows that this head lies in. */
function watch(duty: Current, { commit, reveal, score }: Windows): Current {
  const { offset, watched } = duty;
  const wa = watched.wa || (offset >= commit && offset < reveal);
  const wb = watched.wb || (offset >= reveal && offset < score);
  return { ...duty, watched: { wa, wb } };
}

function enterOpening(signed: Signed): Opening {
  if (signed.sr) return { at: 'revealed' };
  return { at: signed.lastSc ? 'due' : 'none' };
}

function enterWork({ signed, offset }: Head, windows: Windows, hosts: boolean): Work {
  if (!hosts) return { at: 'none' };
  if (signed.hr) return { at: 'revealed' };
  if (signed.hc) return { at: 'committed' };
  return offset >= windows.reveal ? { at: 'missed', why: 'late-start' } : { at: 'waiting', tried: -1 };
}

/** In these states there is nothing to look for on chain; also what is done is looked at again, because a reorg may have undone it. */
const BUSY_OR_OUT: readonly Submission['at'][] = ['none', 'proposing', 'checking', 'missed'];

/** By when lists close in an epoch, and how many epochs back their records are of. */
const GATHERED: readonly { readonly kind: EpochKind; readonly by: keyof Windows; readonly back: 0 | 1 }[] = [
  { kind: 'hc', by: 'reveal', back: 0 },
  { kind: 'hr', by: 'score', back: 0 },
  { kind: 'sr', by: 'score', back: 1 },
  { kind: 'wa', by: 'score', back: 0 },
  { kind: 'sc', by: 'length', back: 0 },
  { kind: 'wb', by: 'length', back: 0 },
  { kind: 'au', by: 'length', back: 0 },
];

/** What is asked for at every head of an epoch. */
function headEffects({ epoch, offset, ready, submission }: Current, windows: Windows): readonly Effect[] {
  const closing = GATHERED.filter(({ by }) => offset >= windows[by] - GATHER_BLOCKS && offset < windows[by]);
  const gathers = closing.map(({ kind, back }): Effect => ({ do: 'gather', epoch: (epoch - back) as Epoch, kind }));
  const look = !BUSY_OR_OUT.includes(submission.at);
  return [
    ...(ready ? [] : [{ do: 'read', epoch } as const]),
    ...gathers,
    ...(look ? [{ do: 'look', epoch } as const] : []),
  ];
}

function onNews(duty: Current, event: News, windows: Windows): CurrentStep {
  switch (event.type) {
    case 'ready':
      return onReady(duty, event, windows);
    case 'answered':
      return quiet(duty.work.at === 'inferring' ? { ...duty, work: { at: 'answered' } } : duty);
    case 'unanswered':
      return quiet(duty.work.at === 'inferring' ? { ...duty, work: { at: 'waiting', tried: duty.offset } } : duty);
    case 'undrawn':
      return quiet(duty.work.at === 'inferring' ? { ...duty, work: { at: 'none' } } : duty);
    case 'scored':
      return report({ ...duty, scoring: { at: 'scored' } }, { type: 'scored', epoch: duty.epoch });
    case 'unscored':
      return quiet({ ...duty, scoring: { at: 'waiting', tried: duty.offset } });
    default:
      return onSubmission(duty, event);
  }
}

function onReady(duty: Current, { member, live }: Ready, { length }: Windows): CurrentStep {
  const from = duty.offset + Math.ceil((PROMPT_PERCENT * length) / 100);
  const prompt: Prompting =
    duty.prompt.at === 'waiting' ? { at: member && live ? 'ready' : 'none', from } : duty.prompt;
  const ready = { ...duty, ready: true, prompt };
  if (member && live) return quiet(ready);
  const work: Work = duty.work.at === 'waiting' ? { at: 'none' } : duty.work;
  const scoring: Scoring = duty.scoring.at === 'waiting' ? { at: 'none' } : duty.scoring;
  const idle = { ...ready, work, scoring, witness: { wa: dropDue(duty.witness.wa), wb: dropDue(duty.witness.wb) } };
  return live && duty.work.at === 'waiting' ? missWork(idle, 'not-in-roster') : quiet(idle);
}

function dropDue(witnessing: Witnessing): Witnessing {
  return witnessing.at === 'due' ? { at: 'none' } : witnessing;
}

type SubmissionNews = Exclude<News, { type: 'ready' | 'answered' | 'unanswered' | 'undrawn' | 'scored' | 'unscored' }>;

function onSubmission(duty: Current, event: SubmissionNews): CurrentStep {
  const { epoch } = duty;
  const set = (submission: Submission): Current => ({ ...duty, submission });
  const free = !BUSY_OR_OUT.includes(duty.submission.at);
  switch (event.type) {
    case 'elected':
      if (!free) return quiet(duty);
      return {
        duty: set({ at: 'proposing' }),
        effects: [{ do: 'propose', epoch, whole: duty.offset < PATIENT_BLOCKS }],
      };
    case 'proposal':
      return free ? { duty: set({ at: 'checking' }), effects: [{ do: 'check', epoch }] } : quiet(duty);
    case 'proposed':
      return duty.submission.at === 'proposed'
        ? quiet(duty)
        : report(set({ at: 'proposed' }), { type: 'proposed', epoch });
    case 'retry':
      return quiet(set({ at: 'waiting' }));
    case 'attested':
      return duty.submission.at === 'attested'
        ? quiet(duty)
        : report(set({ at: 'attested' }), { type: 'attested', epoch });
    case 'abstained':
      return report(set({ at: 'abstained', code: event.code }), { type: 'abstained', epoch, code: event.code });
    case 'voteless':
      return quiet(duty.submission.at === 'waiting' ? set({ at: 'none' }) : duty);
  }
}

/** Applies what the block number alone decides, after every event. */
function settle({ duty, effects }: CurrentStep, params: EpochParams): CurrentStep {
  const rules = [settlePrompt, settleWork, settleFirstWitness, settleSecondWitness, settleScoring, settleOpening];
  return rules.reduce<CurrentStep>(
    (before, rule) => {
      const after = rule(before.duty, params.windows);
      return { duty: after.duty, effects: [...before.effects, ...after.effects] };
    },
    { duty, effects },
  );
}

function settlePrompt(duty: Current): CurrentStep {
  const { epoch, offset, prompt, submission } = duty;
  const isProposer = submission.at === 'proposing' || submission.at === 'proposed';
  if (prompt.at !== 'ready' || (!isProposer && offset < prompt.from)) return quiet(duty);
  return { duty: { ...duty, prompt: { at: 'done' } }, effects: [{ do: 'prompt', epoch }] };
}

function settleWork(duty: Current, { commit, reveal, score }: Windows): CurrentStep {
  const { epoch, offset, work } = duty;
  switch (work.at) {
    case 'waiting':
      if (offset >= reveal) return missWork(duty, work.tried < 0 ? 'no-seed' : 'no-answer');
      if (!duty.ready || offset <= work.tried) return quiet(duty);
      return { duty: { ...duty, work: { at: 'inferring' } }, effects: [{ do: 'infer', epoch }] };
    case 'inferring':
      return offset >= reveal ? missWork(duty, 'no-answer') : quiet(duty);
    case 'answered':
      if (offset >= reveal) return missWork(duty, 'window-skipped');
      return offset >= commit ? done(duty, { work: { at: 'committed' } }, 'commit', 'committed') : quiet(duty);
    case 'committed':
      if (offset >= score) return missWork(duty, 'window-skipped');
      // Never in the block that closes commits: there, most late copies got in (protocol.md 2).
      return offset > reveal ? done(duty, { work: { at: 'revealed' } }, 'reveal', 'revealed') : quiet(duty);
    default:
      return quiet(duty);
  }
}

function settleFirstWitness(duty: Current, { reveal, score }: Windows): CurrentStep {
  return settleWitness(duty, 'wa', { from: reveal, to: score });
}

function settleSecondWitness(duty: Current, { score, length }: Windows): CurrentStep {
  return settleWitness(duty, 'wb', { from: score, to: length });
}

/** A node that saw no head while the list was open has held nothing in time and says nothing. */
function settleWitness(
  duty: Current,
  kind: WitnessKind,
  window: { readonly from: number; readonly to: number },
): CurrentStep {
  const { epoch, offset } = duty;
  if (duty.witness[kind].at !== 'due' || offset < window.from) return quiet(duty);
  const set = (witnessing: Witnessing): Current => ({ ...duty, witness: { ...duty.witness, [kind]: witnessing } });
  const why = whyNotWitnessed(duty, kind, window.to);
  if (why !== undefined) return report(set({ at: 'missed', why }), { type: 'missed', epoch, duty: kind, why });
  if (!duty.ready) return quiet(duty);
  return {
    duty: set({ at: 'witnessed' }),
    effects: [
      { do: 'witness', epoch, kind },
      { do: 'report', outcome: { type: 'witnessed', epoch, kind } },
    ],
  };
}

function whyNotWitnessed({ offset, ready, watched }: Current, kind: WitnessKind, to: number): MissedReason | undefined {
  if (!watched[kind]) return 'late-start';
  if (offset < to) return undefined;
  return ready ? 'window-skipped' : 'no-roster';
}

/** Scores follow from the second witnesses, which are on their way when reveals have closed (protocol.md 8.5). */
function settleScoring(duty: Current, { score, length }: Windows): CurrentStep {
  const { scoring, ready, offset } = duty;
  const from = Math.min(score + PATIENT_BLOCKS, length - GATHER_BLOCKS);
  if (scoring.at !== 'waiting' || !ready || offset < from || offset <= scoring.tried) return quiet(duty);
  return { duty: { ...duty, scoring: { at: 'scoring' } }, effects: [{ do: 'score', epoch: duty.epoch }] };
}

function settleOpening(duty: Current, { reveal, score }: Windows): CurrentStep {
  const { epoch, offset, opening } = duty;
  if (opening.at !== 'due' || offset <= reveal) return quiet(duty);
  if (offset < score) return done(duty, { opening: { at: 'revealed' } }, 'open', 'opened');
  const missed = { at: 'missed', why: 'window-skipped' } as const;
  return report({ ...duty, opening: missed }, { type: 'missed', epoch, duty: 'opening', why: missed.why });
}

/** The reports of an epoch that ended: what is open now stays undone. */
function leave(duty: Current): readonly Effect[] {
  const { epoch, work, witness, scoring, opening, submission } = duty;
  const missed = (which: 'work' | WitnessKind | 'scores' | 'opening' | 'submission', why: MissedReason): Effect => ({
    do: 'report',
    outcome: { type: 'missed', epoch, duty: which, why },
  });
  const effects: Effect[] = [];
  if (work.at === 'waiting') effects.push(missed('work', work.tried < 0 ? 'no-seed' : 'no-answer'));
  if (work.at === 'inferring') effects.push(missed('work', 'no-answer'));
  if (work.at === 'answered' || work.at === 'committed') effects.push(missed('work', 'window-skipped'));
  for (const kind of ['wa', 'wb'] as const) {
    if (witness[kind].at === 'due') effects.push(missed(kind, duty.ready ? 'window-skipped' : 'no-roster'));
  }
  if (scoring.at === 'waiting') effects.push(missed('scores', duty.ready ? 'window-skipped' : 'no-roster'));
  if (scoring.at === 'scoring') effects.push(missed('scores', 'unfinished'));
  if (opening.at === 'due') effects.push(missed('opening', 'window-skipped'));
  if (submission.at === 'waiting') effects.push(missed('submission', 'no-proposal'));
  if (submission.at === 'proposing' || submission.at === 'checking') effects.push(missed('submission', 'unfinished'));
  return effects;
}

function done(
  duty: Current,
  change: Partial<EpochDuty>,
  effect: 'commit' | 'reveal' | 'open',
  outcome: 'committed' | 'revealed' | 'opened',
): CurrentStep {
  const { epoch } = duty;
  return {
    duty: { ...duty, ...change },
    effects: [
      { do: effect, epoch },
      { do: 'report', outcome: { type: outcome, epoch } },
    ],
  };
}

function missWork(duty: Current, why: MissedReason): CurrentStep {
  return report({ ...duty, work: { at: 'missed', why } }, { type: 'missed', epoch: duty.epoch, duty: 'work', why });
}

function report(duty: Current, outcome: Outcome): CurrentStep {
  return { duty, effects: [{ do: 'report', outcome }] };
}

function quiet(duty: Current): CurrentStep {
  return { duty, effects: [] };
}
