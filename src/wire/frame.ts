// Frames of inference streams: u8 type, u16le header length, canonical CBOR header, raw tensor bytes (protocol.md 12). The u32le length
// prefix belongs to the overlay. Trusts nothing: what does not parse is answered with its reason.

import { concatBytes, u8, u16le } from '../util/bytes.ts';
import type { Cbor } from '../util/cbor.ts';
import { encodeCbor } from '../util/cbor.ts';
import { type Parsed, parsing, readCbor, refuse } from './fields.ts';

/** Type bytes of protocol.md 12; 6 REPLAY and 10 PING are reserved there. */
export const FRAME_TYPES = {
  OPEN: 1,
  ACCEPT: 2,
  REFUSE: 3,
  STEP: 4,
  TOKENS: 5,
  RECEIPT: 7,
  CLOSE: 8,
  ERROR: 9,
  RUN: 11,
  RESULT: 12,
} as const;

export type FrameType = keyof typeof FRAME_TYPES;

/** One frame of an inference stream (protocol.md 14): 256 rows of 8,192 f32 values fit twice. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** Largest value of the u16 that gives the header's length; a signed OPEN over 64 hops needs about 3.5 KB of it. */
const MAX_HEADER_BYTES = 0xffff;
const PREFIX_BYTES = 3;

export interface Frame {
  readonly type: FrameType;
  readonly header: Cbor;
  /** A view into the frame: copy it before keeping it. */
  readonly tensor: Uint8Array;
}

/** The parts of one frame in order, so that a tensor is not copied on its way out. */
export function encodeFrame(
  type: FrameType,
  header: Cbor,
  tensor: Uint8Array = new Uint8Array(0),
): readonly Uint8Array[] {
  const head = encodeCbor(header);
  if (head.length > MAX_HEADER_BYTES) throw new RangeError(`frame header of ${head.length} bytes`);
  const start = concatBytes(u8(FRAME_TYPES[type]), u16le(head.length), head);
  return tensor.length === 0 ? [start] : [start, tensor];
}

export function decodeFrame(bytes: Uint8Array): Parsed<Frame> {
  return parsing(() => {
    if (bytes.length < PREFIX_BYTES || bytes.length > MAX_FRAME_BYTES) return refuse(`frame of ${bytes.length} bytes`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = PREFIX_BYTES + view.getUint16(1, true);
    if (end > bytes.length) return refuse('header longer than the frame');
    const header = readCbor(bytes.subarray(PREFIX_BYTES, end), MAX_HEADER_BYTES);
    return { type: typeOf(view.getUint8(0)), header, tensor: bytes.subarray(end) };
  });
}

function typeOf(byte: number): FrameType {
  const entry = Object.entries(FRAME_TYPES).find(([, value]) => value === byte);
  return entry === undefined ? refuse(`unknown frame type ${byte}`) : (entry[0] as FrameType);
}
