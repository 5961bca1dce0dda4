// What the gateway needs of a network, or of anything else that answers prompts.

import type { FinishReason, GeneratedToken, GenerateOptions } from '../client/generation.ts';
import type { EncodedText } from '../model/encoder-tokenizer.ts';
import type { ModelTokenizer } from '../model/tokenizer.ts';
import type { RoutedHop } from '../routing/route.ts';

/** A generation under way; a local one has no route. */
export interface BackendGeneration extends AsyncIterable<GeneratedToken> {
  readonly finish: FinishReason | undefined;
  readonly route?: readonly RoutedHop[];
  readonly failovers?: number;
}

interface AnyBackend {
  readonly model: {
    /** As requests name it. */
    readonly id: string;
    /** Of the manifest, hex. */
    readonly hash: string;
    /** Positions: prompt and answer together. */
    readonly maxContext: number;
    readonly vocab: number;
  };
  /** Generations, or requests for embeddings, that it takes from us at once. */
  readonly capacity: () => number;
}

/** A model that writes text. */
export interface Backend extends AnyBackend {
  readonly tokenizer: ModelTokenizer;
  readonly embedder?: undefined;
  /** As client/client.ts: throws ClientError. */
  generate(prompt: readonly number[], options: GenerateOptions, signal: AbortSignal): BackendGeneration;
}

/** A model that gives vectors. */
export interface EmbeddingBackend extends AnyBackend {
  readonly embedder: {
    /** Values of a vector. */
    readonly size: number;
    /** With the model's marks, never cut. */
    encode(text: string): EncodedText;
    /** As client/client.ts: throws ClientError. */
    embed(texts: readonly EncodedText[], signal: AbortSignal): Promise<readonly Float32Array[]>;
  };
}
