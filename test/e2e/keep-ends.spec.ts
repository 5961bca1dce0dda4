// A client that keeps both ends of its routes: the same words, and no token leaves it (docs/clients.md).

import assert from 'node:assert/strict';
import type { GenerateOptions } from '../../src/client/generation.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { createNetworkClient, type NetworkClient } from '../../src/node/network-client.ts';
import { identityFromSeed } from '../../src/p2p/identity.ts';
import { createOverlay } from '../../src/p2p/libp2p.ts';
import type { FrameStream } from '../../src/p2p/types.ts';
import { concatBytes, utf8 } from '../../src/util/bytes.ts';
import { sha256 } from '../../src/util/hash.ts';
import { silentLog } from '../../src/util/log.ts';
import { decodeMessage, INFER_PROTOCOL } from '../../src/wire/infer.ts';
import { createLoopback, type Disguise, type Loopback } from '../support/loopback.ts';

const OPTIONS: GenerateOptions = { maxTokens: 12, temperature: 0.8, topK: 20, topP: 0.9, seed: 7n, stopIds: [] };

describe('a client that keeps both ends', function () {
  this.timeout(5 * 60_000);
  /** What hosters got and said on streams of inference: types of messages, of steps with their codec. */
  const seen: string[] = [];
  let net: Loopback;

  before(async () => {
    const disguises = Object.fromEntries([0, 1, 2].map((index) => [index, listening]));
    net = await createLoopback({ hosters: 3, attestors: 1, disguises });
    // Announces come with heads.
    await net.runTo(net.firstEpoch, 6);
  });
  after(() => net?.stop());

  function note(frame: Uint8Array): void {
    const message = decodeMessage(frame);
    if (message.ok) seen.push(message.value.type === 'STEP' ? `STEP ${message.value.codec}` : message.value.type);
  }

  function noting(stream: FrameStream): FrameStream {
    async function* frames(): AsyncGenerator<Uint8Array> {
      for await (const frame of stream.frames()) {
        note(frame);
        yield frame;
      }
    }
    return {
      ...stream,
      frames,
      send: (parts, signal) => {
        note(concatBytes(...parts));
        return stream.send(parts, signal);
      },
    };
  }

  const listening: Disguise = {
    parts: () => ({
      async createOverlay(...args) {
        const overlay = await createOverlay(...args);
        return {
          ...overlay,
          handleStream: (protocol, options, handler) =>
            overlay.handleStream(protocol, options, (stream) =>
              handler(protocol === INFER_PROTOCOL ? noting(stream) : stream),
            ),
        };
      },
    }),
  };

  function enter(keepEnds: boolean): Promise<NetworkClient> {
    const identity = identityFromSeed(sha256(utf8(`keeps ${keepEnds}`)));
    const initialPeers = net.nodes.flatMap(({ node }) => node.addresses);
    return createNetworkClient({ initialPeers, keepEnds }, { ...net, identity, log: silentLog }, signal());
  }

  function signal(): AbortSignal {
    return AbortSignal.timeout(5 * 60_000);
  }

  it('gets the words that it gets otherwise, and shows nobody a token', async () => {
    const tokenizer = await openTokenizer(net.model);
    const prompt = tokenizer.encodePrompt('Once upon a time');
    const plain = await enter(false);
    const expected = await Array.fromAsync(plain.client.generate(prompt, OPTIONS, signal()));
    await plain.close();
    assert.ok(seen.includes('STEP ids') && seen.includes('TOKENS'), 'without it, both are seen');

    seen.length = 0;
    const own = await enter(true);
    const generation = own.client.generate(prompt, OPTIONS, signal());
    assert.deepEqual(await Array.fromAsync(generation), expected);
    const { peer } = identityFromSeed(sha256(utf8('keeps true')));
    assert.deepEqual([generation.route[0]?.peer, generation.route.at(-1)?.peer], [peer, peer]);
    assert.ok(generation.route.length >= 3);
    await own.close();
    assert.deepEqual([...new Set(seen)].sort(), ['ACCEPT', 'CLOSE', 'OPEN', 'RECEIPT', 'STEP f16']);
  });

  it('serves nobody else', async () => {
    const own = await enter(true);
    const other = await enter(false);
    await other.overlay.connect(net.nodes[0]?.node.addresses[0] ?? '', signal());
    await assert.rejects(
      other.overlay.openStream(own.overlay.self, INFER_PROTOCOL, {
        maxFrameBytes: 1 << 16,
        signal: AbortSignal.timeout(3_000),
      }),
    );
    await Promise.all([own.close(), other.close()]);
  });
});
