// Reads wheels, which are plain zip archives (PKWARE's APPNOTE.TXT, 4.3): only members that the table names leave one, under names of the table, and only
// with the size and hash that it tells. Trusts nothing in the archive.

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable, Transform } from 'node:stream';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import type { WheelMember } from './packages.ts';

/** Where a member's bytes lie in the archive. */
interface Entry {
  readonly method: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** Of the local header. */
  readonly offset: number;
}

const END = { signature: 0x0605_4b50, bytes: 22, maxComment: 0xffff };
const CENTRAL = { signature: 0x0201_4b50, bytes: 46, maxTotalBytes: 8 << 20 };
const LOCAL = { signature: 0x0403_4b50, bytes: 30 };
const METHOD = { stored: 0, deflated: 8 };
const ENCRYPTED = 1;

/** Hex SHA-256 of a file. */
export async function hashFile(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, { signal });
  return hash.digest('hex');
}

/**
 * Writes one member into `folder` under the table's name; until it is whole and right it has another name.
 *
 * @throws Error when the archive is none, lacks the member or has another
 */
export async function extractMember(
  wheel: string,
  member: WheelMember,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const source = await openMember(wheel, member, signal);
  const hash = createHash('sha256');
  let bytes = 0;
  const checked = async function* (pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > member.bytes) throw refused(wheel, `${member.path} is longer than ${member.bytes} bytes`);
      hash.update(piece);
      yield piece;
    }
  };
  const part = join(folder, `${member.name}.part`);
  try {
    await pipeline(source.packed, source.unpack, checked, createWriteStream(part), { signal });
    const sha256 = hash.digest('hex');
    if (bytes !== member.bytes || sha256 !== member.sha256)
      throw refused(
        wheel,
        `${member.path} has ${bytes} bytes and hash ${sha256}, not ${member.bytes} and ${member.sha256}`,
      );
    await rename(part, join(folder, member.name));
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

async function openMember(
  wheel: string,
  { path }: WheelMember,
  signal: AbortSignal,
): Promise<{ readonly packed: Readable; readonly unpack: Transform }> {
  await using handle = await open(wheel, 'r');
  const { size } = await handle.stat();
  const entry = (await readDirectory(handle, size, wheel)).get(path);
  if (entry === undefined) throw refused(wheel, `there is no ${path} in it`);
  const header = await readAt(handle, entry.offset, LOCAL.bytes, wheel);
  if (header.readUInt32LE(0) !== LOCAL.signature) throw refused(wheel, `${path} has no header`);
  const start = entry.offset + LOCAL.bytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  const end = start + entry.packedBytes - 1;
  if (end < start || end >= size) throw refused(wheel, `${path} is cut off`);
  if (entry.method !== METHOD.stored && entry.method !== METHOD.deflated)
    throw refused(wheel, `${path} is packed by method ${entry.method}`);
  return {
    packed: createReadStream(wheel, { start, end, signal }),
    unpack: entry.method === METHOD.deflated ? createInflateRaw() : new PassThrough(),
  };
}

async function readDirectory(handle: FileHandle, size: number, wheel: string): Promise<ReadonlyMap<string, Entry>> {
  const tailBytes = Math.min(size, END.bytes + END.maxComment);
  const tail = await readAt(handle, size - tailBytes, tailBytes, wheel);
  let at = tail.length - END.bytes;
  while (at >= 0 && tail.readUInt32LE(at) !== END.signature) at--;
  if (at < 0) throw refused(wheel, 'it is no zip archive, or cut off');
  const [count, bytes, start] = [tail.readUInt16LE(at + 10), tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)];
  if (bytes > CENTRAL.maxTotalBytes || start + bytes > size) throw refused(wheel, 'its list of files makes no sense');
  const list = await readAt(handle, start, bytes, wheel);
  const entries = new Map<string, Entry>();
  for (let i = 0, from = 0; i < count; i++) {
    if (from + CENTRAL.bytes > list.length || list.readUInt32LE(from) !== CENTRAL.signature)
      throw refused(wheel, 'its list of files is broken');
    const nameBytes = list.readUInt16LE(from + 28);
    const name = list.toString('utf8', from + CENTRAL.bytes, from + CENTRAL.bytes + nameBytes);
    if ((list.readUInt16LE(from + 8) & ENCRYPTED) === 0)
      entries.set(name, {
        method: list.readUInt16LE(from + 10),
        packedBytes: list.readUInt32LE(from + 20),
        bytes: list.readUInt32LE(from + 24),
        offset: list.readUInt32LE(from + 42),
      });
    from += CENTRAL.bytes + nameBytes + list.readUInt16LE(from + 30) + list.readUInt16LE(from + 32);
  }
  return entries;
}

async function readAt(handle: FileHandle, position: number, bytes: number, wheel: string): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, position);
  if (bytesRead < bytes) throw refused(wheel, 'it is cut off');
  return buffer;
}

function refused(wheel: string, why: string): Error {
  return new Error(`${wheel}: ${why}`);
}
