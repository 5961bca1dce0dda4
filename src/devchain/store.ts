// The chain on disk: an append-only file of JSON lines, one write per block, so that a process killed at any moment leaves at worst a torn
// last line, which the next start cuts off (chain.md 9). Trusts the file to be its own, and checks what it can: chain.ts replays it.

import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { CodedError, errorMessage } from '../util/errors.ts';
import type { Header } from './header.ts';
import type { Hex } from './hex.ts';
import { LockedError, takeLock } from './lock.ts';

/** Keys with their new values, null = deleted. */
export type StoredChanges = readonly (readonly [Hex, Hex | null])[];

export type StoreRecord =
  | { readonly g: Hex }
  | { readonly h: Hex; readonly d: Header; readonly x: readonly Hex[]; readonly s: StoredChanges }
  /** Changes of the head's state from outside any block. */
  | { readonly o: StoredChanges }
  /** So many blocks were rolled back. */
  | { readonly r: number };

export class StoreError extends CodedError<
  | { code: 'DEVCHAIN_DB_LOCKED'; file: string; pid: number }
  | { code: 'DEVCHAIN_FOREIGN_GENESIS'; file: string; expected: Hex; found: Hex }
  | { code: 'DEVCHAIN_DB_DAMAGED'; file: string; line: number }
  | { code: 'DEVCHAIN_DB_UNWRITABLE'; file: string }
> {}

export interface Store {
  /** Everything recorded before, oldest first, without the genesis line. To be read to its end before the first append. */
  records(): Generator<StoreRecord>;
  /** Throws StoreError `DEVCHAIN_DB_UNWRITABLE` and leaves no half line. */
  append(record: StoreRecord): void;
  /** What is wrong with the record read last. */
  damaged(why: string): StoreError;
  close(): void;
}

const CHUNK_BYTES = 4 * 2 ** 20;
const NEWLINE = 0x0a;

/**
 * Opens or creates the file for a chain with this genesis; throws StoreError.
 *
 * @param options.fsync wait for the disk after each record (survives a power cut, not only a killed process)
 */
export function openStore(options: { readonly file: string; readonly genesis: Hex; readonly fsync: boolean }): Store {
  const { file } = options;
  const unlock = lock(file);
  try {
    return createStore(options, openFile(file), unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

function createStore(options: { file: string; genesis: Hex; fsync: boolean }, fd: number, unlock: () => void): Store {
  const { file, genesis } = options;
  let size = 0;
  let closed = false;
  let line = 0;
  const damaged = (why: string) =>
    new StoreError(
      { code: 'DEVCHAIN_DB_DAMAGED', file, line },
      `${file} is damaged in line ${line}: ${why}; move it away to start anew`,
    );

  function* records(): Generator<StoreRecord> {
    const total = fstatSync(fd).size;
    for (const text of lines(fd)) {
      line++;
      const end = size + text.length + 1;
      const record = parse(text);
      if (record === undefined && end < total) throw damaged('not a record');
      if (record === undefined) break;
      size = end;
      if (!('g' in record)) yield record;
      else if (record.g !== genesis) throw foreign(file, genesis, record.g);
    }
    if (size === 0 && !isTornGenesis(fd, total)) throw damaged('it is no file of a dev chain');
    ftruncateSync(fd, size);
    if (size === 0) append({ g: genesis });
  }

  function append(record: StoreRecord): void {
    // The descriptor's number may already be another file's.
    if (closed) throw unwritable(file, new Error('it is closed'));
    const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
    try {
      writeAll(fd, bytes);
      if (options.fsync) fsyncSync(fd);
    } catch (error) {
      ftruncateSync(fd, size);
      throw new StoreError({ code: 'DEVCHAIN_DB_UNWRITABLE', file }, `cannot write ${file}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
    size += bytes.length;
  }

  function close(): void {
    if (closed) return;
    closed = true;
    fsyncSync(fd);
    closeSync(fd);
    unlock();
  }

  return { records, append, damaged, close };
}

const GENESIS_LINE_START = Buffer.from('{"g":"0x');
/** Without its newline. */
const GENESIS_LINE_BYTES = GENESIS_LINE_START.length + 64 + '"}'.length;

/** Whether a file without any record is what a killed process leaves: empty, or the beginning of the genesis line. Others are not ours to cut. */
function isTornGenesis(fd: number, size: number): boolean {
  const start = Buffer.alloc(Math.min(size, GENESIS_LINE_START.length));
  readSync(fd, start, 0, start.length, 0);
  return size <= GENESIS_LINE_BYTES && GENESIS_LINE_START.subarray(0, start.length).equals(start);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

/** The complete lines of a file from its start. */
function* lines(fd: number): Generator<Buffer> {
  let rest = Buffer.alloc(0);
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (
    let at = 0, read = readSync(fd, chunk, 0, CHUNK_BYTES, 0);
    read > 0;
    read = readSync(fd, chunk, 0, CHUNK_BYTES, at)
  ) {
    at += read;
    rest = Buffer.concat([rest, chunk.subarray(0, read)]);
    let start = 0;
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE, start)) {
      yield rest.subarray(start, end);
      start = end + 1;
    }
    rest = rest.subarray(start);
  }
}

function parse(text: Buffer): StoreRecord | undefined {
  try {
    const value: unknown = JSON.parse(text.toString('utf8'));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is StoreRecord {
  if (typeof value !== 'object' || value === null) return false;
  if ('g' in value) return typeof value.g === 'string';
  if ('r' in value) return Number.isSafeInteger(value.r);
  if ('o' in value) return isChanges(value.o);
  return 'h' in value && 'd' in value && 'x' in value && 's' in value && Array.isArray(value.x) && isChanges(value.s);
}

function isChanges(value: unknown): value is StoredChanges {
  return Array.isArray(value) && value.every((pair) => Array.isArray(pair) && typeof pair[0] === 'string');
}

function foreign(file: string, expected: Hex, found: Hex): StoreError {
  const facts = { code: 'DEVCHAIN_FOREIGN_GENESIS', file, expected, found } as const;
  return new StoreError(
    facts,
    `${file} belongs to the chain with genesis ${found}, not to ${expected}; use another file or spec`,
  );
}

function openFile(file: string): number {
  try {
    return openSync(file, 'a+');
  } catch (error) {
    throw unwritable(file, error);
  }
}

function lock(file: string): () => void {
  try {
    return takeLock(`${file}.lock`);
  } catch (error) {
    if (!(error instanceof LockedError)) throw unwritable(file, error);
    const { path, pid } = error.facts;
    const facts = { code: 'DEVCHAIN_DB_LOCKED', file, pid } as const;
    throw new StoreError(facts, `${file} is in use by process ${pid}; if that is not a dev chain, delete ${path}`);
  }
}

function unwritable(file: string, cause: unknown): StoreError {
  return new StoreError(
    { code: 'DEVCHAIN_DB_UNWRITABLE', file },
    `cannot write ${file} or its lock: ${errorMessage(cause)}`,
    {
      cause,
    },
  );
}
