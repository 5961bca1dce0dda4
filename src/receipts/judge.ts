// Judges one receipt (protocol.md 13): do the rows belong to it, and does the segment, computed again, come out as its sketch says. Trusts
// nothing that the accused says. What is not there is unclear and accuses nobody; what contradicts the accused's own signature does.

import { drawsNext, drawsStart, segmentSketch, sketchDistance } from '../consensus/receipt.ts';
import { mayBeSampled } from '../model/sample.ts';
import type { PeerId, ShardIndex } from '../types/ids.ts';
import { equalBytes } from '../util/bytes.ts';
import { readTakenRequest, type Verify } from '../wire/envelope.ts';
import { decodeOpen, INFER_PROTOCOL, OPEN_METHOD, type OpenBody, sessionIdOf } from '../wire/infer.ts';
import type { Receipt } from '../wire/receipt.ts';
import type { RowsAnswer } from './protocol.ts';
import {
  chainOver,
  drawValues,
  parseRows,
  type ReplayEngine,
  type ReplayModel,
  replayBorders,
  replayDraws,
  replayHidden,
  type Source,
} from './replay.ts';

/** What an auditor must know of the model's shards. */
export interface JudgedShard {
  /** RMS of its output. */
  readonly rms: number;
  /** Tolerance, in sketch units. */
  readonly tau: number;
  /** Whether computing its rows again gives the same within the tolerance, whatever the chunks (engine.md 1.3). */
  readonly auditable: boolean;
}

export interface Judged {
  /** Of the hop that signed the receipt. */
  readonly peer: PeerId;
  readonly hop: number;
  readonly receipt: Receipt;
  readonly answer: RowsAnswer;
}

export type Finding =
  | { readonly at: 'good' }
  /** The first shard that differs. */
  | { readonly at: 'bad'; readonly shard: ShardIndex; readonly why: string }
  /** Nobody can tell: what was handed over is not enough, or this node cannot compute it. */
  | { readonly at: 'unclear'; readonly why: string };

export interface JudgeDeps {
  readonly engine: ReplayEngine;
  readonly model: ReplayModel;
  readonly shards: readonly JudgedShard[];
  readonly verify: Verify;
  /** What the accused says stood at the borders inside its run, for the receipt's segment; undefined when it does not say. */
  readonly bordersOf: (judged: Judged, signal: AbortSignal) => Promise<readonly Float32Array[] | undefined>;
}

/**
 * Outputs further away than that many tolerances of all shards of the run together are not what the run computes: noise adds up from border to
 * border. Measured (docs/protocol-13-receipts.md): honest rows are within 1.1, honest probabilities within 7.1, weights in bf16 beyond 17 and 31.
 */
export const HIDDEN_TOLERANCES = 6;
const DRAWN_TOLERANCES = 16;

/** Throws what the engine throws. */
export async function judgeReceipt(judged: Judged, deps: JudgeDeps, signal: AbortSignal): Promise<Finding> {
  const { receipt, answer } = judged;
  const { session, codec, from, to, position, count } = receipt;
  const source: Source = { session, codec, run: { from, to }, rows: answer.rows, end: position + count };
  const { model, shards } = deps;
  if (receipt.manifest !== model.hash || to > model.shardCount) return { at: 'unclear', why: 'of another model' };
  if (shards.slice(from, to).some(({ auditable }) => !auditable))
    return { at: 'unclear', why: 'of a format that is not audited' };
  const open = openOf({ ...judged, request: answer.request }, deps);
  if (open === undefined) return { at: 'bad', shard: from, why: "without the client's request" };
  const chain = chainOver(source, model);
  if (chain === undefined || !equalBytes(chain.at(-1) ?? new Uint8Array(0), receipt.taken))
    return { at: 'bad', shard: from, why: 'rows that are not those of the receipt' };
  if (!parseRows(source, model).ok) return { at: 'bad', shard: from, why: 'rows that are none' };
  return to === model.shardCount
    ? judgeDraws(judged, source, open, deps, signal)
    : judgeHidden(judged, source, deps, signal);
}

/** Whether request and rows are those of the receipt: what somebody else than the accused says must never accuse it. */
export function belongs({ peer, hop, receipt, answer }: Judged, deps: Pick<JudgeDeps, 'model' | 'verify'>): boolean {
  const { session, codec, from, to, position, count } = receipt;
  const source = { session, codec, run: { from, to }, rows: answer.rows, end: position + count };
  const last = chainOver(source, deps.model)?.at(-1);
  if (last === undefined || !equalBytes(last, receipt.taken)) return false;
  return openOf({ peer, hop, receipt, request: answer.request }, deps) !== undefined;
}

