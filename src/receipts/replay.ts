// Computes a segment of somebody's session once more (protocol.md 13): the rows that came in through the same shards in one prefill. What
// comes out is compared with a receipt, and where it differs border by border with what the other says it computed.

import { chainNext, chainStart, isSketchedDraw } from '../consensus/receipt.ts';
import type { Engine, KvSession, Rows, TopLogits } from '../engine/types.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { ManifestHash, Port } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import type { Parsed } from '../wire/fields.ts';
import type { SessionId } from '../wire/infer.ts';
import { bytesToIds, bytesToRows, type RowCodec } from '../wire/tensor.ts';
import { type DrawnToken, joined, logProbs, type Run } from './transcript.ts';

export interface ReplayModel {
  readonly hash: ManifestHash;
  readonly width: number;
  readonly vocab: number;
  /** Shards of the cut. */
  readonly shardCount: number;
  /** Of a stateless model: what each shard of the cut takes. */
  readonly inputs?: readonly (readonly Port[])[];
}

/** Rows of positions [0, end) as they entered a run. */
export interface Source {
  readonly session: SessionId;
  readonly codec: RowCodec;
  readonly run: Run;
  readonly rows: Uint8Array;
  readonly end: number;
}

export interface Segment {
  readonly position: number;
  readonly count: number;
}

export type ReplayEngine = Pick<Engine, 'openSession' | 'run'>;

export const ID_BYTES = 4;
const VALUE_BYTES = { f16: 2, f32: 4 } as const;
/** Counts against the engine's cache as any client. */
const OWNER = 'audit';

/** Of one row as it enters a run. */
export function rowBytes({ from }: Run, codec: RowCodec, width: number): number {
  return from === 0 ? ID_BYTES : width * VALUE_BYTES[codec];
}

/** The chain over the rows, after each of them; undefined when the bytes are not `end` rows. */
export function chainOver(
  { session, codec, run, rows, end }: Source,
  model: ReplayModel,
): readonly Uint8Array[] | undefined {
  const width = rowBytes(run, codec, model.width);
  if (rows.length !== end * width) return undefined;
  const chain: Uint8Array[] = [];
  let link = chainStart({ session, manifest: model.hash, codec, ...run });
  for (let at = 0; at < end; at += 1) {
    link = chainNext(link, rows.subarray(at * width, (at + 1) * width));
    chain.push(link);
  }
  return chain;
}

/**
 * Hidden rows of the segment as the run gives them: (count, width) row-major. Throws what the engine throws.
 *
 * @throws RangeError for rows that are none; check them with `parseRows` first
 */
export async function replayHidden(
  source: Source,
  segment: Segment,
  model: ReplayModel,
  engine: ReplayEngine,
  signal: AbortSignal,
): Promise<Float32Array> {
  const rows = checkedRows(source, model);
  await using session = await open(source.run, source, engine);
  const result = await session.kv.step(0, rows, signal);
  if (result.kind !== 'hidden') throw new RangeError('the run ends the model: it gives no hidden rows');
  return result.data.slice(segment.position * model.width, (segment.position + segment.count) * model.width);
}

export interface ReplayedDraw extends DrawnToken {
  readonly top: TopLogits;
}

/** Of the tokens drawn in a segment of the last hop those that are sketched, with what they should have been drawn from. */
export async function replayDraws(
  source: Source,
  segment: Segment,
  drawn: readonly DrawnToken[],
  model: ReplayModel,
  engine: ReplayEngine,
  signal: AbortSignal,
): Promise<readonly ReplayedDraw[]> {
  const rows = checkedRows(source, model);
  const sketched = sketchedDraws(chainOver(source, model) ?? [], segment, drawn);
  await using session = await open(source.run, source, engine);
  const replayed: ReplayedDraw[] = [];
  for (const { position, id } of sketched) {
    const from = session.kv.length;
    const result = await session.kv.step(from, slice(rows, from, position, model.width), signal);
    if (result.kind !== 'top') throw new RangeError('the run does not end the model: it draws no tokens');
    replayed.push({ position, id, top: result.top });
  }
  return replayed;
}

