// A file in pieces: what is asked for, hashed and sent at a time. A list of hashes comes from strangers and is proven only when the whole file has
// the hash that the manifest names; until then it tells which pieces of different sources fit together, and who sent a wrong one.

import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

/** A tenth of a second at 10 MB/s: little is lost when a source fails, and a hash costs little against the transfer. */
export const CHUNK_BYTES = 1 << 20;
export const HASH_BYTES = 32;

export function chunkCount(fileBytes: number): number {
  return Math.ceil(fileBytes / CHUNK_BYTES);
}

/** Length of piece i; the last one may be shorter. */
export function chunkLength(fileBytes: number, index: number): number {
  return Math.min(CHUNK_BYTES, fileBytes - index * CHUNK_BYTES);
}

export function chunkHash(chunk: Uint8Array): Uint8Array {
  return createHash('sha256').update(chunk).digest();
}

/** The hash of piece i in a list of them. */
export function hashAt(list: Uint8Array, index: number): Uint8Array {
  return list.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** Piece i of a file, or undefined when the file ends before. */
export async function readChunk(handle: FileHandle, fileBytes: number, index: number): Promise<Uint8Array | undefined> {
  const chunk = new Uint8Array(chunkLength(fileBytes, index));
  for (let at = 0; at < chunk.length; ) {
    const { bytesRead } = await handle.read(chunk, at, chunk.length - at, index * CHUNK_BYTES + at);
    if (bytesRead === 0) return undefined;
    at += bytesRead;
  }
  return chunk;
}

/** The hashes of all pieces, one after the other; undefined when the file is shorter. */
export async function hashChunks(handle: FileHandle, fileBytes: number): Promise<Uint8Array | undefined> {
  const list = new Uint8Array(chunkCount(fileBytes) * HASH_BYTES);
  for (let index = 0; index < chunkCount(fileBytes); index += 1) {
    const chunk = await readChunk(handle, fileBytes, index);
    if (chunk === undefined) return undefined;
    list.set(chunkHash(chunk), index * HASH_BYTES);
  }
  return list;
}

/** SHA-256 of the whole, hex; undefined when the file is shorter. */
export async function hashFile(handle: FileHandle, fileBytes: number): Promise<string | undefined> {
  const hash = createHash('sha256');
  for (let index = 0; index < chunkCount(fileBytes); index += 1) {
    const chunk = await readChunk(handle, fileBytes, index);
    if (chunk === undefined) return undefined;
    hash.update(chunk);
  }
  return hash.digest('hex');
}
