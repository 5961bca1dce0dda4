// What one hop remembers of a session to give receipts for it (protocol.md 13): chains over rows in and out, the outputs of the segment that
// is not signed yet, and the rows that came in, for auditors. Rows that a later step takes back are forgotten.

import {
  chainNext,
  chainStart,
  drawsNext,
  drawsStart,
  isSketchedDraw,
  SEGMENT_POSITIONS,
  SKETCHED_CANDIDATES,
  segmentSketch,
} from '../consensus/receipt.ts';
import type { TopLogits } from '../engine/types.ts';
import type { BlockNumber, ShardIndex } from '../types/ids.ts';
import type { ManifestHash } from '../types/model.ts';
import { concatBytes } from '../util/bytes.ts';
import { MAX_ROLLBACK_ROWS, type SessionId } from '../wire/infer.ts';
import type { Receipt } from '../wire/receipt.ts';
import type { RowCodec } from '../wire/tensor.ts';

export interface Run {
  readonly from: ShardIndex;
  readonly to: ShardIndex;
}

export interface TranscriptOptions {
  readonly session: SessionId;
  readonly manifest: ManifestHash;
  readonly codec: RowCodec;
  readonly run: Run;
  /** The run that takes what this one gives; none at the last hop. */
  readonly next: Run | undefined;
  /** Of this run's outputs, from the manifest; unused at the last hop. */
  readonly rms: number;
  /** Whether the rows that come in are kept for auditors. */
  readonly keeps: boolean;
}

export interface Transcript {
  /** Rows that came in from `position` on, as they travel. */
  take(position: number, count: number, tensor: Uint8Array): void;
  /** The rows that went on, as computed and as they travel. */
  give(position: number, data: Float32Array, tensor: Uint8Array): void;
  /** The token for `position`, drawn from `top` behind the row before it. */
  draw(position: number, id: number, top: TopLogits): void;
  /** Receipts for whole segments that nothing can take back any more, or at the end for all there is. Each comes once. */
  due(block: BlockNumber, ended: boolean): readonly Receipt[];
  /** The rows of positions [0, count), one after another; none when they are not kept. */
  rows(count: number): Uint8Array;
  /** Tokens drawn behind the rows of positions [0, count), in order. */
  drawn(count: number): readonly DrawnToken[];
  readonly length: number;
  /** Of the rows kept. */
  readonly bytes: number;
}

/** A token that the last hop drew, and the position it has. */
export interface DrawnToken {
  readonly position: number;
  readonly id: number;
}

interface Draw extends DrawnToken {
  readonly best: Float32Array;
}

interface Output {
  readonly data: Float32Array;
  /** Chain over what went on, this row among it. */
  readonly given: Uint8Array;
}

export function createTranscript(options: TranscriptOptions): Transcript {
  const { session, manifest, codec, run, next, rms, keeps } = options;
  const start = chainStart({ session, manifest, codec, ...run });
  const givenStart = next === undefined ? drawsStart(session) : chainStart({ session, manifest, codec, ...next });
  /** Empty when they are not kept. */
  const rows: Uint8Array[] = [];
  /** After each row. */
  const taken: Uint8Array[] = [];
  /** By position; what is signed is dropped. */
  const outputs = new Map<number, Output>();
  /** By the position of the row behind which the token was drawn; what is signed is in `signedDraws`. */
  const draws = new Map<number, Draw>();
  const signedDraws: DrawnToken[] = [];
  let signedTo = 0;
  let signedGiven = givenStart;
  let bytes = 0;

  function forgetFrom(position: number): void {
    for (let at = taken.length - 1; at >= position; at -= 1) {
      outputs.delete(at);
      draws.delete(at);
      bytes -= rows[at]?.length ?? 0;
    }
    rows.length = Math.min(rows.length, position);
    taken.length = Math.min(taken.length, position);
  }

  function givenBefore(position: number): Uint8Array {
    return outputs.get(position - 1)?.given ?? signedGiven;
  }

  /** Chain over what went on up to `end`, and what was computed for [signedTo, end). */
  function told(end: number): { readonly given: Uint8Array; readonly values: Float32Array } {
    const positions = Array.from({ length: end - signedTo }, (_, i) => signedTo + i);
    if (next !== undefined) {
      const values = joined(positions.map((at) => outputs.get(at)?.data ?? new Float32Array(0)));
      return { given: givenBefore(end), values };
    }
    const drawn = positions.flatMap((at) => draws.get(at) ?? []);
    const given = drawn.reduce((chain, { position, id }) => drawsNext(chain, position, id), signedGiven);
    return { given, values: joined(drawn.filter(({ position }) => isSketched(position - 1)).map(({ best }) => best)) };
  }

  function isSketched(at: number): boolean {
    const chain = taken[at];
    return chain !== undefined && isSketchedDraw(chain);
  }

  function sign(end: number, block: BlockNumber): Receipt | undefined {
    const chain = taken[end - 1] ?? start;
    const { given, values } = told(end);
    const sketch = segmentSketch(chain, values, next === undefined ? 1 : rms);
    if (sketch === undefined) return undefined;
    const segment = { position: signedTo, count: end - signedTo, taken: chain, given, sketch, block };
    for (let at = signedTo; at < end; at += 1) {
      const draw = draws.get(at);
      if (draw !== undefined) signedDraws.push({ position: draw.position, id: draw.id });
      outputs.delete(at);
      draws.delete(at);
    }
    signedTo = end;
    signedGiven = given;
    return { session, manifest, codec, from: run.from, to: run.to, ...segment };
  }

  return {
    take(position, count, tensor) {
      forgetFrom(position);
      const width = tensor.length / count;
      // A frame's memory is the transport's.
      const own = keeps ? tensor.slice() : tensor;
      for (let i = 0; i < count; i += 1) {
        const row = own.subarray(i * width, (i + 1) * width);
        if (keeps) rows.push(row);
        taken.push(chainNext(taken.at(-1) ?? start, row));
      }
      if (keeps) bytes += tensor.length;
    },
    give(position, data, tensor) {
      const count = taken.length - position;
      const [values, width] = [data.length / count, tensor.length / count];
      for (let i = 0; i < count; i += 1) {
        const given = chainNext(givenBefore(position + i), tensor.subarray(i * width, (i + 1) * width));
        outputs.set(position + i, { data: data.subarray(i * values, (i + 1) * values), given });
      }
    },
    draw(position, id, top) {
      draws.set(position - 1, { position, id, best: logProbs(top) });
    },
    due(block, ended) {
      const receipts: Receipt[] = [];
      const settled = ended ? taken.length : taken.length - MAX_ROLLBACK_ROWS;
      for (;;) {
        const end = Math.min(signedTo + SEGMENT_POSITIONS, ended ? taken.length : Number.POSITIVE_INFINITY);
        if (end > settled || end === signedTo) return receipts;
        const receipt = sign(end, block);
        if (receipt === undefined) return receipts;
        receipts.push(receipt);
      }
    },
    rows: (count) => concatBytes(...rows.slice(0, count)),
    drawn: (count) => signedDraws.filter(({ position }) => position <= count),
    get length() {
      return taken.length;
    },
    get bytes() {
      return bytes;
    },
  };
}

/** Logarithms of probability of the best candidates, best first: continuous in the logits, whoever changes places. */
export function logProbs({ values, logSumExp }: TopLogits): Float32Array {
  return values.slice(0, SKETCHED_CANDIDATES).map((value) => value - logSumExp);
}

export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
