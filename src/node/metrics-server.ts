// The door for Prometheus: `GET /metrics` and `GET /livez` on loopback, nothing else. Who wants them elsewhere puts a proxy in front.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CodedError, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { Metrics } from './metrics.ts';

class MetricsError extends CodedError<{ readonly code: 'METRICS_PORT_BUSY'; readonly port: number }> {}

export interface MetricsServer {
  /** `http://127.0.0.1:9464/metrics` */
  readonly url: string;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
const REQUEST_MS = 5_000;
const MAX_CONNECTIONS = 16;

/** @param port 0 takes any free one. Errors: METRICS_PORT_BUSY. */
export async function serveMetrics(
  port: number,
  { metrics, log }: { readonly metrics: Metrics; readonly log: Log },
): Promise<MetricsServer> {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS }, (request, response) => {
    answer(request, response, metrics).catch((error: unknown) => {
      log.warn('metrics not told', { error: errorMessage(error) });
      response.writeHead(500).end();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new MetricsError(
          { code: 'METRICS_PORT_BUSY', port },
          `port ${port} of ${HOST} cannot be listened on (${errorMessage(cause)}): choose another --metrics-port`,
          { cause },
        ),
      ),
    );
    server.listen(port, HOST, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${taken}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, metrics: Metrics): Promise<void> {
  if (request.method !== 'GET') response.writeHead(405, { allow: 'GET' }).end();
  else if (request.url === '/livez') response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
  else if (request.url !== '/metrics') response.writeHead(404).end();
  else {
    const text = await metrics.text();
    response.writeHead(200, { 'content-type': metrics.contentType }).end(text);
  }
}
