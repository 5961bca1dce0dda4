// One stranger's session on this hop: rows in, the engine's step, rows on to the next hop or a token to the client (protocol.md 12).
// Trusts the admitted OPEN (it was verified); every STEP is checked again. A fault ends the session and is told to the client, who
// routes around the hop that is named.

import type { KvSession, Rows, StepResult } from '../engine/types.ts';
import { likeliest, sampleToken } from '../model/sample.ts';
import type { Transcript } from '../receipts/transcript.ts';
import type { PeerId } from '../types/ids.ts';
import { raceSignal } from '../util/async.ts';
import { errorMessage } from '../util/errors.ts';
import { type InferMessage, MAX_ROLLBACK_ROWS, type Step } from '../wire/infer.ts';
import type { Receipt, Signed } from '../wire/receipt.ts';
import { bytesToIds, bytesToRows, rowsToBytes } from '../wire/tensor.ts';
import type { AdmittedOpen } from './admission.ts';
import { codeOfEngineError } from './codes.ts';
import { createHopSession, type HopSession, type HopSessionDeps } from './hop-session.ts';
import type { Meter } from './meter.ts';
import type { Turnstile } from './turnstile.ts';

export interface SessionFacts {
  readonly open: AdmittedOpen;
  /** The client. */
  readonly owner: PeerId;
  readonly kv: KvSession;
  readonly model: { readonly width: number; readonly vocab: number };
  readonly transcript: Transcript;
}

export interface SessionDeps extends HopSessionDeps {
  /** Whether these rows are the open challenge of the shard that they would enter (protocol.md 12, CHALLENGE_INPUT). */
  readonly isChallenge: (position: number, rows: Rows) => boolean;
  /** Signs what is due, at the end all there is. */
  readonly receiptsDue: (transcript: Transcript, ended: boolean) => readonly Signed<Receipt>[];
  readonly meter: Pick<Meter, 'begin'>;
  readonly turnstile: Turnstile;
}

export interface HostedSession extends HopSession {
  /** Runs a step when those before it are done. Never rejects: a failure is the session's end. */
  step(step: Step): Promise<void>;
  /** The client has said goodbye: gives it the last receipts and ends. */
  finish(usage: Uint8Array): Promise<void>;
  /** Receipts given so far. */
  readonly receipts: readonly Signed<Receipt>[];
  /** As the client signed it at its goodbye; empty when it did not. */
  readonly usage: Uint8Array;
}

export function createHostedSession(facts: SessionFacts, deps: SessionDeps): HostedSession {
  const { open, kv, transcript } = facts;
  const receipts: Signed<Receipt>[] = [];
  const work = createHopSession({ open, owner: facts.owner, release: () => kv.release() }, deps);
  const { signal, sender, fault } = work;

  function rowsOf(step: Step): Rows {
    const first = open.hop === 0;
    if (step.codec !== (first ? 'ids' : open.codec)) throw fault('BAD_FRAME', `rows as ${step.codec}`, sender);
    const { width, vocab } = facts.model;
    const parsed =
      step.codec === 'ids'
        ? bytesToIds(step.tensor, step.count, vocab)
        : bytesToRows(step.codec, step.tensor, step.count, width);
    if (!parsed.ok) throw fault('BAD_FRAME', parsed.why, sender);
    const { value } = parsed;
    return value instanceof Int32Array
      ? { kind: 'tokens', ids: value }
      : { kind: 'hidden', data: value, count: step.count };
  }

  async function compute(step: Step): Promise<StepResult> {
    const rows = rowsOf(step);
    if (deps.isChallenge(step.position, rows))
      throw fault('CHALLENGE_INPUT', 'the open challenge is not run for others');
    try {
      const back = kv.length - step.position;
      if (back > 0 && back <= MAX_ROLLBACK_ROWS) kv.truncate(step.position);
      return await deps.turnstile.pass(
        { peer: facts.owner, rows: step.count },
        () => kv.step(step.position, rows, signal),
        signal,
      );
    } catch (error) {
      const code = codeOfEngineError(error);
      throw fault(code, errorMessage(error), code === 'BAD_FRAME' || code === 'TOO_LONG' ? sender : open.hop);
    }
  }

  /** The result, and the microseconds that it took here. */
  async function measured(step: Step): Promise<readonly [StepResult, number]> {
    const end = deps.meter.begin(step.count, kv.to - kv.from);
    try {
      const result = await compute(step);
      return [result, end()];
    } catch (error) {
      end();
      throw error;
    }
  }

  async function draw(step: Step, result: StepResult & { kind: 'top' }, spentUs: readonly number[]): Promise<void> {
    if (!step.draw || open.sampling === undefined) return;
    const position = step.position + step.count;
    const { alternatives = 0 } = open.sampling;
    const drawn = sampleToken(result.top, open.sampling, position);
    transcript.draw(position, drawn.id, result.top);
    const token = alternatives === 0 ? drawn : { ...drawn, alternatives: likeliest(result.top, alternatives) };
    const tokens: InferMessage = { type: 'TOKENS', session: open.session, position, tokens: [token], spentUs };
    await raceSignal(deps.reply(tokens), signal);
  }

  async function forward(
    step: Step,
    result: StepResult & { kind: 'hidden' },
    spentUs: readonly number[],
  ): Promise<void> {
    const { session, position, count, draw: wanted } = { ...step, count: result.count };
    const tensor = rowsToBytes(open.codec, result.data);
    transcript.give(position, result.data, tensor);
    const [hop, { codec }] = [open.hop + 1, open];
    await work.onward({ type: 'STEP', session, hop, position, count, codec, draw: wanted, spentUs, tensor });
  }

  async function runStep(step: Step): Promise<void> {
    const [result, us] = await measured(step);
    const spentUs = [...step.spentUs, us];
    transcript.take(step.position, step.count, step.tensor);
    if (result.kind === 'top') await draw(step, result, spentUs);
    else await forward(step, result, spentUs);
    await giveReceipts(false);
  }

  /** Behind what the client waits for: a receipt delays no token. */
  async function giveReceipts(ended: boolean): Promise<void> {
    for (const receipt of deps.receiptsDue(transcript, ended)) {
      receipts.push(receipt);
      await raceSignal(deps.reply({ type: 'RECEIPT', receipt: receipt.bytes }), signal);
    }
  }

  const hosted = Object.assign(work, {
    receipts,
    usage: new Uint8Array(0) as Uint8Array,
    step: (step: Step) => work.take(() => runStep(step)),
    async finish(signed: Uint8Array) {
      hosted.usage = signed;
      await work.last(() => giveReceipts(true)).catch(() => undefined); // a client that has gone needs none
      await work.end();
    },
  });
  return hosted;
}
