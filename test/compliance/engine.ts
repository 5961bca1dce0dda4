// What every engine must do (src/engine/types.ts), on a small random model. Numbers are compared with the slow truth.

import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type {
  BorderCodec,
  Engine,
  EngineErrorFacts,
  KvSession,
  Rows,
  StepResult,
  TopLogits,
} from '../../src/engine/types.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import type { ManifestShard } from '../../src/types/model.ts';
import { writeRandomModel } from '../support/random-model.ts';

export interface TestedOptions {
  readonly model: Model;
  readonly cut: string;
  readonly memoryBytes?: number;
}

/** What may differ between engines. */
export interface Arithmetic {
  /** Relative L2 that it may be off. */
  readonly tolerance: number;
  /** Whether who shares a batch changes no bit. */
  readonly exactInCompany: boolean;
  /** What a shard takes of the memory that it computes in. */
  memoryOf(shard: ManifestShard): ManifestShard['memory'];
}

/** f32 may be off by that much (engine.md 1.3: 5.7e-6 between machines). */
export const SINGLE: Arithmetic = { tolerance: 1e-5, exactInCompany: true, memoryOf: ({ memory }) => memory };

const SHARDS = 3;
const WIDTH = 32;
const VOCAB = 288;
const CONTEXT = 512;
/** Rows per native run: aborts take effect between them. */
const CHUNK = 128;