async function judgeHidden(judged: Judged, source: Source, deps: JudgeDeps, signal: AbortSignal): Promise<Finding> {
  const { receipt } = judged;
  const values = await replayHidden(source, receipt, deps.model, deps.engine, signal);
  const sketch = segmentSketch(receipt.taken, values, deps.shards[receipt.to - 1]?.rms ?? 1);
  if (sketch === undefined) return { at: 'unclear', why: 'outputs that are not finite' };
  if (sketchDistance(sketch, receipt.sketch) <= HIDDEN_TOLERANCES * tauOf(receipt, deps)) return { at: 'good' };
  return {
    at: 'bad',
    shard: await firstDifference(judged, source, deps, signal),
    why: 'other rows than the shards give',
  };
}

async function judgeDraws(
  judged: Judged,
  source: Source,
  open: OpenBody,
  deps: JudgeDeps,
  signal: AbortSignal,
): Promise<Finding> {
  const { receipt, answer } = judged;
  const drawn = answer.drawn.reduce(
    (chain, { position, id }) => drawsNext(chain, position, id),
    drawsStart(receipt.session),
  );
  if (!equalBytes(drawn, receipt.given))
    return { at: 'bad', shard: (receipt.to - 1) as ShardIndex, why: 'tokens that are not those of the receipt' };
  const draws = await replayDraws(source, receipt, answer.drawn, deps.model, deps.engine, signal);
  if (draws.length === 0) return { at: 'unclear', why: 'no drawn row that is sketched' };
  const sketch = segmentSketch(receipt.taken, drawValues(draws), 1);
  if (sketch === undefined) return { at: 'unclear', why: 'outputs that are not finite' };
  const { sampling } = open;
  const isDrawn =
    sampling !== undefined && draws.every(({ top, position, id }) => mayBeSampled(top, sampling, position, id));
  const isSame = sketchDistance(sketch, receipt.sketch) <= DRAWN_TOLERANCES * tauOf(receipt, deps);
  if (isSame && isDrawn) return { at: 'good' };
  if (isSame) return { at: 'bad', shard: (receipt.to - 1) as ShardIndex, why: 'another token than was drawn' };
  const shard = await firstDifference(judged, source, deps, signal);
  return { at: 'bad', shard, why: 'other probabilities than the shards give' };
}

/** The first shard after which the accused has other rows; the run's first when it does not say what it had. */
async function firstDifference(
  judged: Judged,
  source: Source,
  deps: JudgeDeps,
  signal: AbortSignal,
): Promise<ShardIndex> {
  const { from, to, position, count } = judged.receipt;
  if (to - from === 1) return from;
  const claimed = await deps.bordersOf(judged, signal);
  if (claimed === undefined) return from;
  const ours = await replayBorders(source, { position, count }, deps.model, deps.engine, signal);
  const at = ours.findIndex((border, i) => {
    const distance = relativeDistance(border, claimed[i], deps.shards[from + i]?.rms ?? 1);
    return distance > HIDDEN_TOLERANCES * tauOf({ from, to: from + i + 1 }, deps);
  });
  return (at < 0 ? to - 1 : from + at) as ShardIndex;
}

/** Of all shards of a run together, in sketch units. */
export function tauOf(
  { from, to }: { readonly from: number; readonly to: number },
  { shards }: Pick<JudgeDeps, 'shards'>,
): number {
  return shards.slice(from, to).reduce((sum, { tau }) => sum + tau, 0);
}

const SKETCH_UNIT = 2 ** 24;

/** In sketch units; infinite when they cannot be compared. */
export function relativeDistance(ours: Float32Array, theirs: Float32Array | undefined, rms: number): number {
  if (theirs === undefined || theirs.length !== ours.length || !theirs.every(Number.isFinite))
    return Number.POSITIVE_INFINITY;
  const sum = ours.reduce((all, value, i) => all + (value - (theirs[i] ?? 0)) ** 2, 0);
  return (SKETCH_UNIT * Math.sqrt(sum / Math.max(1, ours.length))) / rms;
}

/** What the client asked of this hop; undefined when it is not proven that it did. */
export function openOf(
  { peer, hop, receipt, request: bytes }: Pick<Judged, 'peer' | 'hop' | 'receipt'> & { readonly request: Uint8Array },
  { verify }: Pick<JudgeDeps, 'verify'>,
): OpenBody | undefined {
  const expected = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, to: peer };
  const request = readTakenRequest(bytes, expected, verify);
  const open = request.ok ? decodeOpen(request.value.body) : request;
  if (!request.ok || !open.ok) return undefined;
  const { salt, manifest, codec, route } = open.value;
  const place = route[hop];
  const fits =
    sessionIdOf(request.value.from, salt) === receipt.session &&
    open.value.hop === hop &&
    manifest === receipt.manifest &&
    codec === receipt.codec &&
    place?.from === receipt.from &&
    place.to === receipt.to;
  return fits ? open.value : undefined;
}
