// Opens a model folder: the manifest, then every file it names, by size and SHA-256, before anything is used (engine.md 2.4).
// Trusts neither the folder nor the manifest: names are bare, links are refused, sizes are checked before bytes are read.

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Manifest, ManifestHash, ModelFile } from '../types/model.ts';
import { errorCode } from '../util/errors.ts';
import { ModelError } from './errors.ts';
import { MAX_MANIFEST_BYTES, manifestHash, parseManifest } from './manifest.ts';

/** The name of the manifest in a model folder; everything else is named by it. */
export const MANIFEST_FILE = 'manifest.json';

/** Files are hashed in pieces: weights may be larger than memory. */
const READ_BYTES = 1 << 20;

export interface Model {
  readonly manifest: Manifest;
  /** SHA-256 of the manifest's bytes: the model's identity. */
  readonly hash: ManifestHash;
  /** Absolute path of a file that the manifest names; throws ModelError MODEL_FILE for any other name. */
  path(file: string): string;
  /** Reads a named file whole and checks its hash again. Throws ModelError MODEL_FILE, MODEL_HASH. */
  read(file: string): Promise<Uint8Array>;
}

/**
 * Opens the model in `folder`; every needed file has the named bytes when this answers.
 *
 * @throws ModelError MODEL_MANIFEST, MODEL_FILE, MODEL_HASH; the signal's reason
 */
export async function openModel(
  folder: string,
  signal?: AbortSignal,
  isNeeded: (file: string) => boolean = () => true,
): Promise<Model> {
  const root = resolve(folder);
  const { manifest, hash: identity } = await readManifest(root);
  for (const [file, entry] of Object.entries(manifest.files))
    if (isNeeded(file)) await verify(join(root, file), file, entry, signal);
  const entryOf = (file: string): ModelFile => {
    const entry = Object.hasOwn(manifest.files, file) ? manifest.files[file] : undefined;
    if (entry === undefined) throw unusable(file, 'the manifest does not name it');
    return entry;
  };
  const path = (file: string): string => {
    entryOf(file);
    return join(root, file);
  };
  const read = async (file: string): Promise<Uint8Array> => {
    const entry = entryOf(file);
    const content = await readPlain(path(file), file, entry.bytes);
    if (content.length !== entry.bytes || manifestHash(content) !== entry.sha256) throw changed(file);
    return content;
  };
  return { manifest, hash: identity, path, read };
}

/** The manifest of a folder alone: what a model says of itself, with nothing of it checked. Throws ModelError MODEL_MANIFEST, MODEL_FILE. */
export async function readManifest(folder: string): Promise<Pick<Model, 'manifest' | 'hash'>> {
  const bytes = await readPlain(join(folder, MANIFEST_FILE), MANIFEST_FILE, MAX_MANIFEST_BYTES);
  return { manifest: parseManifest(bytes), hash: manifestHash(bytes) };
}

async function verify(path: string, file: string, entry: ModelFile, signal?: AbortSignal): Promise<void> {
  await using handle = await openPlain(path, file);
  const { size } = await handle.stat();
  if (size !== entry.bytes) throw changed(file);
  const hash = createHash('sha256');
  const buffer = new Uint8Array(READ_BYTES);
  for (let at = 0; at < size; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, READ_BYTES, at);
    if (bytesRead === 0) throw changed(file);
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
  if (hash.digest('hex') !== entry.sha256) throw changed(file);
}

async function readPlain(path: string, file: string, maxBytes: number): Promise<Uint8Array> {
  await using handle = await openPlain(path, file);
  const { size } = await handle.stat();
  if (size > maxBytes) throw unusable(file, `${size} bytes, at most ${maxBytes} are allowed`);
  const bytes = await handle.readFile();
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length); // no Buffer: its slice() would share memory
}

/** Opens without following a link at the end of the path; only plain files. */
async function openPlain(path: string, file: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw unusable(file, explain(errorCode(error), file), error, path);
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw unusable(file, 'it is no plain file', undefined, path);
}

function explain(code: string, file: string): string {
  if (code === 'ELOOP') return 'it is a symbolic link';
  if (code !== 'ENOENT') return `it cannot be opened (${code})`;
  return file === MANIFEST_FILE
    ? 'it is missing; a folder that has one comes from tessera model import or pull'
    : 'it is missing';
}

function unusable(file: string, why: string, cause?: unknown, path = file): ModelError {
  return new ModelError({ code: 'MODEL_FILE', file, why }, `model file ${path} cannot be used: ${why}`, { cause });
}

function changed(file: string): ModelError {
  const advice = 'get the model again';
  return new ModelError(
    { code: 'MODEL_HASH', file },
    `model file ${file} has not the bytes that the manifest names; ${advice}`,
  );
}
