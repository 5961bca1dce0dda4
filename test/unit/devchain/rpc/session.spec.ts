import assert from 'node:assert/strict';
import { createSession, type Rpc } from '../../../../src/devchain/rpc/session.ts';
import { createStall, type Stall } from '../../../../src/devchain/rpc/stall.ts';
import { silentLog } from '../../../../src/util/log.ts';

interface Bench {
  readonly sent: unknown[];
  readonly live: () => number;
  news(value: unknown): void;
  ask(message: unknown): Promise<void>;
  close(): void;
}

function createBench(options: { readonly stall?: Stall; readonly http?: boolean } = {}): Bench {
  const listeners = new Set<(value: unknown) => void>();
  const news = (value: unknown) => {
    for (const listener of listeners) listener(value);
  };
  const rpc: Rpc = {
    methods: {
      echo: ([value]) => value,
      nothing: () => undefined,
      later: async ([value]) => value,
      news: ([value]) => news(value),
      fails: () => {
        throw new Error('a bug');
      },
    },
    subscriptions: {
      subscribe: {
        notice: 'notice',
        unsubscribe: 'unsubscribe',
        open: (_params, notify) => {
          notify('first');
          listeners.add(notify);
          return () => listeners.delete(notify);
        },
      },
    },
    stall: options.stall ?? createStall(() => 0),
  };
  const sent: unknown[] = [];
  const send = (text: string) => void sent.push(JSON.parse(text));
  const session = createSession(rpc, options.http === true ? undefined : send, { log: silentLog });
  return {
    sent,
    live: () => listeners.size,
    news,
    ask: (message) => session.handle(typeof message === 'string' ? message : JSON.stringify(message), send),
    close: session.close,
  };
}

const answer = (id: unknown, result: unknown) => ({ jsonrpc: '2.0', id, result });
const notice = (subscription: string, result: unknown) => ({
  jsonrpc: '2.0',
  method: 'notice',
  params: { subscription, result },
});

describe('devchain/rpc/session', () => {
  it('answers requests, null where there is nothing to say, nothing to notifications', async () => {
    const bench = createBench();
    await bench.ask({ id: 1, method: 'echo', params: ['x'] });
    await bench.ask({ id: null, method: 'nothing' });
    await bench.ask({ id: 's', method: 'later', params: [[1]] });
    await bench.ask({ method: 'echo', params: ['x'] });
    assert.deepEqual(bench.sent, [answer(1, 'x'), answer(null, null), answer('s', [1])]);
  });

  it('sends the id first, then what was notified meanwhile, then news', async () => {
    const bench = createBench();
    await bench.ask([
      { id: 1, method: 'subscribe' },
      { id: 2, method: 'news', params: ['second'] },
    ]);
    bench.news('third');
    assert.deepEqual(bench.sent, [
      [answer(1, 's1'), answer(2, null)],
      notice('s1', 'first'),
      notice('s1', 'second'),
      notice('s1', 'third'),
    ]);
  });

  it('stops at unsubscribing and at the end of the connection', async () => {
    const bench = createBench();
    await bench.ask({ id: 1, method: 'subscribe' });
    await bench.ask({ id: 2, method: 'subscribe' });
    await bench.ask({ id: 3, method: 'unsubscribe', params: ['s1'] });
    assert.equal(bench.live(), 1);
    bench.close();
    assert.equal(bench.live(), 0);
    await bench.ask({ id: 4, method: 'subscribe' });
    assert.equal(bench.live(), 0);
  });

  it('tells an internal error, and that HTTP cannot subscribe', async () => {
    const bench = createBench({ http: true });
    await bench.ask({ id: 1, method: 'fails' });
    await bench.ask({ id: 2, method: 'subscribe' });
    assert.deepEqual(
      bench.sent.map((message) => (message as { error: { code: number } }).error.code),
      [-32603, -32601],
    );
    assert.equal(bench.live(), 0);
  });

  it('bounds batches', async () => {
    const bench = createBench();
    await bench.ask(Array.from({ length: 1001 }, (_, id) => ({ id, method: 'echo' })));
    assert.equal((bench.sent[0] as { error: { code: number } }).error.code, -32600);
  });
});
