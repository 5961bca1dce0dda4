// Folders of other people's models on the web: of the Hugging Face hub, or any that a server shows. Lists what an import reads and fetches it, from where
// a broken attempt ended. Trusts nothing: names are bare, sizes are bounded before bytes are taken, hashes are compared where they are told.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type ListFileEntry, listFiles } from '@huggingface/hub';
import { z } from 'zod';
import { errorMessage } from '../util/errors.ts';
import { distributionError } from './errors.ts';

export interface RemoteFile {
  readonly path: string;
  readonly bytes: number;
  /** Of the content, hex: large files of the hub. */
  readonly sha256?: string;
  /** Of git's blob, hex: small files of the hub. */
  readonly gitSha1?: string;
}

export interface RemoteFolder {
  readonly name: string;
  /** What an import may read of it. */
  list(signal: AbortSignal): Promise<readonly RemoteFile[]>;
  url(path: string): URL;
  /** With every request to the folder's own server. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface DownloadOptions {
  /** Told as bytes come: of all files, those here already included. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
  /** Of all files together; far above the largest published model unless given. */
  readonly maxBytes?: number;
}

/** One name, or one in a folder beside it. */
const PATH = /^([A-Za-z0-9][A-Za-z0-9._-]*\/)?[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** Of these an import reads: configurations, templates, weights without pickles. */
const WANTED = /^([^/]+\/)?([^/]*config[^/]*\.json|model(-[0-9]+-of-[0-9]+)?\.safetensors)$|^[^/]+\.(json|jinja)$/;
const MAX_FILES = 512;
const MAX_TOTAL_BYTES = 4e12;
const MAX_TEXT_BYTES = 64 << 20;
const ANSWER_MS = 30_000;
/** A folder that is shown by any server cannot be listed: these are looked for. */
const KNOWN_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'modules.json',
  'config_sentence_transformers.json',
  ...['bert', 'roberta', 'distilbert', 'camembert', 'xlm-roberta'].map((kind) => `sentence_${kind}_config.json`),
  'model.safetensors',
  'model.safetensors.index.json',
];
const indexJson = z.looseObject({ weight_map: z.record(z.string(), z.string()) });
const modulesJson = z.array(z.looseObject({ path: z.string().default('') }));

/** A repository of the hub. `token` is sent to `hubUrl` alone and stands in no message. */
export function hubFolder(options: {
  readonly repo: string;
  readonly revision: string;
  readonly hubUrl: string;
  readonly token: string | undefined;
}): RemoteFolder {
  const { repo, revision, hubUrl, token } = options;
  const name = `${repo} on the hub`;
  return {
    name,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    url: (path) => new URL(`/${repo}/resolve/${encodeURIComponent(revision)}/${path}`, hubUrl),
    async list(signal) {
      const found: RemoteFile[] = [];
      const access = token === undefined ? {} : { accessToken: token };
      try {
        for await (const entry of listFiles({ repo, revision, hubUrl, recursive: true, ...access })) {
          signal.throwIfAborted();
          if (entry.type === 'file' && PATH.test(entry.path) && WANTED.test(entry.path)) found.push(describe(entry));
          if (found.length > MAX_FILES) throw new RangeError(`more than ${MAX_FILES} files`);
        }
      } catch (error) {
        signal.throwIfAborted();
        const advice = token === undefined ? '; a private or gated model needs HF_TOKEN' : '';
        throw distributionError('SOURCE_FAILED', name, `${errorMessage(error)}${advice}`, error);
      }
      return found;
    },
  };
}

function describe({ path, size, oid, lfs }: ListFileEntry): RemoteFile {
  if (lfs !== undefined) return { path, bytes: lfs.size, sha256: lfs.oid };
  return { path, bytes: size, ...(oid === undefined ? {} : { gitSha1: oid }) };
}

/** A folder behind a URL. */
export function urlFolder(base: string): RemoteFolder {
  const root = base.endsWith('/') ? base : `${base}/`;
  const folder: RemoteFolder = {
    name: base,
    headers: {},
    url: (path) => new URL(path, root),
    async list(signal) {
      const known = await sizesOf(folder, KNOWN_FILES, signal);
      const has = (path: string) => known.some((file) => file.path === path);
      const more: string[] = [];
      if (has('model.safetensors.index.json')) {
        const { weight_map } = await readRemote(folder, 'model.safetensors.index.json', indexJson, signal);
        more.push(...new Set(Object.values(weight_map)));
      }
      if (has('modules.json'))
        for (const { path } of await readRemote(folder, 'modules.json', modulesJson, signal))
          if (path !== '') more.push(`${path}/config.json`, `${path}/model.safetensors`);
      if (more.length > MAX_FILES || more.some((path) => !PATH.test(path)))
        throw distributionError('SOURCE_FAILED', base, 'it names files that are none of a model');
      return [...known, ...(await sizesOf(folder, more, signal))];
    },
  };
  return folder;
}

async function sizesOf(folder: RemoteFolder, paths: readonly string[], signal: AbortSignal): Promise<RemoteFile[]> {
  const found: RemoteFile[] = [];
  for (const path of paths) {
    const response = await ask(folder, path, { method: 'HEAD' }, signal);
    const bytes = Number(response.headers.get('content-length') ?? Number.NaN);
    if (response.status === 404) continue;
    if (response.status !== 200 || !Number.isSafeInteger(bytes))
      throw distributionError('SOURCE_FAILED', folder.name, `${path}: status ${response.status}, ${bytes} bytes`);
    found.push({ path, bytes });
  }
  return found;
}

