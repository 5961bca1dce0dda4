import assert from 'node:assert/strict';
import { followEvents, MAX_LOOK_BACK } from '../../../src/chain/block-events.ts';
import { stateDiscarded, unreachable } from '../../../src/chain/errors.ts';
import { createHeadFeed } from '../../../src/chain/heads.ts';
import type { ChainEvent } from '../../../src/chain/types.ts';
import type { BlockNumber, Hash, SubnetId } from '../../../src/types/ids.ts';

const SUBNET = 7 as SubnetId;
const hashOf = (number: number): Hash => `0x${number}` as Hash;

describe('events of a subnet', () => {
  let feed: ReturnType<typeof createHeadFeed>;
  let stop: AbortController;
  let asked: number[];
  /** Thrown by the next read of events. */
  let fault: Error | undefined;
  /** What the endpoint has under a number, if not the block of that number. */
  let others: Map<number, Hash | undefined>;

  beforeEach(() => {
    feed = createHeadFeed();
    stop = new AbortController();
    asked = [];
    fault = undefined;
    others = new Map();
  });
  afterEach(() => {
    stop.abort();
    feed.close();
  });

  function event(subnetId: number, name: string): ChainEvent {
    return { pallet: 'network', name, data: { subnetId } };
  }

  function follow(after?: number) {
    const chain = {
      heads: (_kind: unknown, signal: AbortSignal) => feed.stream(signal),
      blockHash: async (number: BlockNumber) => (others.has(number) ? others.get(number) : hashOf(number)),
      async events(hash: Hash) {
        const error = fault;
        fault = undefined;
        if (error !== undefined) throw error;
        const number = Number(hash.slice(2));
        asked.push(number);
        return [event(SUBNET, `block ${number}`), event(8, 'of another subnet')];
      },
    };
    return followEvents(chain, SUBNET, after as BlockNumber | undefined, stop.signal)[Symbol.asyncIterator]();
  }

  const finalize = (number: number) => feed.publish({ number: number as BlockNumber, hash: hashOf(number) });
  const told = (number: number) => ({
    done: false,
    value: { block: { number, hash: hashOf(number) }, events: [event(SUBNET, `block ${number}`)] },
  });

  it('begin behind what is final, or behind a block, and are those of that subnet', async () => {
    finalize(10);
    const fresh = follow();
    const older = follow(7);
    for (const number of [8, 9, 10]) assert.deepEqual(await older.next(), told(number));
    const next = fresh.next();
    finalize(11);
    assert.deepEqual(await next, told(11));
    assert.deepEqual(await older.next(), told(11));
  });

  it('are read one by one where heads skip blocks', async () => {
    finalize(10);
    const events = follow(10);
    finalize(14);
    for (const number of [11, 12, 13, 14]) assert.deepEqual(await events.next(), told(number));
    assert.deepEqual(asked, [11, 12, 13, 14]);
  });

  it('wait for an endpoint, and are told once', async () => {
    finalize(12);
    const events = follow(10);
    assert.deepEqual(await events.next(), told(11));
    fault = unreachable(['ws://gone']);
    const next = events.next();
    await new Promise((resolve) => setImmediate(resolve));
    finalize(13);
    assert.deepEqual(await next, told(12));
    assert.deepEqual(await events.next(), told(13));
    assert.deepEqual(asked, [11, 12, 13]);
  });

  it('are not taken from an endpoint that has another chain behind the head, or is not so far yet', async () => {
    for (const [number, hash] of [
      [13, hashOf(99)],
      [12, undefined],
    ] as const) {
      others = new Map([[number, hash]]);
      asked = [];
      finalize(13);
      const events = follow(11);
      const next = events.next();
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(asked, []);
      others = new Map();
      finalize(14);
      assert.deepEqual(await next, told(12));
    }
  });

  it('look back no further than they may, and say what is missed', async () => {
    finalize(MAX_LOOK_BACK + 5);
    assert.deepEqual(await follow(5).next(), told(6));
    const missed = { code: 'CHAIN_EVENTS_MISSED', from: 5, to: MAX_LOOK_BACK + 5, most: MAX_LOOK_BACK };
    await assert.rejects(follow(4).next(), { facts: missed });
    fault = stateDiscarded(hashOf(9));
    const gone = { ...missed, from: 9 };
    await assert.rejects(follow(8).next(), { facts: gone });
  });

  it('end with the signal, and tell other failures', async () => {
    finalize(10);
    fault = new Error('broken');
    await assert.rejects(follow(9).next(), /broken/);
    const waiting = follow().next();
    stop.abort();
    assert.deepEqual(await waiting, { done: true, value: undefined });
  });
});
