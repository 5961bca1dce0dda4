// Measures what a manifest says about its boundaries, by running the model on real text (protocol.md 5). Used when a model is written.

import { cutShards } from '../model/manifest.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { Manifest } from '../types/model.ts';
import type { Engine, Rows } from './types.ts';

/** The RMS of each shard's output on the tokens `ids`, in the order of the cut: hidden rows, and the probe columns of the last one. */
export async function measureBoundaries(
  engine: Engine,
  manifest: Manifest,
  cut: string,
  ids: readonly number[],
): Promise<number[]> {
  const shards = cutShards(manifest, cut);
  const order = shards.map((_, index) => index as ShardIndex);
  await engine.load(order);
  const measured: number[] = [];
  let input: () => Rows = () => ({ kind: 'tokens', ids: Int32Array.from(ids) });
  for (const index of order) {
    const output = await engine.challenge(index, input());
    measured.push(rms(output));
    input = () => ({ kind: 'hidden', data: output.slice(), count: ids.length });
  }
  return measured;
}

function rms(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}
