// The answers of one request: each a generation of its own, all under way at once as far as there are slots. Each
// token is handed on in the turn in which it comes: among hundreds of streams none waits for the others between its coming and its going.

import { randomBytes } from 'node:crypto';
import type { FinishReason, GeneratedToken, GenerateOptions } from '../client/generation.ts';
import { withStops } from '../model/stop.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { Backend } from './backend.ts';
import type { Meters } from './metrics.ts';
import type { CommonRequest } from './request.ts';
import type { Slots } from './slots.ts';

/** One answer to give. */
export interface ChoicePlan {
  readonly index: number;
  /** Token ids. */
  readonly prompt: readonly number[];
  readonly stop: readonly string[];
  readonly options: GenerateOptions;
}

export type ChoiceEvent =
  /** Text that became certain, with the tokens drawn for it. */
  | {
      readonly type: 'text';
      readonly index: number;
      readonly text: string;
      readonly tokens: readonly GeneratedToken[];
      /** When the last of them came, monotonic milliseconds. */
      readonly at: number;
      /** With the first text only. */
      readonly route?: readonly RoutedHop[];
    }
  | {
      readonly type: 'end';
      readonly index: number;
      readonly finish: FinishReason;
      /** Tokens drawn, also those of a stop text. */
      readonly drawn: number;
      readonly route: readonly RoutedHop[];
    };

/** The smallest nucleus that travels: the likeliest token alone. */
const LEAST_TOP_P = 1e-6;
const SEED_BYTES = 6;

/** Plans n answers to each prompt; the i-th of all draws with seed + i, so that a request with a seed can be repeated. */
export function planChoices(
  prompts: readonly (readonly number[])[],
  request: CommonRequest,
  chosen: { readonly maxTokens: (promptTokens: number) => number; readonly alternatives: number },
  stopIds: readonly number[],
): readonly ChoicePlan[] {
  const stop = typeof request.stop === 'string' ? [request.stop] : (request.stop ?? []);
  const seed = BigInt(request.seed ?? randomBytes(SEED_BYTES).readUIntBE(0, SEED_BYTES));
  const n = request.n ?? 1;
  return prompts.flatMap((prompt, p) =>
    Array.from({ length: n }, (_, i) => {
      const index = p * n + i;
      const options = {
        maxTokens: chosen.maxTokens(prompt.length),
        temperature: request.temperature ?? 1,
        topK: request.top_k ?? 0,
        topP: Math.max(LEAST_TOP_P, request.top_p ?? 1),
        seed: BigInt.asUintN(64, seed + BigInt(index)),
        stopIds,
        ...(chosen.alternatives > 0 ? { alternatives: chosen.alternatives } : {}),
      };
      return { index, prompt, stop, options };
    }),
  );
}

export interface ChoiceDeps {
  readonly backend: Backend;
  readonly slots: Slots;
  readonly meters: Pick<Meters, 'time' | 'ended'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Takes an event; what it answers is waited for before the next token is asked for. What it throws ends the answer. */
export type Emit = (event: ChoiceEvent) => Promise<void> | undefined;

/**
 * Hands every event over as it comes. Ends every generation when one fails or the signal aborts, and throws what the first failed one throws.
 *
 * @param owner who shares the turns of these generations
 */
export async function runChoices(
  plans: readonly ChoicePlan[],
  owner: string,
  { emit, ...deps }: ChoiceDeps & { readonly emit: Emit },
  signal: AbortSignal,
): Promise<void> {
  const ending = new AbortController();
  const until = AbortSignal.any([signal, ending.signal]);
  const running = plans.map((plan) => runChoice(plan, owner, { ...deps, emit }, until));
  try {
    await Promise.all(running);
  } finally {
    ending.abort(new Error('the answer has ended'));
    await Promise.allSettled(running);
  }
}

async function runChoice(
  { index, prompt, stop, options }: ChoicePlan,
  owner: string,
  { backend, slots, meters, now, emit }: ChoiceDeps & { readonly emit: Emit },
  signal: AbortSignal,
): Promise<void> {
  const asked = now();
  const leave = await slots.take(owner, signal);
  meters.time('tessera_request_queue_time_seconds', now() - asked);
  try {
    const generation = backend.generate(prompt, options, signal);
    const stream = withStops(backend.tokenizer.createStream(prompt), stop);
    let drawn = 0;
    let at = asked;
    /** Drawn, their text held back. */
    let pending: GeneratedToken[] = [];
    let told: { readonly route?: readonly RoutedHop[] } | undefined;
    for await (const token of generation) {
      const came = now();
      if (drawn > 0) meters.time('tessera_inter_token_latency_seconds', came - at);
      at = came;
      drawn += 1;
      pending.push(token);
      const text = stream.push(token.id);
      if (text !== '') {
        told = told === undefined ? { route: generation.route ?? [] } : {};
        const full = emit({ type: 'text', index, text, tokens: pending, at, ...told });
        pending = [];
        if (full !== undefined) await full;
      }
      if (stream.stopped) break;
    }
    const rest = stream.end();
    if (rest !== '' || (pending.length > 0 && !stream.stopped))
      await emit({ type: 'text', index, text: rest, tokens: pending, at: now() });
    const finish = stream.stopped ? 'stop' : (generation.finish ?? 'length');
    meters.ended(finish);
    await emit({ type: 'end', index, finish, drawn, route: generation.route ?? [] });
  } finally {
    leave();
  }
}
