// The door for people: an HTTP server on loopback unless told otherwise, and then only with API keys. Says to each request who asks, names
// it, and tells failures in one form. Logs neither prompts nor keys.

import { randomBytes } from 'node:crypto';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { raceSignal } from '../util/async.ts';
import { CodedError, errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { ApiError, errorBody, errorHeaders, notFound, toApiError, unauthorized } from './api-error.ts';
import type { Backend, EmbeddingBackend } from './backend.ts';
import { createDoor } from './door.ts';
import { registerHealth, type Vitals } from './health.ts';
import type { KeyRing } from './keys.ts';
import { registerMetrics } from './metrics.ts';
import { type Asker, registerOpenAi } from './openai.ts';
import { createQuotas } from './quotas.ts';
import { createRoom } from './room.ts';
import { createSlots } from './slots.ts';

export interface GatewayOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Origins of web pages elsewhere that may ask; none unless named. */
  readonly corsOrigins?: readonly string[];
  /** Requests that wait for their turn; the next one is told to come again. */
  readonly waiting?: number;
  /** Most connections at once; past them the longest idle one goes. 1,024 unless given. */
  readonly connections?: number;
}

export interface GatewayDeps {
  readonly backend: Backend | EmbeddingBackend;
  readonly keys: KeyRing;
  readonly vitals: () => Vitals;
  /** Monotonic milliseconds, for quotas and metrics. */
  readonly now: () => number;
  /** Seconds since 1970, for `created`. */
  readonly nowS: () => number;
  /** More routes beside the API: the page and its data. */
  readonly register?: (app: FastifyInstance, closing: AbortSignal) => void;
  readonly log: Log;
}

export interface Gateway {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** Requests of the API that are not answered yet. */
  readonly open: number;
  /** Takes no new requests; resolves when those that are open have been answered, or the signal aborts. */
  drain(signal: AbortSignal): Promise<void>;
  /** Ends what is under way and stops listening. */
  close(): Promise<void>;
}

class GatewayError extends CodedError<
  | { readonly code: 'GATEWAY_KEYS_NEEDED'; readonly host: string }
  | { readonly code: 'GATEWAY_PORT_BUSY'; readonly host: string; readonly port: number }
  | { readonly code: 'GATEWAY_LISTEN_FAILED'; readonly host: string; readonly port: number }
> {}

/** A prompt of the longest context there is, written in JSON with escapes, fits well. */
const MAX_BODY_BYTES = 1 << 20;
/** Time for a request to arrive; an answer may take as long as it takes. */
const REQUEST_MS = 30_000;
const MAX_CONNECTIONS = 1024;
/** As many as connections leave room for: a prompt that waits is small. */
const MAX_WAITING = 960;
const ID_BYTES = 12;

