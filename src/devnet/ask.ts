// The prompt of a development network, asked the way any client asks: over the overlay, with a client key of its own.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Chain, Subnet } from '../chain/types.ts';
import type { Model } from '../model/open.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import { collectAnswer, generateOptions } from '../node/answer.ts';
import { createNetworkClient } from '../node/network-client.ts';
import { createIdentityFile, openIdentity } from '../p2p/identity.ts';
import type { Log } from '../util/log.ts';

export interface GeneratedText {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: readonly number[];
  readonly route: readonly { readonly node: number; readonly peer: string; readonly shards: readonly number[] }[];
  readonly tokensPerSecond: number;
}

/** Greedy, so that the same prompt gives the same words as one process with all shards. */
export async function ask(
  options: { readonly prompt: string; readonly maxTokens: number; readonly dataDir: string },
  subnet: Subnet,
  { chain, model, log }: { readonly chain: Chain; readonly model: Model; readonly log: Log },
  signal: AbortSignal,
): Promise<GeneratedText> {
  const file = join(options.dataDir, 'keys', 'client_peer_id');
  const identity = existsSync(file) ? openIdentity(file) : createIdentityFile(file);
  const tokenizer = await openTokenizer(model);
  const network = await createNetworkClient(
    { initialPeers: [] },
    { chain, subnet, model, identity, log: log.child('client') },
    signal,
  );
  try {
    const chosen = generateOptions(
      { maxTokens: options.maxTokens, temperature: 0, topK: 64, topP: 1, seed: 0 },
      tokenizer,
    );
    const started = performance.now();
    const generation = network.client.generate(tokenizer.encodePrompt(options.prompt), chosen, signal);
    const { text, tokens } = await collectAnswer(generation, { tokenizer, stop: [] }, () => undefined);
    const tokensPerSecond = Math.round((10_000 * tokens.length) / (performance.now() - started)) / 10;
    const route = generation.route.map(({ node, peer, from, to }) => ({
      node,
      peer,
      shards: Array.from({ length: to - from }, (_, i) => from + i),
    }));
    return { prompt: options.prompt, text, tokens, route, tokensPerSecond };
  } finally {
    await network.close();
  }
}
