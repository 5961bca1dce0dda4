// Carries out what consensus/duty.ts decided. Short things happen at once and in order; what waits for the chain, the engine or a peer is
// a task that tells the duty how it ended. A window waits for none of them.

import type { DutyEvent, Effect, Outcome } from '../consensus/duty.ts';
import type { Overlay } from '../p2p/types.ts';
import type { BlockNumber, Epoch, NodeId, PeerId, SubnetId } from '../types/ids.ts';
import { EPOCH_KINDS, type SignedRecord } from '../types/record.ts';
import { withDeadline } from '../util/async.ts';
import { equalBytes } from '../util/bytes.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { keyOfBody } from '../wire/record-key.ts';
import type { Audits } from './audit.ts';
import type { Gather } from './gather.ts';
import type { Pen } from './pen.ts';
import type { Proposals } from './proposal.ts';
import type { Records } from './records.ts';
import type { Rosters } from './roster.ts';
import type { Scoring } from './scoring.ts';
import type { Submission } from './submission.ts';
import { createTasks, type Tasks } from './tasks.ts';
import { recordTopic } from './topic.ts';
import type { WitnessBook } from './witness.ts';
import type { Work } from './work.ts';

export interface EffectsDeps {
  readonly overlay: Pick<Overlay, 'publish' | 'putRecord'>;
  readonly rosters: Rosters;
  readonly records: Records;
  readonly work: Work;
  readonly witness: WitnessBook;
  readonly scoring: Scoring;
  readonly proposals: Pick<Proposals, 'expected'>;
  readonly submission: Submission;
  readonly audits: Audits;
  readonly gather: Gather;
  readonly tasks: Tasks;
  readonly peersOf: (epoch: Epoch) => readonly PeerId[];
  /** Never throws. */
  readonly keepProofs: (epoch: Epoch, signal: AbortSignal) => Promise<void>;
  readonly dispatch: (event: DutyEvent, signal: AbortSignal) => Promise<void>;
  readonly report: (outcome: Outcome) => void;
  readonly fail: (what: string, error: unknown) => void;
  /** The last best head. */
  readonly now: () => BlockNumber | undefined;
  readonly log: Log;
}

export interface Effects {
  /** Resolves when what the next block need not be waited for (reading and looking at the chain) is done; tasks go on. Never throws. */
  perform(effects: readonly Effect[], signal: AbortSignal): Promise<void>;
  /** Sends again what the journal holds of these epochs: a node that was killed between signing and sending. */
  resend(epochs: readonly Epoch[], pen: Pen, signal: AbortSignal): void;
}

/** The DHT is an archive: a put that takes longer is given up (network.md 2: a whole query may take 180 s). */
const PUT_MS = 10_000;

