// /v1/*: requests in OpenAI's form to generations and back. Who asks is known by then.

import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChatMessage } from '../model/chat.ts';
import { errorCode } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { type AnswerHead, type Run, streamAnswer, usageOf, wholeAnswer } from './answer.ts';
import { ApiError, badRequest, closing, contextExceeded, notForThisModel, notFound } from './api-error.ts';
import type { Backend, EmbeddingBackend } from './backend.ts';
import { type ChoicePlan, type Emit, planChoices, runChoices } from './choices.ts';
import { answerEmbeddings } from './embeddings.ts';
import type { KeyRing } from './keys.ts';
import type { Meters } from './metrics.ts';
import type { Quotas } from './quotas.ts';
import {
  type ChatRequest,
  type CommonRequest,
  type CompletionRequest,
  MAX_CHOICES,
  parseChat,
  parseCompletion,
  parseEmbedding,
} from './request.ts';
import { chatShape, completionShape, type Shape } from './shapes.ts';
import type { Slots } from './slots.ts';
import { type EventStream, openEventStream } from './sse.ts';

export interface OpenAiDeps {
  readonly backend: Backend | EmbeddingBackend;
  readonly slots: Slots;
  readonly quotas: Quotas;
  readonly meters: Pick<Meters, 'time' | 'ended' | 'tokens'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Seconds since 1970. */
  readonly nowS: () => number;
  /** Aborts when the gateway closes. */
  readonly closing: AbortSignal;
  readonly log: Log;
}

/** Whose quota a request counts against; nobody's where no keys are needed. */
export type Asker = ReturnType<KeyRing['find']>;

declare module 'fastify' {
  interface FastifyRequest {
    asker: Asker;
    /** Tokens drawn for it. */
    drawn: number;
  }
}

/** As in OpenAI's older completions. */
const DEFAULT_COMPLETION_TOKENS = 16;
/** No tokenizer has longer tokens on average, whatever the text: 32 Ki characters for a context of 512. */
const MAX_TOKEN_CHARS = 64;
const FINGERPRINT_CHARS = 10;
const ID_BYTES = 12;

export function registerOpenAi(app: FastifyInstance, deps: OpenAiDeps): void {
  const { backend } = deps;
  const created = deps.nowS();
  const model = { id: backend.model.id, object: 'model', created, owned_by: 'tessera' };

  app.get('/v1/models', async () => ({ object: 'list', data: [model] }));
  app.get<{ Params: { model: string } }>('/v1/models/:model', async (request) => {
    requireModel(request.params.model, backend);
    return model;
  });
  if (backend.embedder === undefined) registerText(app, { ...deps, backend });
  else registerEmbeddings(app, { ...deps, backend });
}

type TextDeps = OpenAiDeps & { readonly backend: Backend };

function registerText(app: FastifyInstance, deps: TextDeps): void {
  const { backend } = deps;
  app.post('/v1/chat/completions', (request, reply) => answer(chatAsked(request.body, backend), request, reply, deps));
  app.post('/v1/completions', (request, reply) => answer(completionAsked(request.body, backend), request, reply, deps));
  app.post('/v1/embeddings', async (request) => {
    requireModel(parseEmbedding(request.body).model, backend);
    throw new ApiError(
      { status: 501, type: 'invalid_request_error', code: 'not_implemented', param: 'model' },
      `The model '${backend.model.id}' gives no embeddings.`,
    );
  });
}

function registerEmbeddings(app: FastifyInstance, deps: OpenAiDeps & { readonly backend: EmbeddingBackend }): void {
  const { backend } = deps;
  app.post('/v1/embeddings', async (request, reply) => {
    const asked = parseEmbedding(request.body);
    requireModel(asked.model, backend);
    const signal = AbortSignal.any([deps.closing, untilGone(reply)]);
    try {
      return await answerEmbeddings(asked, request, deps, signal);
    } catch (error) {
      throw signal.aborted ? brokenOff(deps.closing.aborted) : error;
    }
  });
  for (const [route, parse] of [
    ['/v1/chat/completions', parseChat],
    ['/v1/completions', parseCompletion],
  ] as const)
    app.post(route, async (request) => {
      requireModel(parse(request.body).model, backend);
      throw notForThisModel(backend.model.id, '/v1/embeddings');
    });
}

interface Asked {
  readonly request: CommonRequest;
  readonly plans: readonly ChoicePlan[];
  readonly shape: Shape;
}

function chatAsked(body: unknown, backend: Backend): Asked {
  const request = parseChat(body);
  requireModel(request.model, backend);
  const { tokenizer, model } = backend;
  const messages = request.messages.map(plainMessage);
  const chars = messages.reduce((sum, { content }) => sum + content.length, 0);
  requireShort(chars, model.maxContext, 'messages');
  const prompt = tokenizer.encodeChat(messages);
  const wanted = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  requireRoom([prompt], wanted ?? 1, model.maxContext, 'messages');
  const alternatives = request.top_logprobs ?? 0;
  const maxTokens = (tokens: number): number => wanted ?? model.maxContext - tokens;
  const plans = planChoices([prompt], request, { maxTokens, alternatives }, tokenizer.eos);
  return { request, plans, shape: chatShape(tokenizer, request.logprobs ?? false) };
}

