// Stateless models over a network of hops (protocol.md 12, RUN): the result is that of one engine with all shards, whatever hop fails meanwhile.

import assert from 'node:assert/strict';
import { EngineError, type Rows } from '../../../src/engine/types.ts';
import type { ShardIndex } from '../../../src/types/ids.ts';
import type { NamedTensor } from '../../../src/types/tensor.ts';
import { type FakeEngine, FUNCTION_INPUTS, type Net, type NetOptions, startNet } from './net.ts';

const SHARDS = FUNCTION_INPUTS.length;

function inputOf(seed: number, batch = 2, length = 3): NamedTensor[] {
  const values = (count: number, step: number) => Array.from({ length: count }, (_, i) => ((i + seed) * step) % 17);
  return [
    { name: 'x.0', dims: [batch, length, 2], data: Float32Array.from(values(batch * length * 2, 5)) },
    { name: 'weight', dims: [batch, length], data: Int32Array.from(values(batch * length, 3)) },
  ];
}

/** Independently: x -> 2 x + (k + 1) w, shard after shard. */
function expectedOf([x, weight]: readonly NamedTensor[]): number[] {
  return numbers(x).map((value, i) => {
    let out = value;
    for (let k = 0; k < SHARDS; k += 1) out = 2 * out + (k + 1) * Number(weight?.data[Math.floor(i / 2)]);
    return out;
  });
}

function numbers(tensor: NamedTensor | undefined): number[] {
  return Array.from<number | bigint, number>(tensor?.data ?? [], Number);
}

function callOf(tensors: readonly NamedTensor[]) {
  const size = tensors[0]?.data.length;
  return {
    tensors,
    fits: (outputs: readonly NamedTensor[]) => outputs[0]?.name === `x.${SHARDS}` && outputs[0].data.length === size,
  };
}

describe('client: stateless models', () => {
  let net: Net;
  const start = async (options: NetOptions = {}) => {
    net = await startNet({ stateless: true, ...options });
  };
  afterEach(() => net.close());

  const run = async (seeds: readonly number[], signal = new AbortController().signal) => {
    const going = net.client.run(
      seeds.map((seed) => callOf(inputOf(seed))),
      signal,
    );
    const results: number[][] = [];
    for await (const [output] of going) results.push(numbers(output));
    return { results, route: going.route, failovers: going.failovers };
  };
  /** Blocks go by while a client looks for another route. */
  const failed = async (promise: Promise<unknown>): Promise<unknown> => {
    let error: unknown;
    const ended = promise.then(
      () => assert.fail('it was answered'),
      (reason: unknown) => {
        error = reason;
      },
    );
    for (let block = 101; error === undefined && block < 160; block += 1) await net.runTo(block);
    await ended;
    return error;
  };
  const assertFreed = async () => {
    await net.settle();
    for (const { hoster } of net.hosters) assert.equal(hoster.stats().sessions, 0);
  };

  it('gives what one engine gives, over several hops, batch after batch', async () => {
    await start({ shardsOf: (i) => [i] });
    const { results, route, failovers } = await run([1, 2, 3]);
    assert.deepEqual(
      results,
      [1, 2, 3].map((seed) => expectedOf(inputOf(seed))),
    );
    assert.deepEqual(
      route.map(({ from, to }) => [from, to]),
      [
        [0, 1],
        [1, 2],
        [2, 3],
        [3, 4],
      ],
    );
    assert.equal(failovers, 0);
    await assertFreed();
  });

  it('goes round a hop that fails, and says the same', async () => {
    await start();
    const broken = net.hosters[1]?.engine as FakeEngine;
    let runs = 0;
    for (const { engine } of net.hosters)
      engine.beforeStep = () => {
        runs += 1;
        if (engine === broken || runs === 3) throw new Error('it fails');
      };
    const { results, failovers } = await run([4, 5, 6]);
    assert.deepEqual(
      results,
      [4, 5, 6].map((seed) => expectedOf(inputOf(seed))),
    );
    assert.ok(failovers > 0);
    await assertFreed();
  });

  it('refusals of the engine are told by code', async () => {
    await start();
    for (const { engine } of net.hosters)
      engine.refusal = new EngineError({ code: 'E_SHAPE', expected: 'other dims', found: 'these' }, 'odd');
    assert.match(String(await failed(run([1]))), /BAD_FRAME/);
    await assertFreed();
  });

  it('an abort ends it at every hop', async () => {
    await start({ shardsOf: (i) => [i] });
    const stop = new AbortController();
    const last = net.hosters[3]?.engine as FakeEngine;
    const reached = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    last.beforeStep = () => {
      reached.resolve();
      return held.promise;
    };
    const running = run([1], stop.signal);
    await reached.promise;
    stop.abort(new Error('enough'));
    await assert.rejects(running, /enough/);
    held.resolve();
    await assertFreed();
  });

  it('the open challenge is not run for others, whichever sequence of a batch it is', async () => {
    const rows = 5;
    const data = Float32Array.from({ length: rows * 2 }, (_, i) => Math.sin(i + 1));
    const challenge: Rows = { kind: 'hidden', data, count: rows };
    await start({ openChallenge: (shard: ShardIndex) => (shard === 0 ? challenge : undefined) });
    const [x, weight] = inputOf(1, 3, rows);
    assert.ok(x !== undefined && weight !== undefined);
    x.data.set(data as never, rows * 2);
    const going = net.client.run([callOf([x, weight])], new AbortController().signal);
    assert.match(String(await failed(going[Symbol.asyncIterator]().next())), /CHALLENGE_INPUT/);
    assert.deepEqual((await run([2])).results, [expectedOf(inputOf(2))]);
  });

  it('a model that writes text takes no tensors, and a stateless one no prompts', async () => {
    await start({ stateless: false });
    assert.match(String(await failed(run([1]))), /BAD_FRAME/);
    await net.close();
    await start();
    const wanted = { maxTokens: 2, temperature: 0, topK: 0, topP: 1, seed: 0n, stopIds: [] };
    const tokens = net.client.generate([1, 2], wanted, new AbortController().signal);
    assert.match(String(await failed(tokens[Symbol.asyncIterator]().next())), /BAD_FRAME/);
    await assertFreed();
  });
});