async function readRemote<T>(
  folder: RemoteFolder,
  path: string,
  schema: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const response = await ask(folder, path, {}, signal);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > MAX_TEXT_BYTES) throw distributionError('SOURCE_FAILED', folder.name, `${path} is too large`);
    parts.push(part);
  }
  try {
    return schema.parse(JSON.parse(Buffer.concat(parts).toString('utf8')));
  } catch (error) {
    throw distributionError('SOURCE_FAILED', folder.name, `${path} is not what it should be`, error);
  }
}

async function ask(folder: RemoteFolder, path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
  const answered = new AbortController();
  const timer = setTimeout(() => answered.abort(new Error('no answer')), ANSWER_MS);
  try {
    const headers = { ...folder.headers, ...(init.headers as Record<string, string> | undefined) };
    return await fetch(folder.url(path), { ...init, headers, signal: AbortSignal.any([signal, answered.signal]) });
  } catch (cause) {
    signal.throwIfAborted();
    throw distributionError('SOURCE_FAILED', folder.name, `${path}: no answer`, cause);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Brings what an import reads into `folder`; files that are there whole are kept, broken ones go on.
 *
 * @throws DistributionError SOURCE_FAILED, the signal's reason
 */
export async function downloadFolder(
  remote: RemoteFolder,
  folder: string,
  { onProgress, maxBytes = MAX_TOTAL_BYTES }: DownloadOptions,
  signal: AbortSignal,
): Promise<void> {
  const files = await remote.list(signal);
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (!files.some(({ path }) => path.endsWith('.safetensors')))
    throw distributionError('SOURCE_FAILED', remote.name, 'there is no model.safetensors');
  if (totalBytes > maxBytes)
    throw distributionError('SOURCE_FAILED', remote.name, `${totalBytes} bytes, and ${maxBytes} are allowed`);
  const large = files.find(({ path, bytes }) => !path.endsWith('.safetensors') && bytes > MAX_TEXT_BYTES);
  if (large !== undefined) throw distributionError('SOURCE_FAILED', remote.name, `${large.path} is too large`);
  let doneBytes = 0;
  for (const file of files) {
    const before = doneBytes;
    await downloadFile(remote, file, folder, (bytes) => onProgress(before + bytes, totalBytes), signal);
    doneBytes += file.bytes;
    onProgress(doneBytes, totalBytes);
  }
}

async function downloadFile(
  remote: RemoteFolder,
  file: RemoteFile,
  folder: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const path = join(folder, file.path);
  await mkdir(dirname(path), { recursive: true });
  if ((await sizeOf(path)) === file.bytes && (await fits(path, file))) return;
  const part = `${path}.part`;
  await takeBytes(remote, file, part, onBytes, signal);
  if (!(await fits(part, file))) {
    await rm(part, { force: true });
    throw distributionError('SOURCE_FAILED', remote.name, `${file.path} has not the hash that is told of it`);
  }
  await rename(part, path);
  await rm(`${part}.etag`, { force: true });
}

/** Goes on behind what is there, unless the file has changed meanwhile. */
async function takeBytes(
  remote: RemoteFolder,
  { path, bytes }: RemoteFile,
  part: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const etag = await readFile(`${part}.etag`, 'utf8').catch(() => '');
  const here = Math.min(await sizeOf(part), bytes);
  const goesOn = here > 0 && here < bytes && etag !== '';
  const headers = goesOn ? { range: `bytes=${here}-`, 'if-range': etag } : {};
  const response = await ask(remote, path, { headers }, signal);
  if (response.status !== 200 && response.status !== 206)
    throw distributionError('SOURCE_FAILED', remote.name, `${path}: status ${response.status}`);
  await writeFile(`${part}.etag`, response.headers.get('etag') ?? '');
  let at = response.status === 206 ? here : 0;
  await using handle = await open(part, at === 0 ? 'w' : 'r+');
  try {
    for await (const piece of response.body ?? []) {
      if (at + piece.length > bytes)
        throw distributionError('SOURCE_FAILED', remote.name, `${path} is longer than ${bytes} bytes`);
      await handle.write(piece, 0, piece.length, at);
      at += piece.length;
      onBytes(at);
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw distributionError(
      'SOURCE_FAILED',
      remote.name,
      `${path} broke off at ${at} bytes; call again to go on`,
      cause,
    );
  }
  if (at !== bytes)
    throw distributionError(
      'SOURCE_FAILED',
      remote.name,
      `${path} ends at ${at} of ${bytes} bytes; call again to go on`,
    );
}

async function fits(path: string, { bytes, sha256, gitSha1 }: RemoteFile): Promise<boolean> {
  if (sha256 !== undefined) return (await hashOf(path, createHash('sha256'))) === sha256;
  if (gitSha1 === undefined) return true;
  return (await hashOf(path, createHash('sha1').update(`blob ${bytes}\0`))) === gitSha1;
}

async function hashOf(path: string, hash: ReturnType<typeof createHash>): Promise<string> {
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}