export function testEngine(
  name: string,
  create: (options: TestedOptions) => Promise<Engine>,
  { tolerance, exactInCompany, memoryOf }: Arithmetic = SINGLE,
): void {
  describe(`engine: ${name}`, () => {
    let folder: string;
    let model: Model;
    let engine: Engine;
    let truth: Engine;
    let sessions: KvSession[] = [];

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'tessera-engine-'));
      await writeRandomModel(folder, { blocks: 4, width: WIDTH, vocab: VOCAB, maxContext: CONTEXT, shards: SHARDS });
      model = await openModel(folder);
      engine = await create({ model, cut: DEFAULT_CUT });
      truth = createReferenceEngine({ model, cut: DEFAULT_CUT });
      await engine.load(range(0, SHARDS));
      await truth.load(range(0, SHARDS));
    });
    afterEach(async () => {
      await Promise.all(sessions.map((session) => session.release()));
      sessions = [];
      assert.equal(engine.stats().sessions, 0);
      assert.equal(engine.stats().kvBytes, 0);
    });
    after(async () => {
      await engine.close();
      await truth.close();
      await rm(folder, { recursive: true });
    });

    const open = async (options: Partial<Opening> = {}, on: Engine = engine): Promise<KvSession> => {
      const { from = 0, to = SHARDS, maxTokens = 200, codec = 'f32' } = options;
      const session = await on.openSession({ from: shard(from), to: shard(to) }, { maxTokens, owner: 'test', codec });
      sessions.push(session);
      return session;
    };
    const trueTop = async (calls: readonly (readonly number[])[], codec: BorderCodec = 'f32'): Promise<TopLogits[]> => {
      const session = await truth.openSession(
        { from: shard(0), to: shard(SHARDS) },
        { maxTokens: CONTEXT, owner: 'test', codec },
      );
      const tops = await feed(session, calls);
      await session.release();
      return tops;
    };

    /** What was computed in company, and alone. */
    const assertSame = (found: readonly (TopLogits | undefined)[], expected: readonly (TopLogits | undefined)[]) => {
      if (exactInCompany) assert.deepEqual(found, expected);
      else for (const [i, top] of expected.entries()) assertTop(found[i], top, tolerance);
      assert.equal(found.length, expected.length);
    };

    it('says what it is', () => {
      assert.ok(engine.info.why.length > 0);
      assert.ok(engine.info.threads >= 1);
      assert.deepEqual(engine.loaded(), range(0, SHARDS));
    });

    for (const codec of ['f32', 'f16'] as const)
      it(`prefill and decode are those of the truth (${codec})`, async () => {
        const calls = [ids(7), [5], [200], [33]];
        const found = await feed(await open({ codec }), calls);
        // A border rounded to half precision may turn a difference of 1e-7 into one of 5e-4 in one value.
        for (const [i, top] of (await trueTop(calls, codec)).entries())
          assertTop(found[i], top, codec === 'f32' ? tolerance : Math.max(tolerance, 1e-3));
      });

    it('a prompt in pieces is the prompt at once', async () => {
      const [whole] = await feed(await open({ maxTokens: CONTEXT }), [ids(300)]);
      const pieces = await feed(await open({ maxTokens: CONTEXT }), [
        ids(300).slice(0, 100),
        ids(300).slice(100, 101),
        ids(300).slice(101),
      ]);
      const [expected] = await trueTop([ids(300)]);
      assertTop(whole, expected, tolerance);
      assertTop(pieces.at(-1), expected, tolerance);
    });

    it('candidates come by descending logit and name the mass of all tokens', async () => {
      const [top] = await feed(await open(), [ids(9)]);
      assert.ok(top !== undefined);
      assert.equal(top.ids.length, 64);
      assert.deepEqual(
        Array.from(top.values),
        Array.from(top.values).toSorted((a, b) => b - a),
      );
      assert.ok(top.logSumExp > (top.values[0] ?? 0));
    });

    for (const codec of ['f32', 'f16'] as const)
      it(`a chain of shards is the whole, bit for bit (${codec})`, async () => {
        const calls = [ids(140), [9], [8]];
        const whole = await feed(await open({ codec }), calls);
        const hops = [
          await open({ from: 0, to: 1, codec }),
          await open({ from: 1, to: 2, codec }),
          await open({ from: 2, to: 3, codec }),
        ];
        for (const [i, call] of calls.entries())
          assert.deepEqual(await passOn(hops, tokens(call)), { kind: 'top', top: whole[i] });
      });

    it('a border in half precision holds only such values', async () => {
      const result = await (await open({ to: 1, codec: 'f16' })).step(0, tokens(ids(5)));
      assert.ok(result.kind === 'hidden');
      assert.equal(result.count, 5);
      assert.equal(result.data.length, 5 * WIDTH);
      assert.ok(result.data.every((value) => Math.f16round(value) === value));
      const exact = await (await open({ to: 1, codec: 'f32' })).step(0, tokens(ids(5)));
      assert.ok(exact.kind === 'hidden' && exact.data.some((value) => Math.f16round(value) !== value));
    });

    it('sessions at work together do not change each other by a bit', async () => {
      const prompts = [ids(5), ids(60, 3), ids(2, 9), ids(33, 1), ids(90, 7)];
      const calls = prompts.map((prompt, i) => [prompt, [i + 1], [i + 20], [i + 30], [i + 40]]);
      const alone: TopLogits[][] = [];
      for (const list of calls) {
        alone.push(await feed(await open(), list));
        await Promise.all(sessions.map((session) => session.release()));
      }
      const together = await Promise.all(calls.map(async (list) => feed(await open(), list)));
      assertSame(together.flat(), alone.flat());
    });

    it('who pauses between two that work loses nothing', async () => {
      const calls = [ids(20), [4], [5], [6]];
      const expected = await feed(await open({ maxTokens: 256 }), calls);
      await Promise.all(sessions.map((session) => session.release()));
      const [first, paused, third, ended, last] = [
        await open(),
        await open(),
        await open(),
        await open(),
        await open(),
      ];
      await feed(paused, calls.slice(0, 1));
      await feed(ended, [ids(199), [1]]);
      const busy = [first, third, last];
      await Promise.all(busy.map((session) => feed(session, calls.slice(0, 1))));
      // All three wait behind a prompt and then share a batch, over the slots of the two that do nothing.
      for (const [i, call] of calls.slice(1).entries()) {
        const other = await open();
        const prompt = other.step(0, tokens(ids(CHUNK)));
        const steps = await Promise.all(busy.map((session) => session.step(session.length, tokens(call))));
        assertSame(
          steps.map((step) => (step.kind === 'top' ? step.top : undefined)),
          steps.map(() => expected[i + 1]),
        );
        await prompt;
      }
      assertSame(await feed(paused, calls.slice(1), 20), expected.slice(1));
      ended.truncate(199);
      assertSame(await feed(ended, [[1]], 199), (await feed(await open(), [ids(199), [1]])).slice(1));
    });

    it('sessions may leave while others work', async () => {
      const [first, second, third] = [await open(), await open(), await open()];
      const expected = await feed(first, [ids(20), [4], [5]]);
      await feed(second, [ids(11)]);
      await feed(third, [ids(20)]);
      await second.release();
      assertSame(await feed(third, [[4], [5]], 20), expected.slice(1));
    });

    it('rolls back to an earlier position', async () => {
      const session = await open();
      const expected = await feed(session, [ids(10), [7], [8]]);
      await feed(session, [[1], [2]], 12);
      session.truncate(10);
      assert.equal(session.length, 10);
      assert.deepEqual(await feed(session, [[7], [8]], 10), expected.slice(1));
      await refuses(() => session.truncate(13), { code: 'E_POSITION', length: 12, at: 13 });
      await refuses(() => session.truncate(-1), { code: 'E_POSITION', length: 12, at: -1 });
    });

    it('an abort leaves the last finished chunk, and the session goes on from there', async () => {
      const prompt = ids(4 * CHUNK - 10);
      const [expected] = await feed(await open({ maxTokens: CONTEXT }), [prompt]);
      const session = await open({ maxTokens: CONTEXT });
      const abort = new AbortController();
      const step = session.step(0, tokens(prompt), abort.signal);
      abort.abort();
      await assert.rejects(
        step,
        (error: { facts?: EngineErrorFacts }) =>
          error.facts?.code === 'E_ABORTED' && error.facts.length === session.length,
      );
      assert.ok(session.length < prompt.length);
      assert.equal(session.length % CHUNK, 0);
      const [found] = await feed(session, [prompt.slice(session.length)], session.length);
      assert.deepEqual(found, expected);
    });

    it('an aborted signal runs nothing', async () => {
      const session = await open();
      await refuses(() => session.step(0, tokens([1]), AbortSignal.abort()), { code: 'E_ABORTED', length: 0 });
      assert.equal(session.length, 0);
    });

    it('positions are explicit', async () => {
      const session = await open();
      await session.step(0, tokens(ids(4)));
      await refuses(() => session.step(3, tokens([1])), { code: 'E_POSITION', length: 4, at: 3 });
      await refuses(() => session.step(5, tokens([1])), { code: 'E_POSITION', length: 4, at: 5 });
      assert.equal(session.length, 4);
    });

    it('one step at a time', async () => {
      const session = await open();
      const step = session.step(0, tokens(ids(4)));
      await refuses(() => session.step(0, tokens([1])), { code: 'E_BUSY', retryAfterMs: 0 });
      await refuses(() => session.truncate(0), { code: 'E_BUSY', retryAfterMs: 0 });
      await step;
    });

    it('refuses rows that its first shard does not take', async () => {
      const first = await open();
      await refuses(() => first.step(0, hidden(1)), { code: 'E_SHAPE', expected: 'tokens', found: 'hidden' });
      await refuses(() => first.step(0, tokens([])), { code: 'E_SHAPE', expected: 'at least one row', found: '0' });
      await refuses(() => first.step(0, tokens([3, VOCAB])), { code: 'E_TOKEN', id: VOCAB, vocab: VOCAB });
      await refuses(() => first.step(0, tokens([-1])), { code: 'E_TOKEN', id: -1, vocab: VOCAB });
      const later = await open({ from: 1 });
      await refuses(() => later.step(0, tokens([1])), { code: 'E_SHAPE', expected: 'hidden', found: 'tokens' });
      const short: Rows = { kind: 'hidden', data: new Float32Array(WIDTH - 1), count: 1 };
      await refuses(() => later.step(0, short), {
        code: 'E_SHAPE',
        expected: `${WIDTH} values`,
        found: `${WIDTH - 1}`,
      });
    });

    it('a session ends at its number of tokens', async () => {
      const session = await open({ maxTokens: 6 });
      await refuses(() => session.step(0, tokens(ids(7))), { code: 'E_FULL', maxTokens: 6 });
      await session.step(0, tokens(ids(6)));
      await refuses(() => session.step(6, tokens([1])), { code: 'E_FULL', maxTokens: 6 });
      await refuses(() => open({ maxTokens: CONTEXT + 1 }), { code: 'E_FULL', maxTokens: CONTEXT });
      await refuses(() => open({ maxTokens: 0 }), { code: 'E_FULL', maxTokens: CONTEXT });
    });

    it('serves to the last position of the context', async () => {
      const session = await open({ maxTokens: CONTEXT });
      const found = await feed(session, [ids(CONTEXT - 1), [5]]);
      assertTop(found[1], (await trueTop([ids(CONTEXT - 1), [5]]))[1], tolerance);
    });

    it('refuses shards that it has not', async () => {
      await refuses(() => open({ from: 0, to: SHARDS + 1 }), { code: 'E_RANGE', from: 0, to: SHARDS + 1 });
      await refuses(() => open({ from: 2, to: 2 }), { code: 'E_RANGE', from: 2, to: 2 });
      await refuses(() => engine.challenge(shard(9), tokens([1])), { code: 'E_RANGE', from: 9, to: 10 });
      await refuses(() => engine.load([shard(SHARDS)]), { code: 'E_RANGE', from: SHARDS, to: SHARDS + 1 });
    });

    for (const to of [2, SHARDS])
      it(`a number that is not finite is an error of that session alone (shards [1, ${to}))`, async () => {
        const [bad, good, busy] = [
          await open({ from: 1, to }),
          await open({ from: 1, to }),
          await open({ from: 1, to }),
        ];
        const expected = await (await open({ from: 1, to })).step(0, hidden(1));
        const rows = hidden(1);
        if (rows.kind === 'hidden') rows.data[3] = Number.NaN;
        // While a prompt runs the other two wait, and then share a batch.
        const prompt = busy.step(0, hidden(CHUNK));
        const [broken, whole] = await Promise.allSettled([bad.step(0, rows), good.step(0, hidden(1))]);
        assert.ok(broken.status === 'rejected' && broken.reason.code === 'E_NONFINITE');
        assert.ok(whole.status === 'fulfilled');
        assert.deepEqual(whole.value, expected);
        assert.equal(bad.length, 0);
        assert.deepEqual(await bad.step(0, hidden(1)), expected);
        await prompt;
      });

    it('what a broken step left in the cache touches nothing that is written later', async () => {
      const expected = await (await open({ from: 1 })).step(0, hidden(2));
      const session = await open({ from: 1 });
      const rows = hidden(6);
      if (rows.kind === 'hidden') rows.data[5 * WIDTH] = Number.NaN;
      await assert.rejects(session.step(0, rows), { code: 'E_NONFINITE' });
      assert.deepEqual(await session.step(0, hidden(2)), expected);
    });

    it('what half precision cannot hold is not finite there', async () => {
      const rows = () => {
        const large = hidden(1);
        if (large.kind === 'hidden') large.data[3] = 70_000;
        return large;
      };
      await refuses(async () => (await open({ from: 1, to: 2, codec: 'f16' })).step(0, rows()), {
        code: 'E_NONFINITE',
        shard: 1,
      });
      assert.equal((await (await open({ from: 1, to: 2, codec: 'f32' })).step(0, rows())).kind, 'hidden');
    });

    it('answers challenges like the truth, and always the same bits', async () => {
      for (const index of range(0, SHARDS)) {
        const rows = () => (index === 0 ? tokens(ids(16)) : hidden(16));
        const [found, again, expected] = [
          await engine.challenge(index, rows()),
          await engine.challenge(index, rows()),
          await truth.challenge(index, rows()),
        ];
        assert.equal(found.length, 16 * (index === SHARDS - 1 ? 64 : WIDTH));
        assert.deepEqual(found, again);
        assert.ok(distance(found, expected) < SINGLE.tolerance, `shard ${index}: ${distance(found, expected)}`);
      }
    });

    it('an aborted challenge is not run', async () => {
      const why = new Error('enough');
      await assert.rejects(engine.challenge(shard(0), tokens([1]), AbortSignal.abort(why)), why);
    });

    it('counts its work', async () => {
      const before = engine.stats();
      const session = await open();
      await feed(session, [ids(10), [1]]);
      const after = engine.stats();
      assert.deepEqual([after.steps - before.steps, after.rows - before.rows, after.sessions], [2, 11, 1]);
      assert.ok(after.kvBytes > 0 && after.kvBytes <= after.kvBudgetBytes);
      assert.equal(after.queued, 0);
    });

    it('a released session is gone', async () => {
      const session = await open();
      await Promise.all([session.release(), session.release()]);
      await refuses(() => session.step(0, tokens([1])), { code: 'E_GONE' });
      await refuses(() => session.truncate(0), { code: 'E_GONE' });
    });

    it('refuses memory before it takes any', async () => {
      const weights = model.manifest.shards.reduce((sum, item) => sum + memoryOf(item).weights, 0);
      const perToken = model.manifest.shards.reduce((sum, item) => sum + memoryOf(item).kvPerToken, 0);
      const one = perToken * 256; // the smallest class of capacities
      const budget = weights + one;
      const small = await create({ model, cut: DEFAULT_CUT, memoryBytes: budget });
      try {
        await small.load(range(0, SHARDS));
        const session = await open({ maxTokens: 100 }, small);
        await refuses(() => open({ maxTokens: 100 }, small), { code: 'E_MEMORY', need: one, free: 0, budget });
        assert.equal(small.stats().sessions, 1);
        await session.release();
        await (await open({ maxTokens: 256 }, small)).release();
        await refuses(() => open({ maxTokens: 257 }, small), {
          code: 'E_MEMORY',
          need: perToken * CONTEXT,
          free: one,
          budget,
        });
      } finally {
        await small.close();
      }
      const tiny = await create({ model, cut: DEFAULT_CUT, memoryBytes: 1 });
      try {
        const [first] = model.manifest.shards;
        const need = first === undefined ? 0 : memoryOf(first).weights;
        await refuses(() => tiny.load(range(0, 1)), { code: 'E_MEMORY', need, free: 1, budget: 1 });
        assert.deepEqual(tiny.loaded(), []);
        await refuses(() => tiny.challenge(shard(0), tokens([1])), { code: 'E_RANGE', from: 0, to: 1 });
      } finally {
        await tiny.close();
      }
    });

    it('loads one shard alone, and one shard twice', async () => {
      const other = await create({ model, cut: DEFAULT_CUT });
      try {
        await Promise.all([other.load([shard(1)]), other.load([shard(1)])]);
        assert.deepEqual(other.loaded(), [1]);
        await refuses(() => open({ from: 0, to: 2 }, other), { code: 'E_RANGE', from: 0, to: 2 });
        const [found, expected] = [
          await other.challenge(shard(1), hidden(4)),
          await engine.challenge(shard(1), hidden(4)),
        ];
        assert.deepEqual(found, expected);
      } finally {
        await other.close();
      }
    });

    it('gives a shard back when nobody has it, and takes it again', async () => {
      const [expected] = await feed(await open(), [ids(5)]);
      const own = await create({ model, cut: DEFAULT_CUT });
      try {
        await own.load(range(0, SHARDS));
        const free = own.stats().kvBudgetBytes;
        const session = await open({}, own);
        await refuses(() => own.unload(range(0, 2)), { code: 'E_BUSY', retryAfterMs: 0 });
        await feed(session, [ids(5)]);
        await session.release();
        await own.unload([shard(1)]);
        assert.deepEqual(
          own.loaded(),
          range(0, SHARDS).filter((one) => one !== 1),
        );
        assert.ok(own.stats().kvBudgetBytes > free);
        await refuses(() => open({}, own), { code: 'E_RANGE', from: 0, to: SHARDS });
        await own.load([shard(1)]);
        assert.equal(own.stats().kvBudgetBytes, free);
        const [again] = await feed(await open({}, own), [ids(5)]);
        assertTop(again, expected, tolerance);
      } finally {
        await own.close();
      }
    });

    it('when it is closed everything is gone', async () => {
      const other = await create({ model, cut: DEFAULT_CUT });
      await other.load(range(0, 1));
      await Promise.all([other.close(), other.close()]);
      await refuses(() => open({ from: 0, to: 1 }, other), { code: 'E_GONE' });
      await refuses(() => other.load(range(1, 2)), { code: 'E_GONE' });
      await refuses(() => other.challenge(shard(0), tokens([1])), { code: 'E_GONE' });
    });
  });
}

