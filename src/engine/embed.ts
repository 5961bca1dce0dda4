// Vectors of texts on one engine that holds all shards of an encoder.

import { batchTexts, vectorsOf } from '../model/encoder-batch.ts';
import { openEncoderTokenizer } from '../model/encoder-tokenizer.ts';
import { cutShards, encoderManifest } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { Engine } from './types.ts';

/** Loads what is not loaded yet. Throws ModelError for a model that gives no embeddings, and what the engine throws. */
export async function embedLocal(
  engine: Pick<Engine, 'load' | 'run'>,
  { model, cut }: { readonly model: Model; readonly cut: string },
  texts: readonly string[],
  signal?: AbortSignal,
): Promise<Float32Array[]> {
  const manifest = encoderManifest(model.manifest);
  const { encode } = await openEncoderTokenizer(model);
  const shards = cutShards(manifest, cut);
  await engine.load(
    shards.map((_, index) => index as ShardIndex),
    signal,
  );
  const range = { from: 0 as ShardIndex, to: shards.length as ShardIndex };
  const found: Float32Array[] = [];
  for (const { places, tensors } of batchTexts(manifest, texts.map(encode))) {
    const vectors = vectorsOf(await engine.run(range, tensors, { owner: 'local' }, signal), places.length);
    for (const [i, place] of places.entries()) found[place] = vectors[i] ?? new Float32Array();
  }
  return found;
}
