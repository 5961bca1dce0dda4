// Where wheels come from: a package index as pip knows it (PEP 503, PEP 691), a web folder, or a folder of this machine. Whatever comes is compared with
// the table's hash before anybody reads it; a download that broke off goes on where it ended.

import { existsSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { errorMessage } from '../../src/util/errors.ts';
import type { Wheel } from './packages.ts';
import { hashFile } from './wheel.ts';

export interface WheelSource {
  /** For a person. */
  readonly name: string;
  /**
   * Answers the path of the wheel, whole and right: its own place, or one in `folder`.
   *
   * @param onBytes told how many bytes of it are here
   */
  bring(wheel: Wheel, folder: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<string>;
}

export const PYPI = 'https://pypi.org/simple';

const SILENCE_MS = 60_000;
const MAX_INDEX_BYTES = 32 << 20;
/** Of one file: how often without a new byte, and at all. */
const ATTEMPTS = { idle: 4, all: 40 };
const PAUSE_MS = 2_000;
const indexJson = z.looseObject({ files: z.array(z.looseObject({ filename: z.string(), url: z.string() })) });

/** That trying again changes nothing. */
class FinalError extends Error {}

/** @param place a URL or a folder; PyPI unless given */
export function openSource(place: string = PYPI, pauseMs = PAUSE_MS): WheelSource {
  if (/^https?:\/\//.test(place)) return webSource(place, pauseMs);
  if (existsSync(place)) return folderSource(place);
  throw new Error(`--from ${place}: neither a folder nor a URL`);
}

function folderSource(folder: string): WheelSource {
  return {
    name: folder,
    async bring(wheel, _, onBytes, signal) {
      const file = join(folder, wheel.file);
      if (!existsSync(file)) throw new Error(`${folder} has no ${wheel.file}`);
      await expectHash(file, wheel, signal);
      onBytes(wheel.bytes);
      return file;
    },
  };
}

function webSource(base: string, pauseMs: number): WheelSource {
  return {
    name: base,
    async bring(wheel, folder, onBytes, signal) {
      const file = join(folder, wheel.file);
      const part = `${file}.part`;
      const isResumed = (await sizeOf(part)) > 0;
      const fetchWhole = async (): Promise<void> => {
        try {
          await download(base, wheel, part, { onBytes, pauseMs }, signal);
          await expectHash(part, wheel, signal);
        } catch (error) {
          if (error instanceof FinalError) await rm(part, { force: true });
          throw error;
        }
      };
      try {
        await fetchWhole();
      } catch (error) {
        // What was here before may be to blame.
        if (!isResumed || !(error instanceof FinalError)) throw error;
        await fetchWhole();
      }
      await rename(part, file);
      return file;
    },
  };
}

async function expectHash(file: string, wheel: Wheel, signal: AbortSignal): Promise<void> {
  const bytes = await sizeOf(file);
  const sha256 = bytes === wheel.bytes ? await hashFile(file, signal) : undefined;
  if (sha256 !== wheel.sha256)
    throw new FinalError(
      `${wheel.file} is not the file that was published: ${bytes} bytes${sha256 === undefined ? '' : `, hash ${sha256}`}; ` +
        `expected ${wheel.bytes}, ${wheel.sha256}`,
    );
}

/** The index's address of the file; of a server without an index the file beside it. */
async function findUrl(base: string, { name, file }: Wheel, signal: AbortSignal): Promise<URL> {
  const root = base.endsWith('/') ? base : `${base}/`;
  const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5';
  const response = await ask(new URL(`${name}/`, root), { accept }, signal);
  if (response.status === 404) {
    await response.body?.cancel();
    return new URL(file, root);
  }
  if (response.status !== 200) throw failed(response, `${base}: status ${response.status} for ${name}`);
  const text = await readText(response, base);
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  const link = isJson ? linkOfJson(text, file, base) : linkOfHtml(text, file);
  if (link === undefined) throw new FinalError(`${base} knows ${name}, and not ${file}`);
  const url = URL.parse(link, response.url);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new FinalError(`${base}: ${file} lies at ${link}`);
  return url;
}

function linkOfJson(text: string, file: string, base: string): string | undefined {
  try {
    return indexJson.parse(JSON.parse(text)).files.find(({ filename }) => filename === file)?.url;
  } catch (cause) {
    throw new FinalError(`${base} answers what is no index of packages`, { cause });
  }
}

function linkOfHtml(text: string, file: string): string | undefined {
  const links = [...text.matchAll(/href\s*=\s*["']([^"']+)["']/gi)].map(([, link = '']) =>
    link.replaceAll('&amp;', '&'),
  );
  return links.find((link) => link.split(/[?#]/)[0]?.split('/').at(-1) === file);
}

async function readText(response: Response, base: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > MAX_INDEX_BYTES) throw new FinalError(`${base}: its list is longer than ${MAX_INDEX_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

interface DownloadDeps {
  readonly onBytes: (bytes: number) => void;
  readonly pauseMs: number;
}

/** Until all bytes are there; tries again as long as some come. */
async function download(
  base: string,
  wheel: Wheel,
  part: string,
  { onBytes, pauseMs }: DownloadDeps,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1, idle = 0; ; attempt++) {
    const before = await sizeOf(part);
    try {
      await whileHeard(signal, async (stop, heard) => takeBytes(base, wheel, part, { onBytes, heard }, stop));
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof FinalError) throw error;
      const here = await sizeOf(part);
      idle = here > before ? 0 : idle + 1;
      if (idle >= ATTEMPTS.idle || attempt >= ATTEMPTS.all)
        throw new Error(
          `${wheel.file} broke off at ${here} of ${wheel.bytes} bytes (${errorMessage(error)}); call again to go on`,
          { cause: error },
        );
      await pause(pauseMs * (idle + 1), undefined, { signal });
    }
  }
}

/** Stops what hears nothing for a minute. */
async function whileHeard(
  signal: AbortSignal,
  run: (stop: AbortSignal, heard: () => void) => Promise<void>,
): Promise<void> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error(`nothing came for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
  try {
    await run(AbortSignal.any([signal, silence.signal]), () => void timer.refresh());
  } finally {
    clearTimeout(timer);
  }
}

/** Goes on behind what is there if the server can, else starts anew. */
async function takeBytes(
  base: string,
  wheel: Wheel,
  part: string,
  { onBytes, heard }: { readonly onBytes: (bytes: number) => void; readonly heard: () => void },
  signal: AbortSignal,
): Promise<void> {
  const here = await sizeOf(part);
  if (here === wheel.bytes) return;
  const url = await findUrl(base, wheel, signal);
  heard();
  const response = await ask(url, here > 0 ? { range: `bytes=${here}-` } : {}, signal);
  const isRest =
    response.status === 206 && response.headers.get('content-range')?.startsWith(`bytes ${here}-`) === true;
  if (response.status !== 200 && !isRest) {
    await response.body?.cancel();
    // The rest of another file, or of none.
    if (response.status === 206 || response.status === 416) await rm(part, { force: true });
    throw failed(response, `${url.host}: status ${response.status} for ${wheel.file}`);
  }
  let at = isRest ? here : 0;
  await using handle = await open(part, isRest ? 'r+' : 'w');
  for await (const piece of response.body ?? []) {
    heard();
    if (at + piece.length > wheel.bytes) throw new FinalError(`${wheel.file} is longer than ${wheel.bytes} bytes`);
    await handle.write(piece, 0, piece.length, at);
    at += piece.length;
    onBytes(at);
  }
  if (at < wheel.bytes) throw new Error('the server ended it');
}

/** Statuses that pass by themselves are worth another attempt. */
function failed({ status }: Response, message: string): Error {
  const passes = status >= 500 || status < 400 || [408, 416, 429].includes(status);
  return passes ? new Error(message) : new FinalError(message);
}

async function ask(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(url, { headers, signal });
  } catch (cause) {
    signal.throwIfAborted();
    const why = cause instanceof Error && cause.cause !== undefined ? errorMessage(cause.cause) : errorMessage(cause);
    throw new Error(`${url.host} does not answer: ${why}`, { cause });
  }
}

/** 0 when there is no such file. */
export async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0;
}
