// Bytes of a stream -> whole frames: u32le length, then so many bytes. Trusts no length: it is checked against the cap first, and memory grows
// only as bytes arrive, so that a stranger cannot reserve a frame's worth by naming its length.

import { u32le } from '../util/bytes.ts';
import { frameTooLarge } from './errors.ts';

const PREFIX_BYTES = 4;
/** First piece of memory for a frame; doubled up to its length as bytes arrive. */
const FIRST_BYTES = 64 << 10;

export interface Deframer {
  /** The frames that these bytes complete. Throws FRAME_TOO_LARGE; the stream is of no use afterwards. */
  push(chunk: Uint8Array): Uint8Array[];
  /** Whether a frame has begun and not ended. */
  isMidFrame(): boolean;
}

export function createDeframer(maxFrameBytes: number): Deframer {
  const prefix = new Uint8Array(PREFIX_BYTES);
  let prefixLength = 0;
  let length = 0;
  let frame = new Uint8Array(0);
  let at = 0;

  /** Takes what is missing of the prefix; how many bytes that were. */
  function readPrefix(chunk: Uint8Array): number {
    const part = chunk.subarray(0, PREFIX_BYTES - prefixLength);
    prefix.set(part, prefixLength);
    prefixLength += part.length;
    if (prefixLength < PREFIX_BYTES) return part.length;
    length = new DataView(prefix.buffer).getUint32(0, true);
    if (length > maxFrameBytes) throw frameTooLarge(length, maxFrameBytes);
    frame = new Uint8Array(Math.min(length, FIRST_BYTES));
    at = 0;
    return part.length;
  }

  function readBody(chunk: Uint8Array): number {
    const part = chunk.subarray(0, length - at);
    if (at + part.length > frame.length) grow(at + part.length);
    frame.set(part, at);
    at += part.length;
    return part.length;
  }

  function grow(needed: number): void {
    const larger = new Uint8Array(Math.min(length, Math.max(needed, 2 * frame.length)));
    larger.set(frame.subarray(0, at));
    frame = larger;
  }

  return {
    push(chunk) {
      const done: Uint8Array[] = [];
      let rest = chunk;
      while (rest.length > 0) {
        rest = rest.subarray(prefixLength < PREFIX_BYTES ? readPrefix(rest) : readBody(rest));
        if (prefixLength < PREFIX_BYTES || at < length) continue;
        done.push(frame);
        prefixLength = 0;
        frame = new Uint8Array(0);
      }
      return done;
    },
    isMidFrame: () => prefixLength > 0,
  };
}

/** The length prefix of a frame made of these parts. */
export function framePrefix(parts: readonly Uint8Array[], maxFrameBytes: number): Uint8Array {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  if (bytes > maxFrameBytes) throw frameTooLarge(bytes, maxFrameBytes);
  return u32le(bytes);
}
