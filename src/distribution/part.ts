// A file that is on its way: `<name>.part` in the model's folder. Its pieces are their own memory: after a crash those that have their hash are kept and
// the rest is fetched again, so nothing else has to be written down.

import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { ModelFile } from '../types/model.ts';
import { equalBytes } from '../util/bytes.ts';
import { CHUNK_BYTES, chunkCount, chunkHash, hashAt, hashFile, readChunk } from './chunks.ts';

export interface Part {
  /** Pieces that are not here, or not with the hash of the list; without a list all behind the end of the file. */
  missing(hashes: Uint8Array | undefined): Promise<number[]>;
  write(index: number, chunk: Uint8Array): Promise<void>;
  /** Whether the whole has the hash of the file; then it is on disk under its own name. */
  finish(): Promise<boolean>;
  /** Begins from nothing. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

/** @param path of the finished file */
export async function openPart(path: string, file: ModelFile): Promise<Part> {
  const partPath = `${path}.part`;
  const handle = await open(partPath, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644);
  const indexes = Array.from({ length: chunkCount(file.bytes) }, (_, index) => index);

  async function holds(index: number, hash: Uint8Array): Promise<boolean> {
    const chunk = await readChunk(handle, file.bytes, index);
    return chunk !== undefined && equalBytes(chunkHash(chunk), hash);
  }

  return {
    async missing(hashes) {
      if (hashes === undefined) {
        const { size } = await handle.stat();
        return indexes.slice(Math.floor(size / CHUNK_BYTES));
      }
      const missing: number[] = [];
      for (const index of indexes) if (!(await holds(index, hashAt(hashes, index)))) missing.push(index);
      return missing;
    },
    async write(index, chunk) {
      for (let at = 0; at < chunk.length; )
        at += (await handle.write(chunk, at, chunk.length - at, index * CHUNK_BYTES + at)).bytesWritten;
    },
    async finish() {
      await handle.truncate(file.bytes);
      if ((await hashFile(handle, file.bytes)) !== file.sha256) return false;
      // On disk before it bears its name: what has a name is taken for whole after a crash.
      await handle.sync();
      await rename(partPath, path);
      return true;
    },
    clear: () => handle.truncate(0),
    close: () => handle.close(),
  };
}
