// One stranger's session with a stateless model on this hop: named tensors in, the engine's run, tensors on to the next hop or the result to the client
// (protocol.md 12, RUN). Trusts the admitted OPEN (it was verified); the engine checks every tensor against the ports of the manifest.

import type { Engine, Rows } from '../engine/types.ts';
import type { RunTranscript } from '../receipts/run-transcript.ts';
import type { PeerId, ShardIndex } from '../types/ids.ts';
import type { Port } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { raceSignal } from '../util/async.ts';
import { errorMessage } from '../util/errors.ts';
import { MAX_RUNS, type RunFrame } from '../wire/infer.ts';
import type { Receipt, Signed } from '../wire/receipt.ts';
import type { AdmittedOpen } from './admission.ts';
import { codeOfEngineError } from './codes.ts';
import { createHopSession, type HopSession, type HopSessionDeps } from './hop-session.ts';
import type { Meter } from './meter.ts';
import type { Turnstile } from './turnstile.ts';

export interface FunctionFacts {
  readonly open: AdmittedOpen;
  /** The client. */
  readonly owner: PeerId;
  /** Of the route that this node has. */
  readonly from: ShardIndex;
  readonly to: ShardIndex;
  /** What each shard of the cut takes. */
  readonly inputs: readonly (readonly Port[])[];
  readonly transcript: Pick<RunTranscript, 'runs'>;
}

export interface FunctionDeps extends HopSessionDeps {
  readonly engine: Pick<Engine, 'run'>;
  /** Whether these rows are the open challenge of the shard that they would enter (protocol.md 12, CHALLENGE_INPUT). */
  readonly isChallenge: (rows: Rows) => boolean;
  readonly meter: Pick<Meter, 'begin'>;
  readonly turnstile: Turnstile;
  /** Signs the receipt of the run that has just been given. */
  readonly receiptFor: (taken: readonly NamedTensor[], given: readonly NamedTensor[]) => Signed<Receipt>;
}

export interface HostedFunction extends HopSession {
  /** Runs a frame when those before it are done. Never rejects: a failure is the session's end. */
  run(frame: RunFrame): Promise<void>;
  /** The client has said goodbye: gives it the last receipts and ends. */
  finish(usage: Uint8Array): Promise<void>;
  /** Receipts given so far. */
  readonly receipts: readonly Signed<Receipt>[];
  /** As the client signed it at its goodbye; empty when it did not. */
  readonly usage: Uint8Array;
}

export function createHostedFunction(facts: FunctionFacts, deps: FunctionDeps): HostedFunction {
  const { open, owner, from, to, inputs, transcript } = facts;
  const receipts: Signed<Receipt>[] = [];
  const work = createHopSession({ open, owner, release: async () => undefined }, deps);
  const { signal, sender, fault } = work;

  async function compute(tensors: readonly NamedTensor[]): Promise<readonly NamedTensor[]> {
    if (sequencesOf(tensors, inputs[from] ?? []).some(deps.isChallenge))
      throw fault('CHALLENGE_INPUT', 'the open challenge is not run for others');
    try {
      // The engine takes the buffers over, and what later shards need of them goes on.
      const own = tensors.map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
      const rows = own[0]?.dims[0] ?? 1;
      return await deps.turnstile.pass(
        { peer: owner, rows },
        () => deps.engine.run({ from, to }, own, { owner }, signal),
        signal,
      );
    } catch (error) {
      const code = codeOfEngineError(error);
      throw fault(code, errorMessage(error), code === 'BAD_FRAME' || code === 'TOO_LONG' ? sender : open.hop);
    }
  }

  /** The outputs, and the microseconds that they took here. */
  async function measured(tensors: readonly NamedTensor[]): Promise<readonly [readonly NamedTensor[], number]> {
    const end = deps.meter.begin(tensors[0]?.dims[0] ?? 1, to - from);
    try {
      const outputs = await compute(tensors);
      return [outputs, end()];
    } catch (error) {
      end();
      throw error;
    }
  }

  async function runFrame({ session, run, tensors, spentUs: before }: RunFrame): Promise<void> {
    // Receipts speak of runs by their number.
    if (run !== transcript.runs.length) throw fault('BAD_FRAME', `run ${run} out of turn`, sender);
    if (run >= MAX_RUNS) throw fault('TOO_LONG', `more than ${MAX_RUNS} runs`, sender);
    const [outputs, us] = await measured(tensors);
    const spentUs = [...before, us];
    const next = inputs[to];
    if (next === undefined) {
      await raceSignal(deps.reply({ type: 'RESULT', session, run, tensors: outputs, spentUs }), signal);
      return giveReceipt(tensors, outputs);
    }
    const known = new Map([...tensors, ...outputs].map((tensor) => [tensor.name, tensor]));
    const onward = next.flatMap(({ name }) => known.get(name) ?? []);
    await work.onward({ type: 'RUN', session, hop: open.hop + 1, run, tensors: onward, spentUs });
    await giveReceipt(tensors, onward);
  }

  /** Behind what the client waits for. */
  async function giveReceipt(taken: readonly NamedTensor[], given: readonly NamedTensor[]): Promise<void> {
    const receipt = deps.receiptFor(taken, given);
    receipts.push(receipt);
    await raceSignal(deps.reply({ type: 'RECEIPT', receipt: receipt.bytes }), signal);
  }

  const hosted = Object.assign(work, {
    receipts,
    usage: new Uint8Array(0) as Uint8Array,
    run: (frame: RunFrame) => work.take(() => runFrame(frame)),
    async finish(signed: Uint8Array) {
      hosted.usage = signed;
      // What was taken is done first, and each run's receipt is given behind it.
      await work.last(async () => undefined);
      await work.end();
    },
  });
  return hosted;
}

/** The sequences of a batch as a challenge would give each: ids, or rows of hidden state. */
function sequencesOf(tensors: readonly NamedTensor[], [port]: readonly Port[]): Rows[] {
  const tensor = tensors.find(({ name }) => name === port?.name);
  if (tensor === undefined) return [];
  const { data, dims } = tensor;
  const [batch = 1, length = 1] = dims;
  if (data.length % batch !== 0) return [];
  // A sample without positions is a row, and the batch is what a challenge asks about.
  const isSequence = typeof port?.dims[1] === 'string';
  const [count, rows] = isSequence ? [batch, length] : [1, batch];
  const each = data.length / count;
  return Array.from({ length: count }, (_, i): Rows => {
    const part = data.subarray(i * each, (i + 1) * each);
    if (part instanceof Float32Array) return { kind: 'hidden', data: part, count: rows };
    return { kind: 'tokens', ids: Int32Array.from(part, Number) };
  });
}
