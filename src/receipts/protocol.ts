// `/tessera/audit/1` (protocol.md 13): what did you serve, give me the rows that came in, what stood at your inner borders. One frame in, one
// frame out, for validators only. Answers prove nothing by themselves: rows are held against the chain in a signed receipt.

import type { ProtocolOptions } from '../p2p/types.ts';
import type { PeerId } from '../types/ids.ts';
import { fromHex, toHex } from '../util/bytes.ts';
import { type Cbor, encodeCbor } from '../util/cbor.ts';
import {
  between,
  bytes,
  exactly,
  type Field,
  list,
  type Parsed,
  parsing,
  readCbor,
  readMap,
  refuse,
  tuple,
  U16,
  U32,
  uint,
} from '../wire/fields.ts';
import { MAX_FRAME_BYTES } from '../wire/frame.ts';
import { MAX_RECEIPT_BYTES, type SessionId } from '../wire/infer.ts';
import type { KeptTensors } from './run-transcript.ts';
import type { DrawnToken } from './transcript.ts';

export const AUDIT_PROTOCOL = '/tessera/audit/1';
/** Receipts in one answer: the newest. */
const MAX_LISTED = 512;
const MAX_REQUEST_BYTES = 32 * 1024;
const MAX_POSITIONS = 1 << 24;
const MAX_STREAMS = 2;
const SESSION_BYTES = 16;
const CHAIN_BYTES = 32;
/** Inner borders of a run. */
const MAX_BORDERS = 256;
const MAX_DRAWS = 1 << 16;

export type AuditRequest =
  | { readonly ask: 'list' }
  /** Rows of positions [0, end). */
  | { readonly ask: 'rows'; readonly session: SessionId; readonly hop: number; readonly end: number }
  /** Tensors of one run of a stateless model: those that came in, or those that went on. */
  | {
      readonly ask: 'run';
      readonly session: SessionId;
      readonly hop: number;
      readonly run: number;
      readonly side: 'taken' | 'given';
    }
  /** Outputs of a segment, or of a run (count 1), at each border inside the run. */
  | {
      readonly ask: 'borders';
      readonly session: SessionId;
      readonly hop: number;
      readonly position: number;
      readonly count: number;
    };

/** A receipt, and the place that its hop had in the route. */
export interface Listed {
  readonly hop: number;
  readonly receipt: Uint8Array;
}

export interface RowsAnswer {
  /** The client's signed request. */
  readonly request: Uint8Array;
  readonly rows: Uint8Array;
  /** Of the last hop. */
  readonly drawn: readonly DrawnToken[];
}

export interface RunAnswer extends KeptTensors {
  /** The client's signed request. */
  readonly request: Uint8Array;
}

export function auditOptions(admit: (peer: PeerId) => boolean): ProtocolOptions {
  return { maxFrameBytes: MAX_FRAME_BYTES, admit, maxStreamsPerPeer: MAX_STREAMS };
}

export function encodeAuditRequest(request: AuditRequest): Uint8Array {
  if (request.ask === 'list') return encodeCbor({ v: 1, q: 'list' });
  const { session, hop } = request;
  const of = { v: 1, q: request.ask, s: fromHex(session), j: hop };
  if (request.ask === 'rows') return encodeCbor({ ...of, n: request.end });
  if (request.ask === 'run') return encodeCbor({ ...of, r: request.run, w: request.side });
  return encodeCbor({ ...of, p: request.position, n: request.count });
}

const session: Field<SessionId> = (value) => toHex(bytes(SESSION_BYTES)(value)) as SessionId;
const HEAD = { v: exactly(1), s: session, j: uint(U16) };

