import { strict as assert } from 'node:assert';
import { setImmediate } from 'node:timers/promises';
import type { MessageStream } from '@libp2p/interface';
import { yamux } from '@libp2p/yamux';
import { sturdyMuxer } from '../../../src/p2p/sturdy-muxer.ts';

/** A connection that the other end has closed a moment ago: nobody has been told yet. */
class Ended extends EventTarget {
  readonly direction = 'outbound';
  readonly status = 'open';
  readonly log = Object.assign(() => undefined, { trace() {}, error() {}, newScope: () => this.log });
  readonly failure: Error;
  aborted: Error | undefined;
  constructor(failure: Error) {
    super();
    this.failure = failure;
  }
  send(): boolean {
    throw this.failure;
  }
  abort(error: Error): void {
    this.aborted = error;
  }
}

function named(name: string): Error {
  return Object.assign(new Error('Cannot write to a stream that is closed'), { name });
}

describe('p2p/sturdy-muxer', () => {
  const open = (ended: Ended) => sturdyMuxer(yamux())({} as never).createStreamMuxer(ended as unknown as MessageStream);

  it('a connection that ends while a stream is opened is given up, and the process lives', async () => {
    const ended = new Ended(named('StreamStateError'));
    await open(ended).createStream();
    await setImmediate();
    assert.equal(ended.aborted, ended.failure);
  });

  it('other errors are told to whoever writes', () => {
    const ended = new Ended(named('TypeError'));
    open(ended);
    assert.throws(() => ended.send(), ended.failure);
    assert.equal(ended.aborted, undefined);
  });
});
