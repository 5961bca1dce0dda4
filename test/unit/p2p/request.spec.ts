import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { createStreamPair } from '../../../src/p2p/memory-stream.ts';
import { serveRequest } from '../../../src/p2p/request.ts';
import type { FrameStream } from '../../../src/p2p/types.ts';
import type { PeerId } from '../../../src/types/ids.ts';

const LIMIT = 1 << 20;

function pair(): readonly [FrameStream, FrameStream] {
  const end = (peer: string) => ({ peer: peer as PeerId, maxFrameBytes: LIMIT, onTooLarge: () => undefined });
  return createStreamPair({
    protocol: '/test/1',
    ends: [end('server'), end('asker')],
    windowBytes: 1000,
    post: queueMicrotask,
    onGone: () => undefined,
  }).streams;
}

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
}

describe('serving a request', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
  afterEach(() => mock.timers.reset());

  it('ends with PEER_SILENT when nothing is asked', async () => {
    const [, far] = pair();
    const ended = assert.rejects(serveRequest(async (body) => body, LIMIT)(far), {
      facts: { code: 'PEER_SILENT', peer: 'asker' },
    });
    mock.timers.tick(10_000 + LIMIT / 256 + 1);
    await ended;
  });

  it('ends with PEER_STALLED when the answer is not read', async () => {
    const [near, far] = pair();
    const serving = serveRequest(async () => new Uint8Array(LIMIT), LIMIT)(far);
    const ended = assert.rejects(serving, { facts: { code: 'PEER_STALLED', peer: 'asker' } });
    await near.send([Uint8Array.of(1)]);
    await settle();
    mock.timers.tick(10_000 + LIMIT / 256 + 1);
    await ended;
  });

  it('gives the handler all the time it takes', async () => {
    const [near, far] = pair();
    const handled = Promise.withResolvers<Uint8Array>();
    const serving = serveRequest(() => handled.promise, LIMIT)(far);
    await near.send([Uint8Array.of(1)]);
    await settle();
    mock.timers.tick(3_600_000);
    handled.resolve(Uint8Array.of(2));
    await serving;
    const { value } = await near.frames()[Symbol.asyncIterator]().next();
    assert.deepEqual(value, Uint8Array.of(2));
  });
});