export function decodeAuditRequest(body: Uint8Array): Parsed<AuditRequest> {
  return parsing(() => {
    const value = readCbor(body, MAX_REQUEST_BYTES);
    const ask = typeof value === 'object' && 'q' in value ? value.q : undefined;
    switch (ask) {
      case 'list':
        readMap(value, { v: exactly(1), q: exactly('list') });
        return { ask };
      case 'rows': {
        const map = readMap(value, { ...HEAD, q: exactly('rows'), n: between(1, MAX_POSITIONS) });
        return { ask, session: map.s, hop: map.j, end: map.n };
      }
      case 'run': {
        const sides = exactly('taken', 'given');
        const map = readMap(value, { ...HEAD, q: exactly('run'), r: uint(MAX_POSITIONS), w: sides });
        return { ask, session: map.s, hop: map.j, run: map.r, side: map.w };
      }
      case 'borders': {
        const shape = { ...HEAD, q: exactly('borders'), p: uint(MAX_POSITIONS), n: between(1, MAX_POSITIONS) };
        const map = readMap(value, shape);
        return { ask, session: map.s, hop: map.j, position: map.p, count: map.n };
      }
      default:
        return refuse('no question of an audit');
    }
  });
}

export function encodeListed(listed: readonly Listed[]): Uint8Array {
  return encodeCbor({ v: 1, r: listed.slice(0, MAX_LISTED).map(({ hop, receipt }) => [hop, receipt]) });
}

const LISTED = list(tuple(uint(U16), bytes(1, MAX_RECEIPT_BYTES)), MAX_LISTED);

export function decodeListed(body: Uint8Array): Parsed<readonly Listed[]> {
  return parsing(() => {
    const { r } = readMap(readCbor(body, MAX_FRAME_BYTES), { v: exactly(1), r: LISTED });
    return r.map(([hop, receipt]) => ({ hop, receipt }));
  });
}

/** The rows, or nothing: they are not kept here. */
export function encodeRows(answer: RowsAnswer | undefined): Uint8Array {
  if (answer === undefined) return encodeCbor({ v: 1 });
  const { request, rows, drawn } = answer;
  return encodeCbor({ v: 1, o: request, x: rows, d: drawn.map(({ position, id }) => [position, id]) });
}

const DRAWN = list(tuple(uint(MAX_POSITIONS), uint(U32)), MAX_DRAWS);

export function decodeRows(body: Uint8Array): Parsed<RowsAnswer> {
  return parsing(() => {
    const shape = { v: exactly(1), o: bytes(0, MAX_REQUEST_BYTES), x: bytes(0, MAX_FRAME_BYTES), d: DRAWN };
    const { o, x, d } = readMap(readCbor(body, MAX_FRAME_BYTES), shape);
    return { request: o, rows: x, drawn: d.map(([position, id]) => ({ position, id })) };
  });
}

/** Tensors of a run, or nothing: they are not kept here, or do not fit in a frame. */
export function encodeRun(answer: RunAnswer | undefined): Uint8Array {
  if (answer === undefined) return encodeCbor({ v: 1 });
  const { request, before, header, tensor } = answer;
  const encoded = encodeCbor({ v: 1, o: request, h: before, t: header, x: tensor });
  return encoded.length > MAX_FRAME_BYTES ? encodeCbor({ v: 1 }) : encoded;
}

const ANYTHING: Field<Cbor> = (value) => value;

export function decodeRun(body: Uint8Array): Parsed<RunAnswer> {
  return parsing(() => {
    const shape = {
      v: exactly(1),
      o: bytes(0, MAX_REQUEST_BYTES),
      h: bytes(CHAIN_BYTES),
      t: ANYTHING,
      x: bytes(0, MAX_FRAME_BYTES),
    };
    const { o, h, t, x } = readMap(readCbor(body, MAX_FRAME_BYTES), shape);
    return { request: o, before: h, header: t, tensor: x };
  });
}

/** f32 values of each border, little endian; none when they cannot be given. */
export function encodeBorders(borders: readonly Float32Array[] | undefined): Uint8Array {
  if (borders === undefined) return encodeCbor({ v: 1 });
  return encodeCbor({
    v: 1,
    b: borders.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
  });
}

export function decodeBorders(body: Uint8Array): Parsed<readonly Float32Array[]> {
  return parsing(() => {
    const borders = list(bytes(0, MAX_FRAME_BYTES), MAX_BORDERS);
    const { b } = readMap(readCbor(body, MAX_FRAME_BYTES), { v: exactly(1), b: borders });
    return b.map((border) => {
      if (border.length % 4 !== 0) return refuse(`${border.length} bytes of f32 values`);
      return new Float32Array(border.slice().buffer);
    });
  });
}
