// What a hop's receipt says of a segment (protocol.md 13): hash chains over the rows that came in and went out, and projections of what it
// computed, with directions that follow from the rows that came in. Pure; floats end in the sketch.

import { concatBytes, fromHex, u8, u16le, u32le } from '../util/bytes.ts';
import { sha256, shake256, tag } from '../util/hash.ts';
import { projections, sketchEntries } from './sketch.ts';

/** Positions that one receipt speaks for; the last one of a session may have fewer. */
export const SEGMENT_POSITIONS = 32;
/** 18 % spread of distances at 32 directions: honest and false outputs are a factor of ten apart (docs/protocol.md 13). */
const RECEIPT_ENTRIES = 32;
const RECEIPT_SKETCH_BYTES = RECEIPT_ENTRIES * 4;
/** Candidates of a drawn row whose logarithms of probability enter the sketch. */
export const SKETCHED_CANDIDATES = 16;
/** Of the rows that drew a token one in 8 is sketched: an auditor computes these one by one. */
const DRAWS_BELOW = 256 / 8;

const CHAIN = tag('tessera/receipt-chain/1');
const DRAWS = tag('tessera/receipt-draws/1');
const SKETCH = tag('tessera/receipt-sketch/1');

/** What a chain of rows is bound to: the run that takes them. */
export interface ChainStart {
  /** 16 bytes, hex. */
  readonly session: string;
  /** 32 bytes, hex. */
  readonly manifest: string;
  /** Shards [from, to) of the run. */
  readonly from: number;
  readonly to: number;
  readonly codec: 'f16' | 'f32';
}

/** Before the first row. 32 bytes, as every link. */
export function chainStart({ session, manifest, from, to, codec }: ChainStart): Uint8Array {
  const f32 = u8(codec === 'f32' ? 1 : 0);
  return sha256(CHAIN, fromHex(session), fromHex(manifest), u16le(from), u16le(to), f32);
}

/** After one more row, as it travels: a token id in four bytes, or a row of hidden state in the session's codec. */
export function chainNext(chain: Uint8Array, row: Uint8Array): Uint8Array {
  return sha256(chain, row);
}

/** Before the first token that the last hop draws. */
export function drawsStart(session: string): Uint8Array {
  return sha256(DRAWS, fromHex(session));
}

/** After the token drawn for a position. */
export function drawsNext(chain: Uint8Array, position: number, id: number): Uint8Array {
  return sha256(chain, concatBytes(u32le(position), u32le(id)));
}

/** After one more run of a stateless model: its tensors as they travel, `header` as CBOR, which says itself where it ends. */
export function runNext(chain: Uint8Array, header: Uint8Array, tensor: Uint8Array): Uint8Array {
  return sha256(chain, header, tensor);
}

/** Of a run: what it gave is bound byte by byte, and there is no next time to be foreseen. */
export const SKETCHLESS = new Uint8Array(RECEIPT_SKETCH_BYTES);

/** Whether the row after which the chain stands so is sketched, if it drew. */
export function isSketchedDraw(chain: Uint8Array): boolean {
  return (chain[0] ?? 0) < DRAWS_BELOW;
}

/**
 * Sketch of a segment's outputs, RECEIPT_SKETCH_BYTES; zeros when there are none, undefined when a value is not finite.
 *
 * @param chain over the rows that came in, after the segment's last
 * @param values hidden rows, row-major; or of each sketched draw its best candidates' logarithms of probability, best first
 * @param rms of the manifest for hidden rows, 1 for logarithms
 */
export function segmentSketch(chain: Uint8Array, values: Float32Array, rms: number): Uint8Array | undefined {
  if (values.length === 0) return new Uint8Array(RECEIPT_SKETCH_BYTES);
  if (!values.every(Number.isFinite)) return undefined;
  const signs = shake256(Math.ceil((RECEIPT_ENTRIES * values.length) / 8), SKETCH, chain);
  return projections(values, signs, RECEIPT_ENTRIES, rms);
}

/** Length of the difference of two sketches, in sketch units (2^-24 of the outputs' own length). */
export function sketchDistance(a: Uint8Array, b: Uint8Array): number {
  const others = sketchEntries(b);
  const sum = sketchEntries(a).reduce((all, entry, i) => all + (entry - (others[i] ?? 0n)) ** 2n, 0n);
  return Math.sqrt(Number(sum));
}
