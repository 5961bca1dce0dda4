// What the gateway needs of a network, or of anything else that answers prompts.

import type { FinishReason, GeneratedToken, GenerateOptions } from '../client/generation.ts';
import type { ModelTokenizer } from '../model/tokenizer.ts';
import type { RoutedHop } from '../routing/route.ts';

/** A generation under way; a local one has no route. */
export interface BackendGeneration extends AsyncIterable<GeneratedToken> {
  readonly finish: FinishReason | undefined;
  readonly route?: readonly RoutedHop[];
  readonly failovers?: number;
}

export interface Backend {
  readonly model: {
    /** As requests name it. */
    readonly id: string;
    /** Of the manifest, hex. */
    readonly hash: string;
    /** Positions: prompt and answer together. */
    readonly maxContext: number;
    readonly vocab: number;
  };
  readonly tokenizer: ModelTokenizer;
  /** Generations that it takes from us at once. */
  readonly capacity: () => number;
  /** As client/client.ts: throws ClientError. */
  generate(prompt: readonly number[], options: GenerateOptions, signal: AbortSignal): BackendGeneration;
}
