import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { Connection, Stream, StreamHandler } from '@libp2p/interface';
import { createFrameStream } from '../../../src/p2p/libp2p-frames.ts';
import type { OverlayNode } from '../../../src/p2p/libp2p-node.ts';
import { serveStreams } from '../../../src/p2p/libp2p-streams.ts';
import type { PeerId } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';

const ADMITTED = 1;
const REFUSED = 0;
const PEER = 'peer' as PeerId;

/** As much of a libp2p stream as is looked at; its `close` waits until all is written, as the real one does. */
class FakeStream extends EventTarget {
  status: 'open' | 'reset' | 'aborted';
  protocol = '/test/1';
  maxReadBufferLength = 0;
  readBufferLength = 0;
  readableEnded = false;
  readStatus = 'readable';
  remoteWriteStatus = 'writable';
  readonly sent: number[] = [];
  readonly #written = Promise.withResolvers<void>();

  constructor(status: 'open' | 'reset' = 'open') {
    super();
    this.status = status;
  }

  send(bytes: Uint8Array): void {
    if (this.status !== 'open') throw new Error('closed');
    this.sent.push(...bytes);
  }

  abort(): void {
    if (this.status !== 'open') return;
    this.status = 'aborted';
    this.#written.reject(new Error('closed while writing'));
    this.dispatchEvent(new Event('close'));
  }

  close(): Promise<void> {
    return this.#written.promise;
  }

  asStream(): Stream {
    return this as unknown as Stream;
  }
}

describe('streams of libp2p', () => {
  it('a stream that broke before its handler was found takes no place', async () => {
    let handle: StreamHandler | undefined;
    const node = {
      handle: async (_protocol: string, handler: StreamHandler) => {
        handle = handler;
      },
    } as unknown as OverlayNode;
    const connection = { remotePeer: { toString: () => PEER } } as unknown as Connection;
    const options = { maxFrameBytes: 100, admit: () => true, maxStreamsPerPeer: 1 };
    await serveStreams(node, '/test/1', options, () => new Promise(() => undefined), {
      note: () => undefined,
      log: silentLog,
    });
    for (let i = 0; i < 3; i += 1) handle?.(new FakeStream('reset').asStream(), connection);
    const [first, second] = [new FakeStream(), new FakeStream()];
    for (const stream of [first, second]) handle?.(stream.asStream(), connection);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([first.sent, second.sent], [[ADMITTED], [REFUSED]]);
    first.abort();
    second.abort();
  });

  it('closing ends although the other side never reads the rest', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const stream = new FakeStream();
      const frames = createFrameStream(stream.asStream(), PEER, 100, 'opener', () => undefined);
      let closed = false;
      const closing = frames.close().then(() => {
        closed = true;
      });
      mock.timers.tick(9_999);
      await Promise.resolve();
      assert.equal(closed, false);
      mock.timers.tick(1);
      await closing;
      assert.equal(stream.status, 'aborted');
      await assert.rejects(frames.frames()[Symbol.asyncIterator]().next(), { code: 'STREAM_RESET' });
    } finally {
      mock.timers.reset();
    }
  });
});
