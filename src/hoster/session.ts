// One stranger's session on this hop: rows in, the engine's step, rows on to the next hop or a token to the client (protocol.md 12).
// Trusts the admitted OPEN (it was verified); every STEP is checked again. A fault ends the session and is told to the client, who
// routes around the hop that is named.

import type { KvSession, Rows, StepResult } from '../engine/types.ts';
import { likeliest, sampleToken } from '../model/sample.ts';
import type { FrameStream } from '../p2p/types.ts';
import type { Transcript } from '../receipts/transcript.ts';
import type { PeerId } from '../types/ids.ts';
import { createSerial, raceSignal } from '../util/async.ts';
import { CodedError, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import {
  decodeMessage,
  encodeMessage,
  type InferCode,
  type InferMessage,
  MAX_ROLLBACK_ROWS,
  type Step,
} from '../wire/infer.ts';
import type { Receipt, Signed } from '../wire/receipt.ts';
import { bytesToIds, bytesToRows, rowsToBytes } from '../wire/tensor.ts';
import type { AdmittedOpen } from './admission.ts';
import { codeOfEngineError } from './codes.ts';
import type { Meter } from './meter.ts';

/** What went wrong, and at which place of the route. */
export interface Fault {
  readonly code: InferCode;
  readonly hop: number;
  readonly why: string;
}

export interface SessionFacts {
  readonly open: AdmittedOpen;
  /** The client. */
  readonly owner: PeerId;
  readonly kv: KvSession;
  readonly model: { readonly width: number; readonly vocab: number };
  readonly transcript: Transcript;
}

export interface SessionDeps {
  /** Sends on the client's stream. */
  readonly reply: (message: InferMessage) => Promise<void>;
  readonly openNext: (peer: PeerId, signal: AbortSignal) => Promise<FrameStream>;
  /** Whether these rows are the open challenge of the shard that they would enter (protocol.md 12, CHALLENGE_INPUT). */
  readonly isChallenge: (position: number, rows: Rows) => boolean;
  /** Signs what is due, at the end all there is. */
  readonly receiptsDue: (transcript: Transcript, ended: boolean) => readonly Signed<Receipt>[];
  readonly meter: Pick<Meter, 'begin'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export interface HostedSession {
  readonly open: AdmittedOpen;
  /** The client. */
  readonly owner: PeerId;
  /** The only peer whose steps are taken. */
  readonly previous: PeerId;
  /** Aborts when the session has ended. */
  readonly signal: AbortSignal;
  /** When a step last arrived, in milliseconds of `now`. */
  readonly touched: number;
  /** Steps that wait for their turn or run. */
  readonly queued: number;
  /** Runs a step when those before it are done. Never rejects: a failure is the session's end. */
  step(step: Step): Promise<void>;
  /** The client has said goodbye: gives it the last receipts and ends. */
  finish(usage: Uint8Array): Promise<void>;
  /** Receipts given so far. */
  readonly receipts: readonly Signed<Receipt>[];
  /** As the client signed it at its goodbye; empty when it did not. */
  readonly usage: Uint8Array;
  /** Tells the client what happened and ends. */
  fail(fault: Fault): Promise<void>;
  /** Frees the cache and the stream to the next hop, once; resolves when both are free. */
  end(): Promise<void>;
}

/** Carries a fault out of a step; never leaves this file. */
class StepFault extends CodedError<Fault> {}

export function createHostedSession(facts: SessionFacts, deps: SessionDeps): HostedSession {
  const { open, kv, transcript } = facts;
  const receipts: Signed<Receipt>[] = [];
  let usage: Uint8Array = new Uint8Array(0);
  const controller = new AbortController();
  const { signal } = controller;
  const inTurn = createSerial();
  /** Whom to blame for rows that do not fit: the hop before; hop 0 has only the client before it. */
  const sender = Math.max(0, open.hop - 1);
  let next: Promise<FrameStream> | undefined;
  let touched = deps.now();
  let queued = 0;
  let ended: Promise<void> = Promise.resolve();

  function fault(code: InferCode, why: string, hop = open.hop): StepFault {
    return new StepFault({ code, hop, why }, why);
  }

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
      return await kv.step(step.position, rows, signal);
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
    const hop = open.hop + 1;
    try {
      next ??= openNext();
      const stream = await next;
      const { session, position, count, draw: wanted } = { ...step, count: result.count };
      const tensor = rowsToBytes(open.codec, result.data);
      transcript.give(position, result.data, tensor);
      const { codec } = open;
      await stream.send(
        encodeMessage({ type: 'STEP', session, hop, position, count, codec, draw: wanted, spentUs, tensor }),
        signal,
      );
    } catch (error) {
      throw fault('INTERNAL', errorMessage(error), hop);
    }
  }

  async function openNext(): Promise<FrameStream> {
    const hop = open.route[open.hop + 1];
    if (hop === undefined) throw fault('INTERNAL', 'hidden rows at the end of the route');
    const stream = await deps.openNext(hop.peer, signal);
    void watch(stream);
    return stream;
  }

  /** The next hop says nothing on this stream unless it refuses; its end before ours is a fault of that hop. */
  async function watch(stream: FrameStream): Promise<void> {
    const broken = { code: 'INTERNAL', hop: open.hop + 1, why: 'the stream to the next hop ended' } as const;
    try {
      for await (const frame of stream.frames()) {
        const message = decodeMessage(frame);
        const code = message.ok && message.value.type === 'ERROR' ? message.value.code : 'BAD_FRAME';
        return await fail({ ...broken, code, why: 'the next hop refuses' });
      }
      await fail(broken);
    } catch (error) {
      await fail({ ...broken, why: errorMessage(error) });
    }
  }

  async function runStep(step: Step): Promise<void> {
    if (signal.aborted) return;
    try {
      const [result, us] = await measured(step);
      const spentUs = [...step.spentUs, us];
      transcript.take(step.position, step.count, step.tensor);
      if (result.kind === 'top') await draw(step, result, spentUs);
      else await forward(step, result, spentUs);
      await giveReceipts(false);
    } catch (error) {
      await fail(
        error instanceof StepFault ? error.facts : { code: 'INTERNAL', hop: open.hop, why: errorMessage(error) },
      );
    }
  }

  /** Behind what the client waits for: a receipt delays no token. */
  async function giveReceipts(ended: boolean): Promise<void> {
    for (const receipt of deps.receiptsDue(transcript, ended)) {
      receipts.push(receipt);
      await raceSignal(deps.reply({ type: 'RECEIPT', receipt: receipt.bytes }), signal);
    }
  }

  async function fail(what: Fault): Promise<void> {
    if (signal.aborted) return;
    void end();
    deps.log.info('session failed', { session: open.session, ...what });
    await deps.reply({ type: 'ERROR', code: what.code, hop: what.hop }).catch(() => undefined);
  }

  function end(): Promise<void> {
    if (signal.aborted) return ended;
    controller.abort(new Error('the session has ended'));
    ended = inTurn(release);
    return ended;
  }

  async function release(): Promise<void> {
    try {
      await kv.release();
      const stream = await next?.catch(() => undefined);
      await stream?.close();
    } catch (error) {
      deps.log.warn('session not released', { session: open.session, error: errorMessage(error) });
    }
  }

  return {
    open,
    owner: facts.owner,
    previous: open.hop === 0 ? facts.owner : (open.route[open.hop - 1]?.peer ?? facts.owner),
    signal,
    get touched() {
      return touched;
    },
    get queued() {
      return queued;
    },
    async step(step) {
      touched = deps.now();
      queued += 1;
      await inTurn(() => runStep(step));
      queued -= 1;
    },
    async finish(signed) {
      usage = signed;
      await inTurn(() => giveReceipts(true)).catch(() => undefined); // a client that has gone needs none
      await end();
    },
    receipts,
    get usage() {
      return usage;
    },
    fail,
    end,
  };
}
