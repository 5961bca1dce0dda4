// Errors as OpenAI's API tells them: status, type, code and the parameter that is at fault. Whatever goes wrong becomes one of these; what a
// person wrote and what keys are worth never stands in a message.

import { ClientError } from '../client/generation.ts';
import { CodedError, errorCode } from '../util/errors.ts';

export interface ApiErrorFacts {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  readonly param: string | null;
  /** Seconds. */
  readonly retryAfterS?: number;
}

export class ApiError extends CodedError<ApiErrorFacts> {}

/** What is sent, as `{ error: {...} }`. */
export function errorBody({ facts, message }: ApiError): object {
  const { type, param, code } = facts;
  return { error: { message, type, param, code } };
}

/** Headers that go with it. `x-should-retry` is heard by OpenAI's own clients: what is not implemented stays so. */
export function errorHeaders({ facts: { status, retryAfterS } }: ApiError): Record<string, string> {
  return {
    ...(retryAfterS === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterS))) }),
    ...(status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
    ...(status === 501 ? { 'x-should-retry': 'false' } : {}),
  };
}

export function badRequest(message: string, param: string | null, code = 'invalid_value'): ApiError {
  return new ApiError({ status: 400, type: 'invalid_request_error', code, param }, message);
}

export function notFound(message: string, code: string, param: string | null = null): ApiError {
  return new ApiError({ status: 404, type: 'invalid_request_error', code, param }, message);
}

export function unauthorized(message: string): ApiError {
  return new ApiError({ status: 401, type: 'authentication_error', code: 'invalid_api_key', param: null }, message);
}

export function tooMany(message: string, retryAfterS: number, code = 'rate_limit_exceeded'): ApiError {
  return new ApiError({ status: 429, type: 'rate_limit_error', code, param: null, retryAfterS }, message);
}

/** Another gateway may take it. */
export function closing(): ApiError {
  return new ApiError(
    { status: 503, type: 'server_error', code: 'closing', param: null, retryAfterS: CLOSING_RETRY_S },
    'The gateway closes.',
  );
}

export function contextExceeded(tokens: number, maxContext: number, param: string): ApiError {
  return badRequest(
    `This model's maximum context length is ${maxContext} tokens, prompt and answer together; at least ${tokens} were asked for.`,
    param,
    'context_length_exceeded',
  );
}

/** An input of an embedding. */
export function tooLong(tokens: number, most: number, what: string): ApiError {
  return badRequest(
    `Invalid 'input': at most ${most} tokens are allowed (${what}), and at least ${tokens} were sent.`,
    'input',
    'context_length_exceeded',
  );
}

/** Another route of the API is the one for this model. */
export function notForThisModel(model: string, instead: string): ApiError {
  return notFound(
    `The model '${model}' is not supported here. Did you mean to use ${instead}?`,
    'model_not_supported',
    'model',
  );
}

/** A restart takes no longer. */
const CLOSING_RETRY_S = 10;
/** Seconds after which a network without a route may have one: two announce periods on a slow chain. */
const ROUTE_RETRY_S = 10;

/** Any failure as an answer; undefined when nobody is left to hear one. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof ClientError) return fromClient(error);
  return fromFramework(error);
}

function fromClient(error: ClientError): ApiError {
  const { facts } = error;
  switch (facts.code) {
    case 'PROMPT_EMPTY':
      return badRequest('The prompt has no tokens.', 'prompt');
    case 'PROMPT_TOO_LONG':
      return contextExceeded(facts.tokens, facts.maxContext, 'prompt');
    case 'NO_ROUTE':
    case 'GENERATION_FAILED': {
      const why = facts.code === 'NO_ROUTE' ? 'No route through the model' : 'Every route tried has failed';
      const code = facts.code.toLowerCase();
      return new ApiError(
        { status: 503, type: 'server_error', code, param: null, retryAfterS: ROUTE_RETRY_S },
        `${why}: the network lacks hosters for it at this moment. Try again soon.`,
      );
    }
  }
}

/** What fastify refuses by itself. */
const REFUSALS: Readonly<Record<string, { readonly status: number; readonly code: string; readonly message: string }>> =
  {
    FST_ERR_CTP_BODY_TOO_LARGE: {
      status: 413,
      code: 'request_too_large',
      message: 'The request is larger than allowed.',
    },
    FST_ERR_CTP_INVALID_MEDIA_TYPE: {
      status: 415,
      code: 'unsupported_media_type',
      message: 'Send the request as content-type application/json.',
    },
    FST_ERR_CTP_EMPTY_JSON_BODY: { status: 400, code: 'invalid_json', message: 'The request has no body.' },
    FST_ERR_CTP_INVALID_JSON_BODY: { status: 400, code: 'invalid_json', message: 'The body is not valid JSON.' },
    FST_ERR_CTP_INVALID_CONTENT_LENGTH: { status: 400, code: 'invalid_request', message: 'The body ended too early.' },
  };

function fromFramework(error: unknown): ApiError {
  const { status, code, message } = REFUSALS[errorCode(error)] ?? {
    status: 500,
    code: 'internal_error',
    message: 'The gateway failed. Its log names the request id.',
  };
  const type = status === 500 ? 'server_error' : 'invalid_request_error';
  return new ApiError({ status, type, code, param: null }, message);
}
