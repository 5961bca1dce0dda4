// The guest's linear memory as host functions see it: spans (pointer and length in one i64) and the allocator that the runtime expects its
// host to have. Pointers come from the guest, so every access is checked against the memory's size.

import { CodedError } from '../../util/errors.ts';
import type { Key } from '../hex.ts';
import { PAGE_BYTES, type WasmMemory } from '../wasm.ts';

class GuestMemoryError extends CodedError<{ code: 'RUNTIME_MEMORY' }> {
  constructor(why: string) {
    super({ code: 'RUNTIME_MEMORY' }, why);
  }
}

export interface GuestMemory {
  /** A view of the guest's bytes, valid until the next allocation. */
  view(pointer: number, length: number): Buffer;
  /** Like `view`, for a span. */
  span(span: bigint): Buffer;
  /** A copy with memory of its own. */
  copy(span: bigint): Uint8Array;
  key(span: bigint): Key;
  text(span: bigint): string;
  allocate(bytes: number): number;
  free(pointer: number): void;
  /** Allocates and writes; answers the pointer, or the span. */
  place(bytes: Uint8Array): number;
  placeSpan(bytes: Uint8Array): bigint;
  /** The allocator takes memory from `heapBase` on; known only after instantiation. */
  startHeap(heapBase: number): void;
}

/**
 * Runtimes with sp-io >= 41 write two bytes BEFORE each pointer that malloc returned, because Substrate's allocator keeps an 8-byte header
 * there; without room for it they damage the block before (runtime-build.md, trap 1).
 */
const HEADER_BYTES = 8;
const SMALLEST_BLOCK = 8;
/** As in Substrate's freeing-bump allocator. */
const LARGEST_BLOCK = 32 * 2 ** 20;
/** A runtime call that needs more is out of hand. */
const MEMORY_LIMIT = 512 * 2 ** 20;
/** Memory grows by at least 1 MiB: growing replaces the buffer. */
const GROW_PAGES = 16;

export function createGuestMemory(memory: WasmMemory): GuestMemory {
  let buffer = Buffer.from(memory.buffer);
  let bump = 0;
  const freeBlocks = new Map<number, number[]>();
  const blockSizes = new Map<number, number>();

  /** The guest may have grown its memory by itself: then the old buffer is detached. */
  function current(): Buffer {
    if (buffer.length !== memory.buffer.byteLength) buffer = Buffer.from(memory.buffer);
    return buffer;
  }

  function view(pointer: number, length: number): Buffer {
    const start = pointer >>> 0;
    const bytes = current();
    if (start + length > bytes.length)
      throw new GuestMemoryError(`the runtime points outside its memory (${start} + ${length})`);
    return bytes.subarray(start, start + length);
  }

  function span(value: bigint): Buffer {
    const bits = BigInt.asUintN(64, value);
    return view(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
  }

  function ensure(end: number): void {
    const have = memory.buffer.byteLength;
    if (end <= have) return;
    if (end > MEMORY_LIMIT) throw new GuestMemoryError(`the runtime wants more than ${MEMORY_LIMIT} bytes of memory`);
    memory.grow(Math.max(Math.ceil((end - have) / PAGE_BYTES), GROW_PAGES));
  }

  function allocate(bytes: number): number {
    if (bytes > LARGEST_BLOCK)
      throw new GuestMemoryError(`the runtime wants one block of ${bytes} bytes; the limit is ${LARGEST_BLOCK}`);
    const size = blockSize(bytes);
    const reused = freeBlocks.get(size)?.pop();
    const pointer = reused ?? bump + HEADER_BYTES;
    if (reused === undefined) {
      ensure(pointer + size);
      bump = pointer + size;
    }
    blockSizes.set(pointer, size);
    return pointer;
  }

  function free(pointer: number): void {
    const start = pointer >>> 0;
    const size = blockSizes.get(start);
    if (size === undefined) throw new GuestMemoryError(`the runtime frees ${start}, which is not allocated`);
    blockSizes.delete(start);
    const list = freeBlocks.get(size);
    if (list === undefined) freeBlocks.set(size, [start]);
    else list.push(start);
  }

  function place(bytes: Uint8Array): number {
    const pointer = allocate(bytes.length);
    current().set(bytes, pointer);
    return pointer;
  }

  return {
    view,
    span,
    copy: (value) => new Uint8Array(span(value)),
    key: (value) => span(value).toString('latin1'),
    text: (value) => span(value).toString('utf8'),
    allocate,
    free,
    place,
    placeSpan: (bytes) => BigInt(place(bytes)) | (BigInt(bytes.length) << 32n),
    startHeap: (heapBase) => {
      bump = Math.ceil(heapBase / SMALLEST_BLOCK) * SMALLEST_BLOCK;
    },
  };
}

function blockSize(bytes: number): number {
  let size = SMALLEST_BLOCK;
  while (size < bytes) size *= 2;
  return size;
}
