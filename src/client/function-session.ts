// One session of a stateless model over the hops of a route (protocol.md 12, RUN): tensors to hop 1, the result from the last hop. Trusts no hop: what does
// not fit is a failure that names the peer. Failures are values; only the caller's signal throws.

import type { RoutedHop } from '../routing/route.ts';
import type { NamedTensor } from '../types/tensor.ts';
import { raceSignal, withDeadline } from '../util/async.ts';
import { encodeMessage, type InferMessage, type SessionId } from '../wire/infer.ts';
import {
  blame,
  breakOff,
  failed,
  type Hop,
  listenTo,
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

export interface RemoteFunction {
  readonly route: readonly RoutedHop[];
  /** One run; the next one when this has been answered. */
  run(call: FunctionCall, signal: AbortSignal): Promise<Outcome<readonly NamedTensor[]>>;
  /** Ends the session at every hop: politely, or at once. */
  close(how: 'done' | 'broken'): Promise<void>;
}

/** Opens all hops; when one fails all are given up and every failure is named. */
export async function openFunction(
  request: OpenRequest,
  deps: OpenDeps,
  signal: AbortSignal,
): Promise<Outcome<RemoteFunction>> {
  const opened = await openHops(request, deps, signal);
  if (!opened.ok) return opened;
  return { ok: true, value: runFunction(opened.value.session, opened.value.hops, request) };
}

/** What was asked for. */
interface Expected {
  readonly run: number;
  readonly call: FunctionCall;
  readonly resolve: (outputs: readonly NamedTensor[]) => void;
}

/** Saying goodbye takes no longer; then the streams are broken off. */
const CLOSE_MS = 1_000;

function runFunction(
  session: SessionId,
  hops: readonly Hop[],
  { route, deadlines }: Pick<OpenRequest, 'route' | 'deadlines'>,
): RemoteFunction {
  let asked: Expected | undefined;
  let runs = 0;

  /** Hands a result over; false when it is not the one that was asked for. */
  function take(message: InferMessage, hop: number): boolean {
    if (message.type !== 'RESULT' || hop !== route.length - 1 || message.session !== session) return false;
    if (asked === undefined || message.run !== asked.run || message.spentUs.length !== route.length) return false;
    if (!asked.call.fits(message.tensors)) return false;
    asked.resolve(message.tensors);
    asked = undefined;
    return true;
  }

  function failureIn(message: InferMessage | 'malformed', hop: number): Outcome<never> | undefined {
    if (message !== 'malformed' && message.type === 'ERROR') return blame(route, hop, message);
    return message !== 'malformed' && take(message, hop) ? undefined : failed(route, hop, 'BAD_FRAME');
  }

  const { broken } = listenTo(hops, route, failureIn);

  async function leave({ stream }: Hop): Promise<void> {
    try {
      const deadline = AbortSignal.timeout(CLOSE_MS);
      await stream.send(encodeMessage({ type: 'CLOSE', session, usage: new Uint8Array(0) }), deadline);
      await raceSignal(stream.close(), deadline);
    } catch {
      await breakOff(stream);
    }
  }

  return {
    route,
    async run(call, signal) {
      const result = Promise.withResolvers<readonly NamedTensor[]>();
      const run = runs;
      runs += 1;
      asked = { run, call, resolve: result.resolve };
      const deadline = withDeadline(signal, deadlines.stepMs);
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
    async close(how) {
      await Promise.all(hops.map((hop) => (how === 'done' ? leave(hop) : breakOff(hop.stream))));
    },
  };
}
