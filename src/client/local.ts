// The same generation on one engine that holds all shards: `tessera generate --local`, and what a networked run must equal token by
// token. Same call pattern, same rounding at the borders (inside the engine), same draws.

import type { Engine, KvSession } from '../engine/types.ts';
import { likeliest, type Sampled, sampleToken } from '../model/sample.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { DrawnToken } from '../wire/infer.ts';
import type { RowCodec } from '../wire/tensor.ts';
import {
  drawTokens,
  type FinishReason,
  type GeneratedToken,
  type GenerateOptions,
  type GenerationPlan,
  planGeneration,
} from './generation.ts';
import { type Call, callsFromStart, nextCall } from './pattern.ts';

export interface LocalOptions {
  /** Shards of the cut; the engine has loaded them all. */
  readonly shardCount: number;
  /** Positions. */
  readonly maxContext: number;
  /** The codec that a networked run would use: 'f16' unless told otherwise (protocol.md 12). */
  readonly codec?: RowCodec;
}

export interface LocalGeneration extends AsyncIterable<GeneratedToken> {
  /** Known when the iteration has ended. */
  readonly finish: FinishReason | undefined;
}

/**
 * Generates on one engine.
 *
 * @param prompt token ids, at least one
 * @throws ClientError PROMPT_EMPTY, PROMPT_TOO_LONG at once; EngineError and the signal's reason while iterating
 */
export function generateLocal(
  engine: Pick<Engine, 'openSession'>,
  options: LocalOptions,
  prompt: readonly number[],
  request: GenerateOptions,
  signal: AbortSignal,
): LocalGeneration {
  const plan = planGeneration(prompt, request, options.maxContext);
  let finish: FinishReason | undefined;

  async function* run(): AsyncGenerator<GeneratedToken> {
    const range = { from: 0 as ShardIndex, to: options.shardCount as ShardIndex };
    const codec = options.codec ?? 'f16';
    const kv = await engine.openSession(range, { maxTokens: plan.positions, owner: 'local', codec });
    try {
      yield* drawTokens(plan, drawOn(kv, plan, signal), (reason) => {
        finish = reason;
      });
    } finally {
      await kv.release();
    }
  }

  return {
    [Symbol.asyncIterator]: run,
    get finish() {
      return finish;
    },
  };
}

/** As f32. */
function asItTravels({ id, logprob }: Sampled): Sampled {
  return { id, logprob: Math.fround(logprob) };
}

function drawOn(kv: KvSession, plan: GenerationPlan, signal: AbortSignal) {
  async function step(call: Call): Promise<DrawnToken | undefined> {
    signal.throwIfAborted();
    const result = await kv.step(call.position, { kind: 'tokens', ids: Int32Array.from(call.ids) }, signal);
    if (result.kind !== 'top' || !call.draw) return undefined;
    const { alternatives = 0 } = plan.sampling;
    const drawn = asItTravels(sampleToken(result.top, plan.sampling, call.position + call.ids.length));
    if (alternatives === 0) return drawn;
    return { ...drawn, alternatives: likeliest(result.top, alternatives).map(asItTravels) };
  }

  return async (generated: readonly number[]): Promise<DrawnToken> => {
    const calls = generated.length === 0 ? callsFromStart(plan.prompt, []) : [nextCall(plan.prompt, generated)];
    let token: DrawnToken | undefined;
    for (const call of calls) token = await step(call);
    if (token === undefined) throw new RangeError('the engine does not end the model: load all shards for a local run');
    return token;
  };
}
