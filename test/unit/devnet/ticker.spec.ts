import assert from 'node:assert/strict';
import { createTicker } from '../../../src/devnet/ticker.ts';

/** A ticker without an interval whose author tells each block and stops after `last`. */
function tickerOf(live: number[], last: number) {
  const authored: number[] = [];
  const wakers = new Map<number, () => void>();
  const ending = new AbortController();
  const ticker = createTicker(
    { blockMs: 1 },
    {
      author: async () => {
        const block = authored.push(authored.length + 1);
        wakers.get(block)?.();
        if (block === last) ending.abort();
        return block;
      },
      liveNodes: () => live,
    },
  );
  const authoredBlock = (block: number): Promise<void> =>
    authored.length >= block ? Promise.resolve() : new Promise((resolve) => wakers.set(block, resolve));
  return { ticker, authored, authoredBlock, signal: ending.signal };
}

describe('devnet: the clock', () => {
  it('makes no block before every live node has reported the last', async () => {
    const { ticker, authored, authoredBlock, signal } = tickerOf([1, 2], 3);
    const running = ticker.run(signal);
    await authoredBlock(1);
    ticker.report(1, 1);
    await new Promise(setImmediate);
    assert.deepEqual(authored, [1]);
    ticker.report(2, 1);
    await authoredBlock(2);
    ticker.report(2, 2);
    ticker.report(1, 2);
    await running;
    assert.deepEqual(authored, [1, 2, 3]);
  });

  it('does not wait for a node that is gone', async () => {
    const live = [1, 2];
    const { ticker, authoredBlock, signal } = tickerOf(live, 2);
    const running = ticker.run(signal);
    await authoredBlock(1);
    ticker.report(1, 1);
    live.pop();
    ticker.wake();
    await running;
  });

  it('a late report of an old block does not undo a newer one', async () => {
    const { ticker, signal } = tickerOf([1], 2);
    ticker.report(1, 1);
    ticker.report(1, 0);
    await ticker.run(signal);
  });
});
