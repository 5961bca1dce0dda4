import assert from 'node:assert/strict';
import { createHeadFeed, type HeadFeed } from '../../../src/chain/heads.ts';
import type { Head } from '../../../src/chain/types.ts';
import type { BlockNumber, Hash } from '../../../src/types/ids.ts';

function head(number: number): Head {
  return { number: number as BlockNumber, hash: `0x${number.toString(16).padStart(64, '0')}` as Hash };
}

function publish(feed: HeadFeed, from: number, to: number): void {
  for (let number = from; number <= to; number++) feed.publish(head(number));
}

describe('heads', () => {
  it('tells the last head first, then newer ones, to every reader', async () => {
    const feed = createHeadFeed();
    publish(feed, 1, 2);
    const readers = [1, 2].map(() => feed.stream(new AbortController().signal)[Symbol.asyncIterator]());
    for (const reader of readers) assert.equal((await reader.next()).value.number, 2);
    const next = readers.map((reader) => reader.next());
    feed.publish(head(3));
    for (const told of next) assert.equal((await told).value.number, 3);
  });

  it('drops the oldest for a slow reader, never the newest', async () => {
    const feed = createHeadFeed();
    const stop = new AbortController();
    publish(feed, 1, 1);
    const seen: number[] = [];
    for await (const { number } of feed.stream(stop.signal)) {
      if (seen.length === 0) publish(feed, 2, 1000);
      seen.push(number);
      if (number === 1000) stop.abort();
    }
    assert.deepEqual([seen[0], seen.length, seen.at(-1)], [1, 65, 1000]);
  });

  it('ends with the signal, also while it waits', async () => {
    const feed = createHeadFeed();
    const stop = new AbortController();
    const next = feed.stream(stop.signal)[Symbol.asyncIterator]().next();
    stop.abort();
    assert.equal((await next).done, true);
  });

  it('waits for a head that passes, and throws why the wait was ended', async () => {
    const feed = createHeadFeed();
    publish(feed, 5, 5);
    const never = new AbortController();
    assert.equal((await feed.until(({ number }) => number >= 5, never.signal))?.number, 5);
    const waiting = feed.until(({ number }) => number >= 9, never.signal);
    const why = new Error('why');
    never.abort(why);
    await assert.rejects(waiting, why);
    const closed = feed.until(({ number }) => number >= 9, new AbortController().signal);
    feed.close();
    assert.equal(await closed, undefined);
  });
});
