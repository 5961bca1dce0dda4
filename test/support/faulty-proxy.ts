// A WebSocket proxy in front of a chain endpoint that misbehaves as the test says: real sockets, real bytes, changed on their way.

import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';

/** A request with its method, or what belongs to one: an answer, or a notice of a subscription. */
export interface Passing {
  readonly method: string;
  readonly message: Record<string, unknown>;
}

export interface Fault {
  /** Of a new connection: its socket is closed, never answered, or closed as soon as it is open. */
  readonly connect?: 'refuse' | 'ignore' | 'drop';
  /** A request on its way to the endpoint; undefined swallows it. */
  readonly request?: (passing: Passing) => Record<string, unknown> | undefined;
  /** An answer or notice on its way to the client; undefined swallows it. */
  readonly answer?: (passing: Passing) => Record<string, unknown> | undefined;
}

export interface FaultyProxy {
  readonly endpoint: string;
  /** From now on, for connections that there are and new ones; {} is none. */
  fault(fault: Fault): void;
  /** Where new connections lead. */
  lead(endpoint: string): void;
  /** Connections that were begun so far. */
  readonly connections: () => number;
  /** Resolves with the next request of this method. */
  asked(method: string): Promise<void>;
  /** Ends every connection. */
  cut(): void;
  close(): Promise<void>;
}

export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const server = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  const open = new Set<Duplex>();
  const waiting = new Set<{ readonly method: string; resolve(): void }>();
  let fault: Fault = {};
  let upstream = target;
  let connections = 0;

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    connections++;
    open.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => open.delete(socket));
    if (fault.connect === 'refuse') socket.destroy();
    else if (fault.connect !== 'ignore') sockets.handleUpgrade(request, socket, head, serve);
  });

  function serve(client: WebSocket): void {
    if (fault.connect === 'drop') {
      client.close();
      return;
    }
    const behind = new WebSocket(upstream);
    const methods = new Map<unknown, string>();
    const early: string[] = [];
    const end = () => {
      client.terminate();
      behind.terminate();
    };
    for (const socket of [client, behind]) socket.on('close', end).on('error', () => undefined);
    behind.on('open', () => {
      for (const text of early.splice(0)) behind.send(text);
    });
    client.on('message', (data) => {
      const message = JSON.parse(String(data)) as Record<string, unknown>;
      const method = String(message.method);
      methods.set(message.id, method);
      const passed = fault.request === undefined ? message : fault.request({ method, message });
      for (const watcher of [...waiting]) if (watcher.method === method) watcher.resolve();
      if (passed === undefined) return;
      if (behind.readyState === WebSocket.OPEN) behind.send(JSON.stringify(passed));
      else early.push(JSON.stringify(passed));
    });
    behind.on('message', (data) => {
      const message = JSON.parse(String(data)) as Record<string, unknown>;
      const method = String(message.method ?? methods.get(message.id));
      const passed = fault.answer === undefined ? message : fault.answer({ method, message });
      if (passed !== undefined && client.readyState === WebSocket.OPEN) client.send(JSON.stringify(passed));
    });
  }

  function cut(): void {
    for (const socket of open) socket.destroy();
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: (next) => {
      fault = next;
    },
    lead: (endpoint) => {
      upstream = endpoint;
    },
    connections: () => connections,
    asked: (method) =>
      new Promise((resolve) => {
        const watcher = {
          method,
          resolve: () => {
            waiting.delete(watcher);
            resolve();
          },
        };
        waiting.add(watcher);
      }),
    cut,
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
