// A web server on loopback for tests: files of a folder with ranges and etags, and the parts of the hub's API that we use.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export interface WebServer {
  readonly url: string;
  /** Method and path of each request, with its range if it asked for one. */
  readonly asked: string[];
  /** Authorization headers that came. */
  readonly tokens: Set<string>;
  /** Bytes after which an answer says no more, once. */
  breakAfter: number | undefined;
  /** Breaks off the answer that has come to `breakAfter`. */
  cut: () => void;
  /** Changed bytes instead of the file's. */
  corrupt: string | undefined;
  /** Files of the last commit, by their paths. */
  readonly committed: Map<string, Buffer>;
  close(): Promise<void>;
}

/** Files lie at /files/..., and as the repository `me/model` of a hub. */
export async function startWebServer(folder: string): Promise<WebServer> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  const state: WebServer = {
    url: '',
    asked: [],
    tokens: new Set(),
    breakAfter: undefined,
    cut: () => undefined,
    corrupt: undefined,
    committed: new Map(),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    state.asked.push(
      `${request.method} ${url.pathname}${request.headers.range === undefined ? '' : ` ${request.headers.range}`}`,
    );
    if (request.headers.authorization !== undefined) state.tokens.add(request.headers.authorization);
    if (url.pathname.startsWith('/api/models/me/model/tree/')) return json(response, treeOf(folder));
    if (url.pathname.startsWith('/api/models/me/model/preupload/')) {
      const { files } = JSON.parse((await bodyOf(request)).toString()) as { files: { path: string }[] };
      return json(response, { files: files.map(({ path }) => ({ path, uploadMode: 'regular', shouldIgnore: false })) });
    }
    if (url.pathname.startsWith('/api/models/me/model/commit/')) return commit(request, response);
    const [, path] = /^\/(?:files|me\/model\/resolve\/[^/]+)\/(.+)$/.exec(decodeURIComponent(url.pathname)) ?? [];
    if (path === undefined || !existsSync(join(folder, path))) {
      response.statusCode = 404;
      response.end();
      return;
    }
    sendFile(path, request, response);
  }

  async function commit(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const line of (await bodyOf(request)).toString().split('\n')) {
      const { key, value } = JSON.parse(line) as { key: string; value: { path: string; content: string } };
      if (key === 'file') state.committed.set(value.path, Buffer.from(value.content, 'base64'));
    }
    json(response, { commitOid: 'c', commitUrl: 'u', hookOutput: '' });
  }

  function sendFile(path: string, request: IncomingMessage, response: ServerResponse): void {
    const bytes = Buffer.from(readFileSync(join(folder, path)));
    const etag = `"${createHash('sha1').update(bytes).digest('hex')}"`;
    if (state.corrupt === path) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const [, from] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? [];
    const condition = request.headers['if-range'];
    const start = from !== undefined && (condition === undefined || condition === etag) ? Number(from) : 0;
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': bytes.length - start, etag });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const { breakAfter } = state;
    if (breakAfter === undefined || bytes.length <= breakAfter) {
      response.end(bytes.subarray(start));
      return;
    }
    state.breakAfter = undefined;
    response.write(bytes.subarray(start, start + breakAfter));
    state.cut = () => response.destroy();
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(state, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** As the hub lists a repository: hashes of git's blobs, and of the content for what lies in large file storage. */
function treeOf(folder: string): unknown[] {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((path) => statSync(join(folder, path)).isFile())
    .map((path) => {
      const bytes = readFileSync(join(folder, path));
      const entry = { type: 'file', path, size: bytes.length };
      if (path.endsWith('.safetensors'))
        return {
          ...entry,
          oid: 'pointer',
          lfs: { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 130 },
        };
      return { ...entry, oid: createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex') };
    });
}