export function createEffects(
  options: { readonly subnet: SubnetId; readonly node: NodeId },
  deps: EffectsDeps,
): Effects {
  const { overlay, rosters, records, work, scoring, proposals, submission, audits, gather, tasks, dispatch, fail } =
    deps;
  /** Sending is nobody's to wait for, and no failure of a duty: what did not spread is pulled. */
  const sending = createTasks((what, error) => deps.log.debug('not sent', { what, code: errorCode(error) }));
  const topic = recordTopic(options.subnet);

  function send(record: SignedRecord, signal: AbortSignal): void {
    records.admit(record.bytes, 'self');
    const key = keyOfBody(record.body);
    void sending.start(`publish ${key}`, async () => {
      await overlay.publish(topic, record.bytes);
    });
    void sending.start(`put ${key}`, async () => {
      await overlay.putRecord(key, record.bytes, withDeadline(signal, PUT_MS));
    });
  }

  async function read(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const facts = await rosters.read(epoch, signal);
    if (facts === undefined) return;
    await rosters.read((epoch - 1) as Epoch, signal);
    const block = deps.now();
    if (block !== undefined) records.observe(block);
    const member = facts.roster.nodes.some(({ id }) => id === options.node);
    await dispatch({ type: 'ready', epoch, member, live: facts.roster.live }, signal);
    void tasks.start(`prove ${epoch}`, () => deps.keepProofs(epoch, signal));
  }

  async function infer(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const facts = rosters.known(epoch);
    const answer = () => (facts === undefined ? 'unanswered' : work.answer(epoch, facts, signal));
    await dispatch({ type: await attempt('infer', 'unanswered', async () => answer()), epoch }, signal);
  }

  /** What is told already need not be told again: nothing depends on it. */
  function prompt(epoch: Epoch, signal: AbortSignal): void {
    const facts = rosters.known(epoch);
    if (facts === undefined) return;
    const isTold = records
      .held('pr', epoch)
      .some(({ body }) => body.kind === 'pr' && equalBytes(body.seed, facts.seed));
    const record = isTold ? undefined : work.prompt(epoch, facts);
    if (record !== undefined) send(record, signal);
  }

  async function score(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const peers = deps.peersOf(epoch);
    await gather.unseen(epoch, peers, signal);
    const facts = rosters.known(epoch);
    const record = await attempt('score', undefined, async () => {
      const expected = facts === undefined ? undefined : await proposals.expected(epoch, facts, peers, signal);
      return scoring.commit(epoch, expected);
    });
    if (record !== undefined) send(record, signal);
    await dispatch({ type: record === undefined ? 'unscored' : 'scored', epoch }, signal);
  }

  async function audit(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const facts = rosters.known(epoch);
    const judge = async () => (facts === undefined ? undefined : audits.audit(epoch, facts, signal));
    const record = await attempt('audit', undefined, judge);
    if (record !== undefined) send(record, signal);
  }

  async function look(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const standing = await submission.look(epoch, signal);
    if (standing !== 'nothing') await dispatch({ type: standing, epoch }, signal);
  }

  async function propose(epoch: Epoch, whole: boolean, signal: AbortSignal): Promise<void> {
    const done = await attempt('propose', false, () => submission.propose(epoch, whole, signal));
    await dispatch({ type: done ? 'proposed' : 'retry', epoch }, signal);
  }

  async function check(epoch: Epoch, signal: AbortSignal): Promise<void> {
    const checked = await attempt('attest', undefined, () => submission.check(epoch, signal));
    if (checked === undefined) await dispatch({ type: 'retry', epoch }, signal);
    else if (checked.ok) await dispatch({ type: 'attested', epoch }, signal);
    else await dispatch({ type: 'abstained', epoch, code: checked.code }, signal);
  }

  /** Commitments and reveals: journaled and sent within this call. */
  function publish(what: 'commit' | 'reveal' | 'open', epoch: Epoch, signal: AbortSignal): void {
    const record = signedFor(what, epoch);
    if (record === undefined) throw new Error(`nothing to ${what} in epoch ${epoch}`);
    send(record, signal);
  }

  function signedFor(what: 'commit' | 'reveal' | 'open', epoch: Epoch): SignedRecord | undefined {
    if (what === 'reveal') return work.reveal(epoch);
    if (what === 'open') return scoring.open((epoch - 1) as Epoch);
    const facts = rosters.known(epoch);
    return facts === undefined ? undefined : work.commit(epoch, facts);
  }

  async function attempt<T>(what: string, otherwise: T, job: () => Promise<T>): Promise<T> {
    try {
      return await job();
    } catch (error) {
      fail(what, error);
      return otherwise;
    }
  }

  /** What the caller should wait for, if anything. */
  function start(effect: Effect, signal: AbortSignal): Promise<void> | undefined {
    const { epoch } = effect.do === 'report' ? effect.outcome : effect;
    const task = (job: (epoch: Epoch, signal: AbortSignal) => Promise<void>) =>
      tasks.start(`${effect.do} ${epoch}`, () => job(epoch, signal));
    switch (effect.do) {
      case 'read':
        return task(read);
      case 'look':
        return task(look);
      case 'infer':
        return void task(infer);
      case 'score':
        return void task(score);
      case 'propose':
        return void tasks.start(`propose ${epoch}`, () => propose(epoch, effect.whole, signal));
      case 'check':
        return void task(check);
      case 'gather': {
        const { kind } = effect;
        if (kind === 'au') audits.close(epoch);
        const job = () => gather.missing(kind, epoch, deps.peersOf(epoch), signal);
        return void tasks.start(`gather ${kind} ${epoch}`, job);
      }
      case 'commit':
      case 'reveal':
      case 'open':
        return void publish(effect.do, epoch, signal);
      case 'prompt':
        return void prompt(epoch, signal);
      case 'witness':
        // The window of audits opens with that of the second witnesses.
        if (effect.kind === 'wb') void tasks.start(`audit ${epoch}`, () => audit(epoch, signal));
        return void send(deps.witness.sign(effect.kind, epoch), signal);
      case 'report':
        return void deps.report(effect.outcome);
    }
  }

  return {
    async perform(effects, signal) {
      const waits: (Promise<void> | undefined)[] = [];
      let failed = false;
      for (const effect of effects) {
        if (signal.aborted) break;
        // A report behind what failed says that it was done.
        if (failed && effect.do === 'report') continue;
        failed = false;
        try {
          waits.push(start(effect, signal));
        } catch (error) {
          fail(effect.do, error);
          failed = true;
        }
      }
      await Promise.all(waits);
    },
    resend(epochs, pen, signal) {
      for (const epoch of epochs) {
        for (const kind of EPOCH_KINDS) {
          const record = pen.signed(kind, epoch);
          if (record !== undefined) send(record, signal);
        }
      }
    },
  };
}
