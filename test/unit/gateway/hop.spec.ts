// The gateway over a network of hosters in one process: who hangs up frees the session at every hop.

import assert from 'node:assert/strict';
import type { Backend } from '../../../src/gateway/backend.ts';
import { MODEL, type Net, startNet } from '../client/net.ts';
import { type Served, scriptedBackend, serve } from './support.ts';

describe('gateway: over hops', () => {
  let net: Net;
  let served: Served;

  beforeEach(async () => {
    net = await startNet();
    const { tokenizer } = scriptedBackend(Array.from({ length: MODEL.vocab }, (_, i) => ` w${i}`));
    const backend: Backend = {
      model: { id: 'words', hash: MODEL.hash, maxContext: MODEL.maxContext, vocab: MODEL.vocab },
      tokenizer,
      capacity: () => 6,
      generate: net.client.generate,
    };
    served = await serve({ backend });
  });
  afterEach(async () => {
    await served.gateway.close();
    await net.close();
  });

  it('tells the route, and gives the same words for the same seed', async () => {
    const ask = async () => (await served.chat({ max_tokens: 5, seed: 7, temperature: 0.9 })).json();
    const first = (await ask()) as { choices: object[]; tessera: { route: { node: number; shards: number[] }[] } };
    const again = (await ask()) as typeof first;
    assert.deepEqual(first.choices, again.choices);
    assert.deepEqual(
      first.tessera.route.flatMap(({ shards }) => shards),
      [0, 1, 2, 3],
    );
  });

  it('hanging up reaches every hop', async () => {
    const started = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    for (const { engine } of net.hosters) {
      engine.beforeStep = (at) => {
        if (at < 4) return;
        started.resolve();
        return held.promise;
      };
    }
    const controller = new AbortController();
    const asking = fetch(`${served.gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'words', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
      signal: controller.signal,
    }).then((response) => response.text());
    await started.promise;
    const sessions = (): number => net.hosters.reduce((sum, { hoster }) => sum + hoster.stats().sessions, 0);
    assert.ok(sessions() >= 2);
    controller.abort();
    await assert.rejects(asking);
    held.resolve();
    for (let i = 0; i < 500 && sessions() > 0; i += 1) await net.settle();
    assert.equal(sessions(), 0);
    assert.ok(net.hosters.every(({ engine }) => engine.open.size === 0));
  });
});
