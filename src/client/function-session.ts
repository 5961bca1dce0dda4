// One session of a stateless model over the hops of a route (protocol.md 12, RUN): tensors to hop 1, the result from the last hop. Trusts no hop: what does
// not fit is a failure that names the peer. Failures are values; only the caller's signal throws.

import { createRunCheck } from '../receipts/run-check.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import type { Verify } from '../wire/envelope.ts';
import { encodeMessage, type InferMessage, MAX_RUNS, type SessionId } from '../wire/infer.ts';
import { hearHops } from './farewell.ts';
import type { SessionTranscript } from './handover.ts';
import {
  failed,
  type Hop,
  type HopFailure,
  type OpenDeps,
  type OpenRequest,
  type Outcome,
  openHops,
  silence,
} from './hops.ts';

export interface FunctionCall {
  readonly tensors: readonly NamedTensor[];
  /** Whether what comes out can be its result. */
  fits(outputs: readonly NamedTensor[]): boolean;
}

export interface FunctionDeps extends OpenDeps {
  /** Checks a signature under a peer id (p2p/identity.ts). */
  readonly verify: Verify;
}

export interface RemoteFunction {
  readonly route: readonly RoutedHop[];
  /** Whether it has had as many runs as one session may have. */
  readonly isFull: boolean;
  /** What the hops have signed for (protocol.md 13). */
  transcript(): SessionTranscript;
  /** One run; the next one when this has been answered. */
  run(call: FunctionCall, signal: AbortSignal): Promise<Outcome<readonly NamedTensor[]>>;
  /** Ends the session at every hop: politely, which tells what is wrong with the last receipts, or at once. */
  close(how: 'done' | 'broken'): Promise<readonly HopFailure[]>;
}

/** Opens all hops; when one fails all are given up and every failure is named. */
export async function openFunction(
  request: OpenRequest,
  deps: FunctionDeps,
  signal: AbortSignal,
): Promise<Outcome<RemoteFunction>> {
  const opened = await openHops(request, deps, signal);
  if (!opened.ok) return opened;
  return { ok: true, value: runFunction(opened.value.session, opened.value.hops, request, deps) };
}

/** What was asked for. */
interface Expected {
  readonly run: number;
  readonly call: FunctionCall;
  readonly resolve: (outputs: readonly NamedTensor[]) => void;
}

function runFunction(
  session: SessionId,
  hops: readonly Hop[],
  { route, deadlines, manifest, codec }: OpenRequest,
  { identity, verify }: FunctionDeps,
): RemoteFunction {
  const check = createRunCheck({ session, manifest, codec, route }, verify);
  let asked: Expected | undefined;
  let runs = 0;

  /** Hands a result over; false when it is not the one that was asked for. */
  function take(message: InferMessage, hop: number): boolean {
    if (message.type !== 'RESULT' || hop !== route.length - 1 || message.session !== session) return false;
    if (asked === undefined || message.run !== asked.run || message.spentUs.length !== route.length) return false;
    if (!asked.call.fits(message.tensors)) return false;
    check.got(message.tensors);
    asked.resolve(message.tensors);
    asked = undefined;
    return true;
  }

  const { broken, close } = hearHops({ session, route, hops, deadlines }, { identity, check, take });

  return {
    route,
    get isFull() {
      return runs >= MAX_RUNS;
    },
    transcript: () => ({ route, receipts: check.listed() }),
    async run(call, signal) {
      const result = Promise.withResolvers<readonly NamedTensor[]>();
      const run = runs;
      runs += 1;
      asked = { run, call, resolve: result.resolve };
      const deadline = withDeadline(signal, deadlines.stepMs);
      check.sent(call.tensors);
      const frame = encodeMessage({ type: 'RUN', session, hop: 0, run, tensors: call.tensors, spentUs: [] });
      const sent = (hops[0]?.stream.send(frame, deadline) ?? Promise.resolve()).then(() => result.promise);
      const done = sent.then((value) => ({ ok: true, value }) as const);
      try {
        return await raceSignal(Promise.race([done, broken]), deadline);
      } catch {
        signal.throwIfAborted();
        return deadline.aborted ? { ok: false, failures: silence(route) } : failed(route, 0, 'RESET');
      }
    },
    close,
  };
}