/** @throws GatewayError GATEWAY_KEYS_NEEDED, GATEWAY_PORT_BUSY, GATEWAY_LISTEN_FAILED */
export async function createGateway(options: GatewayOptions, deps: GatewayDeps): Promise<Gateway> {
  const { log } = deps;
  const open = isLoopback(options.host);
  if (!open && !deps.keys.required()) throw keysNeeded(options.host);
  const closing = new AbortController();
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
    genReqId: () => `req_${randomBytes(ID_BYTES).toString('hex')}`,
  });
  app.removeContentTypeParser('text/plain');
  const room = createRoom(options.connections ?? MAX_CONNECTIONS);
  app.server.on('connection', room.enter);
  app.decorateRequest('asker', undefined);
  app.decorateRequest('drawn', 0);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (open) requireLocalName(request);
  });
  if ((options.corsOrigins ?? []).length > 0) allowOrigins(app, options.corsOrigins ?? []);
  const door = createDoor();
  app.addHook('preParsing', async (request, reply) => {
    if (!request.url.startsWith('/v1/')) return;
    request.asker = askerOf(request, deps.keys, open);
    door.enter(request);
    reply.raw.once('close', () => door.leave(request)); // also when the asker hangs up, of which the hooks hear nothing
  });
  // Its body has come too: half a request must not hold a place.
  app.addHook('preValidation', async (request, reply) => {
    const { socket } = request.raw;
    room.busy(socket);
    reply.raw.once('close', () => room.idle(socket));
  });
  const slots = createSlots({ running: deps.backend.capacity, waiting: options.waiting ?? MAX_WAITING });
  const meters = registerMetrics(app, slots);
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    meters.request(route, reply.raw.statusCode);
    log.info('answered', {
      request: request.id,
      method: request.method,
      route,
      status: reply.raw.statusCode,
      ms: Math.round(reply.elapsedTime),
      tokens: request.drawn,
      key: request.asker?.id,
    });
  });
  app.setErrorHandler((error, request, reply) => sendError(error, request, reply, log));
  app.setNotFoundHandler((request, reply) => {
    const error = notFound(`Unknown request URL: ${request.method} ${request.url.split('?')[0]}.`, 'unknown_url');
    return sendError(error, request, reply, log);
  });
  registerOpenAi(app, {
    backend: deps.backend,
    slots,
    meters,
    now: deps.now,
    quotas: createQuotas(deps.now),
    nowS: deps.nowS,
    closing: closing.signal,
    log,
  });
  registerHealth(app, () => ({ ...deps.vitals(), leaving: door.closed }));
  deps.register?.(app, closing.signal);
  const url = await listen(app, options);
  return {
    url,
    get open() {
      return door.inside;
    },
    drain: (signal) => raceSignal(door.close(), signal).catch(() => undefined),
    async close() {
      closing.abort(new Error('the gateway closes'));
      await app.close();
    },
  };
}

async function listen(app: FastifyInstance, { host, port }: GatewayOptions): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    await app.close();
    const code = errorCode(cause) === 'EADDRINUSE' ? 'GATEWAY_PORT_BUSY' : 'GATEWAY_LISTEN_FAILED';
    const why = code === 'GATEWAY_PORT_BUSY' ? 'the port is taken' : errorMessage(cause);
    throw new GatewayError({ code, host, port }, `cannot listen on ${host}:${port}: ${why}; choose another --port`, {
      cause,
    });
  }
}

function keysNeeded(host: string): GatewayError {
  return new GatewayError(
    { code: 'GATEWAY_KEYS_NEEDED', host },
    `${host} can be reached by others, so API keys are needed: make one with tessera gateway keys add NAME, or listen on 127.0.0.1`,
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** A page elsewhere must not reach this server by a name of its own that leads to loopback (DNS rebinding). */
function requireLocalName(request: FastifyRequest): void {
  const name = (request.headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
  if (isLoopback(name)) return;
  throw new ApiError(
    { status: 403, type: 'invalid_request_error', code: 'wrong_host', param: null },
    'This gateway answers on loopback only; call it 127.0.0.1 or localhost.',
  );
}

/** Where keys are needed a valid one must be there; else whatever a client sends is as good as nothing. */
function askerOf(request: FastifyRequest, keys: KeyRing, open: boolean): Asker {
  if (open && !keys.required()) return undefined;
  const [, key] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  if (key === undefined) throw unauthorized('No API key was given: send it as Authorization: Bearer KEY.');
  const asker = keys.find(key);
  if (asker === undefined) throw unauthorized('The API key is not valid, or was revoked.');
  return asker;
}

function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined || !origins.includes(origin)) return;
    reply.headers({
      'access-control-allow-origin': origin,
      vary: 'origin',
      'access-control-expose-headers': 'x-request-id, retry-after',
    });
    if (request.method !== 'OPTIONS') return;
    reply.headers({
      'access-control-allow-methods': 'GET, POST',
      'access-control-allow-headers':
        request.headers['access-control-request-headers'] ?? 'authorization, content-type',
      'access-control-max-age': '600',
    });
    await reply.code(204).send();
  });
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): FastifyReply {
  const told = toApiError(error);
  if (told.facts.status >= 500) {
    log.warn('request failed', { request: request.id, code: errorCode(error), error: errorMessage(error) });
  }
  return reply.code(told.facts.status).headers(errorHeaders(told)).send(errorBody(told));
}
