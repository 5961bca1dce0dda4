// One client of the RPC: requests in, answers out in the order of the requests, subscriptions. Knows no transport. Whatever a client sends, the
// answer is an answer; an exception never leaves this file.

import { errorMessage } from '../../util/errors.ts';
import type { Log } from '../../util/log.ts';
import { errorBody, invalidParams, RPC, RpcError, type RpcErrorBody } from './errors.ts';
import type { Stall } from './stall.ts';
import type { Methods, Subscription, Subscriptions } from './types.ts';

export interface Rpc {
  readonly methods: Methods;
  readonly subscriptions: Subscriptions;
  readonly stall: Stall;
}

export interface Session {
  /** Handles one message, a request or a batch; `reply` gets the answer's text unless nothing is to be answered. */
  handle(text: string, reply: (text: string) => void): Promise<void>;
  /** Ends all subscriptions. */
  close(): void;
}

/** As in a node's default. */
const MAX_SUBSCRIPTIONS = 1024;
/** A batch beyond this is a mistake or an attack. */
const MAX_BATCH = 1000;

interface Request {
  readonly id?: unknown;
  readonly method: string;
  /** A list, or what the client sent instead. */
  readonly params: unknown;
}

/**
 * @param notify sends the text of a notice; undefined where the transport cannot (HTTP): subscribing is refused then
 */
export function createSession(
  rpc: Rpc,
  notify: ((text: string) => void) | undefined,
  deps: { readonly log: Log },
): Session {
  const open = new Map<string, { readonly unsubscribe: string; readonly stop: () => void }>();
  let closed = false;
  let ids = 0;

  async function handle(text: string, reply: (text: string) => void): Promise<void> {
    const message = parse(text);
    await rpc.stall.answersAllowed();
    const starts: (() => void)[] = [];
    const answer = Array.isArray(message) ? await answerBatch(message, starts) : await answerOne(message, starts);
    if (answer !== undefined) reply(JSON.stringify(answer));
    for (const start of starts) start();
  }

  async function answerBatch(batch: readonly unknown[], starts: (() => void)[]): Promise<object | undefined> {
    if (batch.length === 0) return failure(null, { code: RPC.invalidRequest, message: 'Invalid request' });
    if (batch.length > MAX_BATCH) {
      return failure(null, {
        code: RPC.invalidRequest,
        message: 'Invalid request',
        data: `a batch has at most ${MAX_BATCH} requests`,
      });
    }
    const answers: object[] = [];
    for (const message of batch) {
      const answer = await answerOne(message, starts);
      if (answer !== undefined) answers.push(answer);
    }
    return answers.length === 0 ? undefined : answers;
  }

  /** Undefined for a notification, which gets no answer. */
  async function answerOne(message: unknown, starts: (() => void)[]): Promise<object | undefined> {
    if (message === PARSE_FAILED) return failure(null, { code: RPC.parse, message: 'Parse error' });
    const request = asRequest(message);
    if (request === undefined) return failure(idOf(message), { code: RPC.invalidRequest, message: 'Invalid request' });
    try {
      const result = (await run(request, starts)) ?? null;
      return 'id' in request ? { jsonrpc: '2.0', id: request.id, result } : undefined;
    } catch (error) {
      const body = errorBody(error);
      if (body.code === RPC.internal)
        deps.log.error('rpc method failed', { method: request.method, error: errorMessage(error) });
      return 'id' in request ? failure(request.id, body) : undefined;
    }
  }

  function run({ method, params }: Request, starts: (() => void)[]): unknown {
    if (!Array.isArray(params)) throw invalidParams('parameters are expected as a list');
    const plain = Object.hasOwn(rpc.methods, method) ? rpc.methods[method] : undefined;
    if (plain !== undefined) return plain(params);
    const subscription = Object.hasOwn(rpc.subscriptions, method) ? rpc.subscriptions[method] : undefined;
    if (subscription !== undefined) return subscribe(subscription, params, starts);
    if (unsubscribers.has(method)) return unsubscribe(method, params[0]);
    throw new RpcError(RPC.methodNotFound, 'Method not found');
  }

  const unsubscribers = new Set(Object.values(rpc.subscriptions).map((subscription) => subscription.unsubscribe));

  function subscribe(subscription: Subscription, params: readonly unknown[], starts: (() => void)[]): string {
    if (notify === undefined)
      throw new RpcError(RPC.methodNotFound, 'Method not found', 'subscriptions need a WebSocket');
    if (closed) throw new RpcError(RPC.internal, 'Connection closed');
    if (open.size >= MAX_SUBSCRIPTIONS) {
      throw new RpcError(
        RPC.tooManySubscriptions,
        'Too many subscriptions on the connection',
        `Exceeded max limit of ${MAX_SUBSCRIPTIONS}`,
      );
    }
    const id = `s${++ids}`;
    const outbox = createOutbox((result) =>
      notify(JSON.stringify({ jsonrpc: '2.0', method: subscription.notice, params: { subscription: id, result } })),
    );
    const stop = subscription.open(params, outbox.notify);
    open.set(id, { unsubscribe: subscription.unsubscribe, stop });
    starts.push(() => (closed ? undefined : outbox.start()));
    return id;
  }

  function unsubscribe(method: string, id: unknown): boolean {
    const found = typeof id === 'string' ? open.get(id) : undefined;
    if (found === undefined || found.unsubscribe !== method) return false;
    found.stop();
    return open.delete(id as string);
  }

  return {
    handle,
    close: () => {
      closed = true;
      for (const { stop } of open.values()) stop();
      open.clear();
    },
  };
}

/** Holds notices back until the client knows the subscription's id. */
function createOutbox(send: (result: unknown) => void): { notify(result: unknown): void; start(): void } {
  let held: unknown[] | undefined = [];
  return {
    notify: (result) => {
      if (held === undefined) send(result);
      else held.push(result);
    },
    start: () => {
      const results = held ?? [];
      held = undefined;
      for (const result of results) send(result);
    },
  };
}

const PARSE_FAILED = Symbol('not JSON');

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return PARSE_FAILED;
  }
}

function asRequest(message: unknown): Request | undefined {
  if (typeof message !== 'object' || message === null || !('method' in message) || typeof message.method !== 'string')
    return undefined;
  const params = 'params' in message && message.params !== null ? message.params : [];
  return { ...('id' in message ? { id: message.id } : {}), method: message.method, params };
}

function idOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'id' in message ? message.id : null;
}

function failure(id: unknown, error: RpcErrorBody): object {
  return { jsonrpc: '2.0', id: id ?? null, error };
}
