// JSON-RPC 2.0 over one WebSocket. Every request ends: with its answer, with the caller's signal, or with the socket, whichever is first.
// Trusts nothing that the endpoint sends beyond its being JSON.

import { WebSocket } from 'ws';
import { z } from 'zod';
import { raceSignal } from '../../util/async.ts';
import { unreachable } from '../errors.ts';

/** An error object that the endpoint answered. */
export class RpcFault extends Error {
  readonly rpc: number;

  constructor(rpc: number, message: string) {
    super(message);
    this.name = 'RpcFault';
    this.rpc = rpc;
  }
}

export type Listener = (value: unknown) => void;

export interface RpcSocket {
  readonly endpoint: string;
  /** Aborts when the connection is gone, with CHAIN_UNREACHABLE as its reason. */
  readonly lost: AbortSignal;
  /** Messages that came in so far. */
  received(): number;
  /** Errors: RpcFault, the signal's reason, CHAIN_UNREACHABLE. */
  send(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown>;
  /** Answers the subscription's id. */
  subscribe(method: string, params: readonly unknown[], listener: Listener, signal?: AbortSignal): Promise<string>;
  unsubscribe(id: string): void;
  close(): void;
}

/** Answers of this size and more are refused: a full metadata is below 1 MB, a large block below 6 MB. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

/** Requests without an answer; beyond it the caller is told that the endpoint is unusable. */
const MAX_PENDING = 1024;

/** Notices of a subscription whose id is not known yet: the answer follows at once. */
const MAX_EARLY = 64;

/** Errors: CHAIN_UNREACHABLE, the signal's reason. */
export async function openSocket(endpoint: string, signal: AbortSignal): Promise<RpcSocket> {
  const socket = createWebSocket(endpoint);
  const opened = new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', (error) => reject(unreachable([endpoint], error)));
  });
  try {
    await raceSignal(opened, signal);
  } catch (error) {
    socket.terminate();
    throw error;
  }
  return speakOver(socket, endpoint);
}

function createWebSocket(endpoint: string): WebSocket {
  try {
    const socket = new WebSocket(endpoint, { perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
    // Without a listener a late error would end the process; `close` follows every error.
    socket.on('error', () => undefined);
    return socket;
  } catch (error) {
    throw unreachable([endpoint], error);
  }
}

function speakOver(socket: WebSocket, endpoint: string): RpcSocket {
  const lost = new AbortController();
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  const listeners = new Map<string, Listener>();
  const early = new Map<string, unknown[]>();
  let lastId = 0;
  let received = 0;

  function end(): void {
    if (lost.signal.aborted) return;
    lost.abort(unreachable([endpoint]));
    for (const { reject } of pending.values()) reject(lost.signal.reason);
    pending.clear();
    listeners.clear();
    socket.terminate();
  }

  function receive(text: string): void {
    received += 1;
    const message = parseMessage(text);
    if (message === undefined) return;
    if (message.params) notify(String(message.params.subscription), message.params.result);
    else settle(message);
  }

  function settle({ id, result, error }: Message): void {
    const request = typeof id === 'number' ? pending.get(id) : undefined;
    if (request === undefined || typeof id !== 'number') return;
    pending.delete(id);
    if (error) request.reject(new RpcFault(error.code, faultText(error)));
    else request.resolve(result);
  }

  function notify(id: string, value: unknown): void {
    const listener = listeners.get(id);
    if (listener !== undefined) tell(listener, value);
    else if (early.size < MAX_EARLY) early.set(id, [...(early.get(id) ?? []), value].slice(-MAX_EARLY));
  }

  /** An endpoint whose notices cannot be understood is as good as gone. */
  function tell(listener: Listener, value: unknown): void {
    try {
      listener(value);
    } catch {
      end();
    }
  }

  async function send(method: string, params: readonly unknown[], signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted();
    lost.signal.throwIfAborted();
    if (pending.size >= MAX_PENDING) throw unreachable([endpoint]);
    lastId += 1;
    const id = lastId;
    const request = Promise.withResolvers<unknown>();
    pending.set(id, request);
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    try {
      return await (signal === undefined ? request.promise : raceSignal(request.promise, signal));
    } finally {
      pending.delete(id);
    }
  }

  socket.on('message', (data) => receive(String(data)));
  socket.on('close', end);

  return {
    endpoint,
    lost: lost.signal,
    received: () => received,
    send,
    async subscribe(method, params, listener, signal) {
      const id = String(await send(method, params, signal));
      listeners.set(id, listener);
      for (const value of early.get(id) ?? []) tell(listener, value);
      early.delete(id);
      return id;
    },
    unsubscribe: (id) => listeners.delete(id),
    close: end,
  };
}

/** Some servers write null for what is not there. */
const MESSAGE = z.object({
  id: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }).nullish(),
  params: z.object({ subscription: z.unknown().optional(), result: z.unknown().optional() }).nullish(),
});

type Message = z.output<typeof MESSAGE>;

/** Undefined for what is no message of JSON-RPC: it is nobody's answer. */
function parseMessage(text: string): Message | undefined {
  try {
    return MESSAGE.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function faultText({ message, data }: NonNullable<Message['error']>): string {
  return typeof data === 'string' ? `${message}: ${data}` : message;
}