interface Opening {
  readonly from: number;
  readonly to: number;
  readonly maxTokens: number;
  readonly codec: BorderCodec;
}

function shard(index: number): ShardIndex {
  return index as ShardIndex;
}

function range(from: number, to: number): ShardIndex[] {
  return Array.from({ length: to - from }, (_, i) => shard(from + i));
}

/** `count` ids of the vocabulary; another `start` gives others. */
function ids(count: number, start = 0): number[] {
  return Array.from({ length: count }, (_, i) => ((i + start) * 7919 + 17 * start + 5) % VOCAB);
}

export function tokens(list: readonly number[]): Rows {
  return { kind: 'tokens', ids: Int32Array.from(list) };
}

function hidden(count: number): Rows {
  return {
    kind: 'hidden',
    data: Float32Array.from({ length: count * WIDTH }, (_, i) => Math.sin(i * 0.37) * 2),
    count,
  };
}

/** Steps a session from `at` on; the candidates after each call. */
export async function feed(session: KvSession, calls: readonly (readonly number[])[], at = 0): Promise<TopLogits[]> {
  const tops: TopLogits[] = [];
  let position = at;
  for (const call of calls) {
    const result = await session.step(position, tokens(call));
    assert.ok(result.kind === 'top');
    tops.push(result.top);
    position += call.length;
  }
  return tops;
}