/** What the sketch of a last hop's segment is made of. */
export function drawValues(draws: readonly ReplayedDraw[]): Float32Array {
  return joined(draws.map(({ top }) => logProbs(top)));
}

/** Outputs of the segment at each border inside the run, first border first: shard by shard, from the same rows. */
export async function replayBorders(
  source: Source,
  segment: Segment,
  model: ReplayModel,
  engine: ReplayEngine,
  signal: AbortSignal,
): Promise<readonly Float32Array[]> {
  const borders: Float32Array[] = [];
  let rows = checkedRows(source, model);
  for (let shard = source.run.from; shard < source.run.to - 1; shard = (shard + 1) as ShardIndex) {
    await using session = await open({ from: shard, to: (shard + 1) as ShardIndex }, source, engine);
    const result = await session.kv.step(0, rows, signal);
    if (result.kind !== 'hidden') throw new RangeError(`shard ${shard} ends the model inside a run`);
    borders.push(result.data.slice(segment.position * model.width, (segment.position + segment.count) * model.width));
    rows = { kind: 'hidden', data: result.data, count: source.end };
  }
  return borders;
}

/** First outputs of a stateless run at each border inside it, first border first: shard by shard, from the same tensors. */
export async function replayRunBorders(
  { from, to }: Run,
  tensors: readonly NamedTensor[],
  { inputs = [] }: ReplayModel,
  engine: ReplayEngine,
  signal: AbortSignal,
): Promise<readonly Float32Array[]> {
  const borders: Float32Array[] = [];
  const known = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  for (let shard = from; shard < to - 1; shard = (shard + 1) as ShardIndex) {
    const taken = (inputs[shard] ?? []).flatMap(({ name }) => known.get(name) ?? []);
    const own = taken.map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
    const outputs = await engine.run({ from: shard, to: (shard + 1) as ShardIndex }, own, { owner: OWNER }, signal);
    for (const tensor of outputs) known.set(tensor.name, tensor);
    const data = outputs[0]?.data;
    borders.push(data instanceof Float32Array ? data : new Float32Array(0));
  }
  return borders;
}

/** The rows as an engine takes them, or why they are none. */
export function parseRows({ run, codec, rows, end }: Source, { width, vocab }: ReplayModel): Parsed<Rows> {
  if (run.from === 0) {
    const ids = bytesToIds(rows, end, vocab);
    return ids.ok ? { ok: true, value: { kind: 'tokens', ids: ids.value } } : ids;
  }
  const hidden = bytesToRows(codec, rows, end, width);
  return hidden.ok ? { ok: true, value: { kind: 'hidden', data: hidden.value, count: end } } : hidden;
}

function checkedRows(source: Source, model: ReplayModel): Rows {
  const parsed = parseRows(source, model);
  if (!parsed.ok) throw new RangeError(parsed.why);
  return parsed.value;
}

function sketchedDraws(
  chain: readonly Uint8Array[],
  { position: from, count }: Segment,
  drawn: readonly DrawnToken[],
): readonly DrawnToken[] {
  return drawn.filter(({ position }) => {
    const link = chain[position - 1];
    return position > from && position <= from + count && link !== undefined && isSketchedDraw(link);
  });
}

/** Rows [from, to). */
function slice(rows: Rows, from: number, to: number, width: number): Rows {
  if (rows.kind === 'tokens') return { kind: 'tokens', ids: rows.ids.slice(from, to) };
  return { kind: 'hidden', data: rows.data.slice(from * width, to * width), count: to - from };
}

async function open(
  run: Run,
  { codec, end }: Source,
  engine: ReplayEngine,
): Promise<AsyncDisposable & { readonly kv: KvSession }> {
  const kv = await engine.openSession(run, { maxTokens: end, owner: OWNER, codec });
  return { kv, [Symbol.asyncDispose]: () => kv.release() };
}
