// What rounding a model's weights costs: two engines read the same text, and their candidates for each next token are compared.

import { cutShards, textManifest } from '../model/manifest.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { Manifest } from '../types/model.ts';
import type { Engine, KvSession, TopLogits } from './types.ts';

export interface Loaded {
  readonly engine: Engine;
  readonly manifest: Manifest;
  readonly cut: string;
}

export interface QualityReport {
  /** Positions that were compared. */
  readonly positions: number;
  /** Share of positions at which both name the same likeliest token. */
  readonly sameBest: number;
  /** Mean KL divergence in nats over the first engine's candidates. */
  readonly divergence: number;
  /** Perplexity of the text for each; a token that is no candidate has its part of what the candidates leave. */
  readonly perplexity: { readonly before: number; readonly after: number };
}

/** Feeds `ids` token by token to both; every token but the first is judged. */
export async function compareQuality(before: Loaded, after: Loaded, ids: readonly number[]): Promise<QualityReport> {
  const [first, second] = [await openWhole(before, ids.length), await openWhole(after, ids.length)];
  const { vocab } = before.manifest.shape;
  const sums = { same: 0, divergence: 0, before: 0, after: 0 };
  const positions = ids.length - 1;
  try {
    for (const [at, id] of ids.slice(0, positions).entries()) {
      const [a, b] = await Promise.all([step(first, id), step(second, id)]);
      sums.same += a.ids[0] === b.ids[0] ? 1 : 0;
      sums.divergence += divergence(a, b);
      sums.before -= logProbability(a, ids[at + 1] ?? -1) ?? logRest(a, vocab);
      sums.after -= logProbability(b, ids[at + 1] ?? -1) ?? logRest(b, vocab);
    }
  } finally {
    await Promise.all([first.release(), second.release()]);
  }
  return {
    positions,
    sameBest: sums.same / positions,
    divergence: sums.divergence / positions,
    perplexity: { before: Math.exp(sums.before / positions), after: Math.exp(sums.after / positions) },
  };
}

/** The first three fifths of a story's sentences: what follows is given by them more than by chance. */
export function beginningOf(story: string): string {
  const sentences = story.split(/(?<=[.!?"]) /);
  return sentences.slice(0, Math.max(2, Math.floor((sentences.length * 3) / 5))).join(' ');
}

/** The likeliest token again and again: the first `count` of them, or fewer when one ends the text. */
export async function greedyTokens(loaded: Loaded, prompt: readonly number[], count: number): Promise<number[]> {
  const { eos } = textManifest(loaded.manifest).tokenizer;
  const session = await openWhole(loaded, prompt.length + count);
  const tokens: number[] = [];
  try {
    let [next] = (await feed(session, prompt)).ids;
    while (next !== undefined && tokens.push(next) < count && !eos.includes(next))
      [next] = (await feed(session, [next])).ids;
  } finally {
    await session.release();
  }
  return tokens;
}

async function openWhole({ engine, manifest, cut }: Loaded, maxTokens: number): Promise<KvSession> {
  const order = cutShards(manifest, cut).map((_, index) => index as ShardIndex);
  await engine.load(order);
  const range = { from: 0 as ShardIndex, to: order.length as ShardIndex };
  return engine.openSession(range, { maxTokens, owner: 'quality', codec: 'f32' });
}

function step(session: KvSession, id: number): Promise<TopLogits> {
  return feed(session, [id]);
}

async function feed(session: KvSession, ids: readonly number[]): Promise<TopLogits> {
  const result = await session.step(session.length, { kind: 'tokens', ids: Int32Array.from(ids) });
  if (result.kind !== 'top') throw new RangeError('the shards do not end the model');
  return result.top;
}

function logProbability({ ids, values, logSumExp }: TopLogits, id: number): number | undefined {
  const at = ids.indexOf(id);
  return at < 0 ? undefined : (values[at] ?? 0) - logSumExp;
}

/** Log probability of each token that is no candidate, if they share the rest evenly. */
function logRest({ values, logSumExp }: TopLogits, vocab: number): number {
  const rest = values.reduce((left, value) => left - Math.exp(value - logSumExp), 1);
  return Math.log(Math.max(SMALLEST_REST, rest) / Math.max(1, vocab - values.length));
}

/** Over `a`'s candidates and all the rest as one; a candidate that `b` has not is as likely as `b`'s last. */
function divergence(a: TopLogits, b: TopLogits): number {
  const last = (b.values.at(-1) ?? 0) - b.logSumExp;
  let sum = 0;
  let [restA, restB] = [1, 1];
  for (const [i, id] of a.ids.entries()) {
    const p = (a.values[i] ?? 0) - a.logSumExp;
    const q = logProbability(b, id) ?? last;
    sum += Math.exp(p) * (p - q);
    restA -= Math.exp(p);
    restB -= Math.exp(q);
  }
  if (restA > SMALLEST_REST && restB > SMALLEST_REST) sum += restA * Math.log(restA / restB);
  return Math.max(0, sum);
}

/** Below it the rest of the vocabulary is rounding. */
const SMALLEST_REST = 1e-6;

/** What rounding an encoder's weights costs: cosines between both vectors of a text. */
export interface EmbeddingReport {
  readonly texts: number;
  readonly cosine: { readonly mean: number; readonly least: number };
}

/** Compares the vectors that two encoders give the same texts. */
export function compareEmbeddings(before: readonly Float32Array[], after: readonly Float32Array[]): EmbeddingReport {
  const cosines = before.map((vector, i) => cosine(vector, after[i] ?? new Float32Array()));
  const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length;
  return { texts: before.length, cosine: { mean, least: Math.min(...cosines) } };
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
