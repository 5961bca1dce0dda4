// A gateway to one subnet: its parts are handed over by who constructs them.

import type { Chain, Subnet } from '../chain/types.ts';
import type { Client } from '../client/client.ts';
import type { Directory } from '../client/directory.ts';
import { embedTexts } from '../client/embed.ts';
import { embeddingSize } from '../graph/encoder-weights.ts';
import { openEncoderTokenizer } from '../model/encoder-tokenizer.ts';
import { encoderManifest, encoderOf } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import type { Overlay } from '../p2p/types.ts';
import { errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { Verify } from '../wire/envelope.ts';
import { registerApi } from './api.ts';
import type { Backend, EmbeddingBackend } from './backend.ts';
import { openKeyRing } from './keys.ts';
import { registerPage } from './page.ts';
import { createGateway, type Gateway, type GatewayOptions } from './server.ts';
import { createWatch } from './watch.ts';

export interface NetworkGatewayDeps {
  readonly chain: Chain;
  readonly subnet: Subnet;
  readonly model: Model;
  readonly network: {
    readonly client: Client;
    readonly directory: Directory;
    readonly overlay: Overlay;
    readonly shardCount: number;
  };
  readonly verify: Verify;
  readonly log: Log;
}

/** Serves until the signal aborts or it is closed. @throws GatewayError */
export async function createNetworkGateway(
  options: GatewayOptions & { /** Where the API keys lie. */ readonly keysFile: string },
  { chain, subnet, model, network, verify, log }: NetworkGatewayDeps,
  signal: AbortSignal,
): Promise<Gateway> {
  const { genesis, epochLength } = await chain.info(signal);
  const { name, shape } = model.manifest;
  const now = (): number => performance.now();
  const watch = createWatch(
    {
      subnet,
      genesis,
      epochLength,
      shardCount: network.shardCount,
      model: { name, hash: model.hash, maxContext: shape.maxContext },
    },
    { chain, overlay: network.overlay, directory: network.directory, verify, now, log: log.child('watch') },
  );
  const gateway = await createGateway(options, {
    backend: await openBackend(model, network.client, watch.capacity),
    keys: openKeyRing(options.keysFile),
    vitals: watch.vitals,
    now,
    nowS: () => Math.floor(Date.now() / 1000),
    register: (app, closing) => {
      registerApi(app, watch, closing);
      registerPage(app);
    },
    log: log.child('gateway'),
  });
  const ending = new AbortController();
  const watching = watch.run(AbortSignal.any([signal, ending.signal])).catch((error: unknown) => {
    log.error('watching ended', { error: errorMessage(error) });
  });
  return {
    url: gateway.url,
    get open() {
      return gateway.open;
    },
    drain: gateway.drain,
    async close() {
      ending.abort();
      await gateway.close();
      await watching;
    },
  };
}

async function openBackend(model: Model, client: Client, capacity: () => number): Promise<Backend | EmbeddingBackend> {
  const { manifest, hash } = model;
  const { maxContext, vocab } = manifest.shape;
  const facts = { model: { id: manifest.name, hash, maxContext, vocab }, capacity };
  if (manifest.arch === 'llama') return { ...facts, tokenizer: await openTokenizer(model), generate: client.generate };
  const encoder = encoderManifest(manifest);
  const { encodeWhole } = await openEncoderTokenizer(model);
  return {
    ...facts,
    embedder: {
      size: embeddingSize(encoderOf(encoder)),
      encode: encodeWhole,
      embed: async (texts, signal) => (await embedTexts(client, encoder, texts, signal)).vectors,
    },
  };
}
