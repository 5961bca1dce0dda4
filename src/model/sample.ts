// Choosing the next token from the candidates of the last shard (protocol.md 12). Pure: the same candidates, seed and position give the same token
// on every machine, so a replacement hop or an audit draws what the first one drew.

import { u32le, u64le } from '../util/bytes.ts';
import { sha256, tag } from '../util/hash.ts';

/** Best candidates by descending logit, ties by ascending id; `logSumExp` is over the whole vocabulary. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly values: Float32Array;
  readonly logSumExp: number;
}

export interface Sampling {
  /** 0 takes the best candidate. */
  readonly temperature: number;
  /** Candidates looked at; 0 is all of them. */
  readonly topK: number;
  /** The smallest set of candidates with at least this share of their probability; 1 is all of them. */
  readonly topP: number;
  /** u64 */
  readonly seed: bigint;
}

export interface Sampled {
  readonly id: number;
  /** Natural logarithm of its probability at temperature 1 over the whole vocabulary. */
  readonly logprob: number;
}

export const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1, seed: 0n };

const SAMPLE_TAG = tag('tessera/sample/1');
/** Doubles hold 53 bits. */
const DRAW_BITS = 53n;

/** The token for `position` (the place it will have in the sequence). Needs at least one candidate. */
export function sampleToken(candidates: Candidates, sampling: Sampling, position: number): Sampled {
  const place = sampling.temperature > 0 ? draw(weights(candidates, sampling), uniform(sampling.seed, position)) : 0;
  const [id, value] = [candidates.ids[place], candidates.values[place]];
  if (id === undefined || value === undefined) throw new RangeError('sampling needs at least one candidate');
  return { id, logprob: value - candidates.logSumExp };
}

/** The likeliest `count` tokens, likeliest first; fewer where there are fewer candidates. */
export function likeliest({ ids, values, logSumExp }: Candidates, count: number): readonly Sampled[] {
  return Array.from(ids.subarray(0, count), (id, i) => ({ id, logprob: (values[i] ?? 0) - logSumExp }));
}

/** In [0, 1): the first 53 bits, most significant first, of SHA-256(tag || u64le seed || u32le position), over 2^53. */
export function uniform(seed: bigint, position: number): number {
  const hash = sha256(SAMPLE_TAG, u64le(seed), u32le(position));
  const first = new DataView(hash.buffer, hash.byteOffset).getBigUint64(0);
  return Number(first >> (64n - DRAW_BITS)) / Number(1n << DRAW_BITS);
}

/** Unnormalised probabilities of the candidates that temperature, then top-k, then top-p leave. */
function weights({ values }: Candidates, { temperature, topK, topP }: Sampling): number[] {
  const kept = values.subarray(0, topK > 0 ? topK : values.length);
  const best = kept[0] ?? 0;
  const scaled = Array.from(kept, (value) => Math.exp((value - best) / temperature));
  if (topP >= 1) return scaled;
  const sums = runningSums(scaled);
  const limit = topP * (sums.at(-1) ?? 0);
  return scaled.slice(0, sums.findIndex((sum) => sum >= limit) + 1);
}

/** The place where the running sum first exceeds the share `at` of the whole. */
function draw(list: readonly number[], at: number): number {
  const sums = runningSums(list);
  const limit = at * (sums.at(-1) ?? 0);
  const place = sums.findIndex((sum) => sum > limit);
  return place < 0 ? list.length - 1 : place;
}

function runningSums(list: readonly number[]): number[] {
  const sums: number[] = [];
  for (const value of list) sums.push((sums.at(-1) ?? 0) + value);
  return sums;
}

/** Noise of honest outputs: logits differ by less, and so do sums of probabilities. */
const SLACK = 0.02;

/** Whether the token may have been drawn for `position` from candidates that differ from these by honest noise alone. */
export function mayBeSampled(candidates: Candidates, sampling: Sampling, position: number, id: number): boolean {
  const own = candidates.values[candidates.ids.indexOf(id)];
  if (own === undefined) return false;
  if (sampling.temperature === 0) return (candidates.values[0] ?? own) - own <= SLACK;
  const list = weights(candidates, sampling);
  const at = uniform(sampling.seed, position);
  const [first, last] = [draw(list, at - SLACK), draw(list, at + SLACK)];
  // Noise may let equals change places, and let in or keep out one more at the end of the nucleus.
  const end = last === list.length - 1 ? last + 1 : last;
  return candidates.values.subarray(first, end + 1).some((value) => Math.abs(value - own) <= SLACK);
}
