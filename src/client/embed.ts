// Vectors of texts from the network: batches through an encoder's hops, in the order of the texts.

import { ENCODER_PORT } from '../graph/encoder.ts';
import { embeddingSize } from '../graph/encoder-weights.ts';
import { batchTexts, vectorsOf } from '../model/encoder-batch.ts';
import type { EncodedText } from '../model/encoder-tokenizer.ts';
import { encoderOf } from '../model/manifest.ts';
import type { RoutedHop } from '../routing/route.ts';
import type { EncoderManifest } from '../types/model.ts';
import type { NamedTensor } from '../types/tensor.ts';
import type { Client } from './client.ts';

export interface Embedded {
  readonly vectors: readonly Float32Array[];
  /** The hops that served the last batch. */
  readonly route: readonly RoutedHop[];
}

/** Throws what Client.run throws. */
export async function embedTexts(
  client: Pick<Client, 'run'>,
  manifest: EncoderManifest,
  texts: readonly EncodedText[],
  signal: AbortSignal,
): Promise<Embedded> {
  const size = embeddingSize(encoderOf(manifest));
  const batches = batchTexts(manifest, texts);
  const calls = batches.map(({ places, tensors }) => ({
    tensors,
    fits: (outputs: readonly NamedTensor[]) => isEmbedding(outputs, [places.length, size]),
  }));
  const run = client.run(calls, signal);
  const vectors: Float32Array[] = [];
  let done = 0;
  let route: readonly RoutedHop[] = [];
  for await (const outputs of run) {
    route = run.route;
    const { places } = batches[done] ?? { places: [] };
    done += 1;
    for (const [i, vector] of vectorsOf(outputs, places.length).entries()) vectors[places[i] ?? 0] = vector;
  }
  return { vectors, route };
}

function isEmbedding([only, ...others]: readonly NamedTensor[], dims: readonly number[]): boolean {
  return (
    others.length === 0 &&
    only?.name === ENCODER_PORT.embedding &&
    only.data instanceof Float32Array &&
    only.dims.join() === dims.join()
  );
}