function completionAsked(body: unknown, backend: Backend): Asked {
  const request = parseCompletion(body);
  requireModel(request.model, backend);
  const { tokenizer, model } = backend;
  const prompts = promptsOf(request.prompt, backend);
  if (prompts.length * (request.n ?? 1) > MAX_CHOICES) {
    throw badRequest(`Invalid 'n': at most ${MAX_CHOICES} answers over all prompts.`, 'n');
  }
  const wanted = request.max_tokens ?? DEFAULT_COMPLETION_TOKENS;
  requireRoom(prompts, request.max_tokens ?? 1, model.maxContext, 'prompt');
  const plans = planChoices(
    prompts,
    request,
    { maxTokens: () => wanted, alternatives: request.logprobs ?? 0 },
    tokenizer.eos,
  );
  return { request, plans, shape: completionShape(tokenizer, typeof request.logprobs === 'number') };
}

/** OpenAI's developer is the system of before; parts of a text are one text. */
function plainMessage({ role, content }: ChatRequest['messages'][number]): ChatMessage {
  const text = typeof content === 'string' ? content : content.map((part) => part.text).join('');
  return { role: role === 'developer' ? 'system' : role, content: text };
}

function promptsOf(prompt: CompletionRequest['prompt'], { tokenizer, model }: Backend): readonly (readonly number[])[] {
  const texts = [prompt].flat(2).filter((one) => typeof one === 'string');
  const chars = texts.reduce((sum, text) => sum + text.length, 0);
  requireShort(chars / Math.max(1, texts.length), model.maxContext, 'prompt');
  if (typeof prompt === 'string') return [tokenizer.encodePrompt(prompt)];
  const list = typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[]);
  return list.map((one) => (typeof one === 'string' ? tokenizer.encodePrompt(one) : knownIds(one, model.vocab)));
}

function knownIds(ids: readonly number[], vocab: number): readonly number[] {
  if (ids.every((id) => id < vocab)) return ids;
  throw badRequest(`Invalid 'prompt': token ids of this model are below ${vocab}.`, 'prompt');
}

function requireModel(name: string, { model }: Pick<Backend, 'model'>): void {
  if (name !== model.id) throw notFound(`The model '${name}' does not exist.`, 'model_not_found', 'model');
}

/** What cannot fit is not encoded: that takes the time of everybody who asks. */
function requireShort(chars: number, maxContext: number, param: string): void {
  if (chars > maxContext * MAX_TOKEN_CHARS)
    throw contextExceeded(Math.ceil(chars / MAX_TOKEN_CHARS), maxContext, param);
}

function requireRoom(prompts: readonly (readonly number[])[], wanted: number, maxContext: number, param: string): void {
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  if (longest + wanted > maxContext) throw contextExceeded(longest + wanted, maxContext, param);
}

async function answer(asked: Asked, request: FastifyRequest, reply: FastifyReply, deps: TextDeps): Promise<unknown> {
  const { plans, shape } = asked;
  const { backend } = deps;
  const meter = { drawn: 0 };
  const begun = deps.now();
  const reserved = usageOf(
    plans,
    plans.reduce((sum, { options }) => sum + options.maxTokens, 0),
  ).total_tokens;
  const admission = request.asker === undefined ? undefined : deps.quotas.admit(request.asker, reserved);
  const head: AnswerHead = {
    id: `${shape.idPrefix}${randomBytes(ID_BYTES).toString('hex')}`,
    created: deps.nowS(),
    model: backend.model.id,
    fingerprint: `fp_${backend.model.hash.slice(0, FINGERPRINT_CHARS)}`,
  };
  const signal = AbortSignal.any([deps.closing, untilGone(reply)]);
  const run: Run = (emit) =>
    runChoices(plans, request.asker?.id ?? '', { ...deps, emit: timed(emit, begun, deps) }, signal);
  try {
    if (asked.request.stream !== true) return await wholeAnswer(run, { head, shape, plans, meter });
    const includeUsage = asked.request.stream_options?.include_usage === true;
    const onWritten = (at: number): void => deps.meters.time('tessera_token_overhead_seconds', deps.now() - at);
    const open = () => openStream(reply, signal);
    const failure = await streamAnswer(run, open, { head, shape, plans, meter, includeUsage, onWritten });
    if (failure !== undefined) deps.log.info('answer broke off', { request: request.id, code: errorCode(failure) });
    return reply;
  } catch (error) {
    throw signal.aborted ? brokenOff(deps.closing.aborted) : error;
  } finally {
    const usage = usageOf(plans, meter.drawn);
    request.drawn = meter.drawn;
    admission?.settle(usage.total_tokens);
    deps.meters.tokens(usage.prompt_tokens, usage.completion_tokens);
    deps.meters.time('tessera_e2e_request_latency_seconds', deps.now() - begun);
  }
}

/** Tells how long the first event took. */
function timed(emit: Emit, begun: number, { meters, now }: OpenAiDeps): Emit {
  let waiting = true;
  return (event) => {
    if (waiting) {
      waiting = false;
      const at = event.type === 'text' ? event.at : now();
      meters.time('tessera_time_to_first_token_seconds', at - begun);
    }
    return emit(event);
  };
}

/** Nobody hears the first; the second only who waited while the gateway closes. */
function brokenOff(closes: boolean): ApiError {
  return closes
    ? closing()
    : new ApiError({ status: 499, type: 'invalid_request_error', code: 'gone', param: null }, 'The asker has gone.');
}

/** From here on a status can tell nothing any more. */
function openStream(reply: FastifyReply, signal: AbortSignal): EventStream {
  const headers = Object.fromEntries(Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]));
  reply.hijack();
  return openEventStream(reply.raw, headers, signal);
}

/** Aborts when the asker hangs up before the answer is complete. */
function untilGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new Error('the asker has gone'));
  });
  return controller.signal;
}