async function passOn(hops: readonly KvSession[], rows: Rows): Promise<StepResult> {
  let next = rows;
  for (const hop of hops.slice(0, -1)) {
    const result = await hop.step(hop.length, next);
    assert.ok(result.kind === 'hidden');
    next = result;
  }
  const last = hops.at(-1);
  assert.ok(last !== undefined);
  return last.step(last.length, next);
}

export function distance(found: Float32Array, expected: Float32Array): number {
  assert.equal(found.length, expected.length);
  const sum = (values: Iterable<number>) => Array.from(values).reduce((total, value) => total + value * value, 0);
  return Math.sqrt(sum(found.map((value, i) => value - (expected[i] ?? 0))) / sum(expected));
}

/** Logits of the best candidates, by token: two of nearly one logit may change places. */
export function assertTop(found: TopLogits | undefined, expected: TopLogits | undefined, tolerance: number): void {
  assert.ok(found !== undefined && expected !== undefined);
  const margin = tolerance * Math.max(...expected.values.map(Math.abs)) * 10;
  assert.ok(
    distance(found.values, expected.values) < tolerance,
    `values differ by ${distance(found.values, expected.values)}`,
  );
  assert.ok(Math.abs(found.logSumExp - expected.logSumExp) < margin);
  const logit = new Map(Array.from(expected.ids, (id, i) => [id, expected.values[i] ?? 0]));
  const worst = expected.values.at(-1) ?? 0;
  for (const [i, id] of found.ids.entries())
    assert.ok(Math.abs((found.values[i] ?? 0) - (logit.get(id) ?? worst)) < margin, `token ${id}`);
}

async function refuses(call: () => unknown, facts: EngineErrorFacts): Promise<void> {
  await assert.rejects(
    async () => call(),
    (error: { facts?: unknown }) => {
      assert.deepEqual(error.facts, facts);
      return true;
    },
  );
}
