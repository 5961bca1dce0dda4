// The page, from its sources: TypeScript is stripped of its types on the way, as Node does with the rest of this program, so there is nothing
// to build. Each file is read once.

import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import type { FastifyInstance } from 'fastify';
import { notFound } from './api-error.ts';

const FOLDER = new URL('../../web/', import.meta.url);
/** Bare names, so that nothing outside the folder can be named. */
const NAME = /^[a-z]+\.(ts|css|svg)$/;
const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  ts: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
/** Everything comes from here, and nobody frames it. */
const HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

export function registerPage(app: FastifyInstance): void {
  const read = createReader();
  app.get('/', async (_, reply) => reply.headers(HEADERS).type(typeOf('index.html')).send(read('index.html')));
  app.get<{ Params: { name: string } }>('/page/:name', async ({ params: { name } }, reply) => {
    const content = NAME.test(name) ? read(name) : undefined;
    if (content === undefined) throw notFound(`The page has no file '${name}'.`, 'unknown_url');
    return reply.headers(HEADERS).type(typeOf(name)).send(content);
  });
}

function createReader(): (name: string) => string | undefined {
  const files = new Map<string, string>();
  return (name) => {
    const known = files.get(name);
    if (known !== undefined) return known;
    const content = readSource(name);
    if (content !== undefined) files.set(name, content);
    return content;
  };
}

function readSource(name: string): string | undefined {
  try {
    const source = readFileSync(new URL(name, FOLDER), 'utf8');
    return name.endsWith('.ts') ? stripTypeScriptTypes(source) : source;
  } catch {
    return undefined;
  }
}

function typeOf(name: string): string {
  return TYPES[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream';
}
