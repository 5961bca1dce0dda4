// What may be asked of /v1/*, as OpenAI's API writes it. Strict: a parameter that would change the answer and is not supported is refused by
// name, never ignored; those that change nothing (user, metadata, ...) are taken and left alone.

import { z } from 'zod';
import { MAX_ALTERNATIVES } from '../wire/infer.ts';
import { type ApiError, badRequest } from './api-error.ts';

/** Texts that end an answer. */
const MAX_STOPS = 4;
const MAX_STOP_CHARS = 256;
/** Answers of one request, over all its prompts: as many generations as run at once. */
export const MAX_CHOICES = 8;
const MAX_MESSAGES = 512;
/** As OpenAI allows for /v1/completions. */
const MAX_LEGACY_LOGPROBS = 5;

const stop = z
  .union([z.string().min(1).max(MAX_STOP_CHARS), z.array(z.string().min(1).max(MAX_STOP_CHARS)).max(MAX_STOPS)])
  .nullish();
const count = z.int().min(1);
const anything = z.unknown().optional();
/** Only the value that asks for nothing. */
const unsupported = (...harmless: readonly (string | number | boolean)[]) =>
  z
    .unknown()
    .refine(
      (value) =>
        value === null ||
        value === undefined ||
        harmless.some((one) => one === value) ||
        (typeof value === 'object' && Object.keys(value).length === 0),
      { error: 'is not supported by this server; leave it out' },
    )
    .optional();

const common = {
  model: z.string().min(1),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  /** As vLLM names it. */
  top_k: z.int().min(0).max(64).nullish(),
  seed: z.int().nullish(),
  n: z.int().min(1).max(MAX_CHOICES).nullish(),
  stop,
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .nullish(),
  max_tokens: count.nullish(),
  user: anything,
  frequency_penalty: unsupported(0),
  presence_penalty: unsupported(0),
  logit_bias: unsupported(),
};

const contentPart = z.strictObject({ type: z.literal('text'), text: z.string() });
const message = z.strictObject({
  role: z.enum(['system', 'developer', 'user', 'assistant']),
  content: z.union([z.string(), z.array(contentPart).max(MAX_MESSAGES)]),
  name: z.string().optional(),
  refusal: z.null().optional(),
  tool_calls: unsupported(),
});

const chatSchema = z
  .strictObject({
    ...common,
    messages: z.array(message).min(1).max(MAX_MESSAGES),
    max_completion_tokens: count.nullish(),
    logprobs: z.boolean().nullish(),
    top_logprobs: z.int().min(0).max(MAX_ALTERNATIVES).nullish(),
    response_format: z.strictObject({ type: z.literal('text') }).nullish(),
    modalities: z.array(z.literal('text')).nullish(),
    tools: unsupported(),
    functions: unsupported(),
    tool_choice: unsupported('none', 'auto'),
    function_call: unsupported('none', 'auto'),
    audio: unsupported(),
    prediction: unsupported(),
    web_search_options: unsupported(),
    store: unsupported(false),
    metadata: anything,
    parallel_tool_calls: anything,
    prompt_cache_key: anything,
    prompt_cache_retention: anything,
    reasoning_effort: anything,
    safety_identifier: anything,
    service_tier: anything,
    verbosity: anything,
  })
  .refine(({ logprobs, top_logprobs }) => logprobs === true || (top_logprobs ?? 0) === 0, {
    path: ['top_logprobs'],
    error: 'needs logprobs: true',
  });

const tokenIds = z.array(z.int().min(0)).min(1);
const completionSchema = z.strictObject({
  ...common,
  prompt: z.union([z.string(), tokenIds, z.array(z.string()).min(1), z.array(tokenIds).min(1)]),
  logprobs: z.int().min(0).max(MAX_LEGACY_LOGPROBS).nullish(),
  echo: unsupported(false),
  suffix: unsupported(''),
  best_of: unsupported(1),
});

/** As OpenAI allows. */
const MAX_INPUTS = 2048;
/** Over all inputs of one request. */
export const MAX_INPUT_TOKENS = 300_000;

const embeddingSchema = z.strictObject({
  model: z.string().min(1),
  input: z.union([
    z.string(),
    tokenIds,
    z.array(z.string()).min(1).max(MAX_INPUTS),
    z.array(tokenIds).min(1).max(MAX_INPUTS),
  ]),
  dimensions: count.optional(),
  encoding_format: z.enum(['float', 'base64']).optional(),
  user: anything,
});

export type ChatRequest = z.infer<typeof chatSchema>;
export type CompletionRequest = z.infer<typeof completionSchema>;
export type EmbeddingRequest = z.infer<typeof embeddingSchema>;
export type CommonRequest = Pick<
  CompletionRequest,
  'model' | 'temperature' | 'top_p' | 'top_k' | 'seed' | 'n' | 'stop' | 'stream' | 'stream_options' | 'max_tokens'
>;

export const parseChat = (body: unknown): ChatRequest => parse(chatSchema, body);
export const parseCompletion = (body: unknown): CompletionRequest => parse(completionSchema, body);
export const parseEmbedding = (body: unknown): EmbeddingRequest => parse(embeddingSchema, body);

function parse<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const result = schema.safeParse(body, { reportInput: true });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw issue === undefined ? badRequest('The request is not valid.', null) : describe(issue);
}

/** In OpenAI's words; the value itself is not repeated: it may be a prompt. */
function describe(issue: z.core.$ZodIssue): ApiError {
  if (issue.code === 'unrecognized_keys') {
    const param = pathOf([...issue.path, issue.keys[0] ?? '']);
    return badRequest(`Unrecognized request argument supplied: ${param}`, param, 'unknown_parameter');
  }
  const param = issue.path.length === 0 ? null : pathOf(issue.path);
  if (param === null) return badRequest('The body must be a JSON object.', null, 'invalid_type');
  if (issue.input === undefined && issue.code !== 'custom') {
    return badRequest(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
  }
  const why = issue.message.replace(/^Invalid input: /, '');
  const code = issue.code === 'invalid_type' || issue.code === 'invalid_union' ? 'invalid_type' : 'invalid_value';
  return badRequest(`Invalid '${param}': ${why}.`, param, code);
}

/** `messages[0].role` */
function pathOf(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`))
    .join('');
}
