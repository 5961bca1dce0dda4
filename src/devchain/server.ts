// JSON-RPC over HTTP POST and WebSocket on one port. Bounds what a client may send and how far it may fall behind, and which web pages may
// ask at all: a browser on this machine runs pages of strangers, and tells of which with the header Origin.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { createSerial } from '../util/async.ts';
import { CodedError, errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import { RPC } from './rpc/errors.ts';
import { createSession, type Rpc } from './rpc/session.ts';

class ServerError extends CodedError<{ code: 'DEVCHAIN_PORT_BUSY'; host: string; port: number }> {}

export interface RpcServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface ServerOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
}

/** As in a node: larger requests are refused. */
const MAX_REQUEST_BYTES = 15 * 2 ** 20;
/** A WebSocket message beyond this closes the connection before it takes the memory. */
const MAX_FRAME_BYTES = 16 * 2 ** 20;
const MAX_SOCKETS = 512;
/** A client that has not read so much is cut off. */
const MAX_UNSENT_BYTES = 64 * 2 ** 20;
/** Requests of one socket that wait for their turn, and what they take together. */
const MAX_WAITING = 4096;
const MAX_WAITING_BYTES = 64 * 2 ** 20;

const TOO_LARGE = JSON.stringify({
  jsonrpc: '2.0',
  id: null,
  error: {
    code: RPC.invalidRequest,
    message: 'Request is too large',
    data: `a request has at most ${MAX_REQUEST_BYTES} bytes`,
  },
});

/** Resolves when the port is open; throws ServerError when it is taken. */
export async function startServer(
  options: ServerOptions,
  rpc: { readonly local: Rpc; readonly remote: Rpc },
  deps: { readonly log: Log },
): Promise<RpcServer> {
  const rpcFor = (request: IncomingMessage) => (isOwn(request) ? rpc.local : rpc.remote);
  const server = createServer((request, response) => {
    serveHttp(request, response, rpcFor(request), deps).catch((error: unknown) => {
      deps.log.warn('http request failed', { error: errorMessage(error) });
      response.destroy();
    });
  });
  const verifyClient = ({ req }: { readonly req: IncomingMessage }, take: (takes: boolean, code: number) => void) =>
    take(mayAsk(req), 403);
  const sockets = new WebSocketServer({ server, maxPayload: MAX_FRAME_BYTES, verifyClient });
  sockets.on('connection', (socket, request) => {
    if (sockets.clients.size > MAX_SOCKETS) socket.close(1013, 'too many connections');
    else serveSocket(socket, rpcFor(request), deps);
  });
  sockets.on('error', () => undefined);
  const port = await listen(server, options);
  return { port, close: () => closeServer(server, sockets) };
}

function listen(server: Server, { host, port }: ServerOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const busy = errorCode(error) === 'EADDRINUSE';
      const facts = { code: 'DEVCHAIN_PORT_BUSY', host, port } as const;
      reject(
        busy
          ? new ServerError(facts, `port ${port} of ${host} is taken; stop what uses it or choose another port`, {
              cause: error,
            })
          : error,
      );
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function closeServer(server: Server, sockets: WebSocketServer): Promise<void> {
  for (const socket of sockets.clients) socket.terminate();
  sockets.close();
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** A program on this machine. Web pages, also those of polkadot.js Apps, get no dev_*. */
function isOwn({ socket, headers }: IncomingMessage): boolean {
  return isLoopback(socket.remoteAddress) && headers.origin === undefined;
}

/** Pages served from this machine, and those of polkadot.js: as a Substrate node takes by default. */
const ORIGINS = /^(?:https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?|https:\/\/polkadot\.js\.org)$/;

function mayAsk({ headers }: IncomingMessage): boolean {
  return headers.origin === undefined || ORIGINS.test(headers.origin);
}

function isLoopback(address: string | undefined): boolean {
  const plain = address?.replace(/^::ffff:/, '');
  return plain === '::1' || plain?.startsWith('127.') === true;
}

async function serveHttp(
  request: IncomingMessage,
  response: ServerResponse,
  rpc: Rpc,
  deps: { readonly log: Log },
): Promise<void> {
  if (!mayAsk(request)) {
    response.writeHead(403, { 'content-type': 'text/plain' }).end('JSON-RPC: not for pages of other sites\n');
    return;
  }
  const { origin } = request.headers;
  if (origin !== undefined) response.setHeader('access-control-allow-origin', origin).setHeader('vary', 'origin');
  if (request.method === 'OPTIONS') {
    response.setHeader('access-control-allow-methods', 'POST');
    response.setHeader('access-control-allow-headers', 'content-type');
    response.writeHead(204).end();
    return;
  }
  if (request.method !== 'POST') {
    response
      .writeHead(405, { 'content-type': 'text/plain', allow: 'POST' })
      .end('JSON-RPC: POST a request, or connect with a WebSocket\n');
    return;
  }
  const body = await readBody(request);
  const session = createSession(rpc, undefined, deps);
  let answer = body === undefined ? TOO_LARGE : '';
  if (body !== undefined) {
    await session.handle(body, (text) => {
      answer = text;
    });
  }
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(answer);
}

/** Undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes <= MAX_REQUEST_BYTES) parts.push(part);
    else parts.length = 0;
  }
  return bytes > MAX_REQUEST_BYTES ? undefined : Buffer.concat(parts).toString('utf8');
}

/** One request after the other: answers leave in order, and a subscription's id before its first notice. */
function serveSocket(socket: WebSocket, rpc: Rpc, deps: { readonly log: Log }): void {
  const serial = createSerial();
  const session = createSession(rpc, send, deps);
  let waiting = 0;
  let waitingBytes = 0;

  function send(text: string): void {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > MAX_UNSENT_BYTES) socket.terminate();
    else socket.send(text);
  }

  async function take(data: Buffer): Promise<void> {
    try {
      if (data.length > MAX_REQUEST_BYTES) send(TOO_LARGE);
      else await session.handle(data.toString('utf8'), send);
    } catch (error) {
      deps.log.error('request failed', { error: errorMessage(error) });
      socket.terminate();
    } finally {
      waiting--;
      waitingBytes -= data.length;
    }
  }

  socket.on('message', (data) => {
    waiting++;
    waitingBytes += (data as Buffer).length;
    if (waiting > MAX_WAITING || waitingBytes > MAX_WAITING_BYTES) socket.terminate();
    else void serial(() => take(data as Buffer));
  });
  socket.on('close', session.close);
  socket.on('error', session.close);
}
