// What only the engine on ONNX Runtime has: a worker that may die, threads, the bundled model's weights.

import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lane, type LaneCall, type LaneOptions, startLane } from '../../src/engine/lane-client.ts';
import type { Isolation } from '../../src/engine/lane-host.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import type { Engine, KvSession, Rows, TopLogits } from '../../src/engine/types.ts';
import { textManifest } from '../../src/model/manifest.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { createManualTimers, type ManualTimers } from '../support/manual-timers.ts';
import { writeRandomModel } from '../support/random-model.ts';
import { rehash } from '../support/rehash.ts';
import { assertTop, distance, feed, tokens } from './engine.ts';

const HUNG = new URL('../support/hung-lane.ts', import.meta.url);
const BUNDLED = fileURLToPath(new URL('../../models/tiny', import.meta.url));

function shards(count: number): ShardIndex[] {
  return Array.from({ length: count }, (_, index) => index as ShardIndex);
}

async function openWhole(engine: Engine, count: number): Promise<KvSession> {
  return engine.openSession(
    { from: 0 as ShardIndex, to: count as ShardIndex },
    { maxTokens: 256, owner: 'test', codec: 'f16' },
  );
}

function setVariables(values: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

describe('engine: onnx, the worker', () => {
  let folder: string;
  let model: Model;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-lane-'));
    await writeRandomModel(folder);
    model = await openModel(folder);
  });
  after(() => rm(folder, { recursive: true }));

  /** An engine whose lanes the test can look at; `options` of the first one, later ones are as usual. */
  const start = async (isolation: Isolation, options: LaneOptions = {}) => {
    const lanes: Lane[] = [];
    const engine = await createOnnxEngine(
      { model, cut: DEFAULT_CUT, threads: 1, device: 'cpu', isolation },
      {
        log: silentLog,
        startLane: async (data, log, usual) => {
          const lane = await startLane(data, log, lanes.length === 0 ? { ...usual, ...options } : usual);
          lanes.push(lane);
          return lane;
        },
      },
    );
    return { engine, lanes };
  };
  const lost = (error: unknown) => errorCode(error) === 'E_LANE';

  /** What ends a lane while it has work. Resolves when that is so. */
  const ENDS: Readonly<Record<string, readonly [Isolation, (lane: Lane) => unknown]>> = {
    // No message of ours looks like this: the worker throws where nobody catches, as after a fault in native code.
    'a thread that throws': [
      'thread',
      (lane) => assert.rejects(lane.call({ op: 'run', cache: 1, at: 0, rows: null as unknown as Rows }), lost),
    ],
    'a process that is killed': ['process', (lane) => process.kill(lane.pid ?? Number.NaN, 'SIGKILL')],
  };
  for (const [what, [isolation, end]] of Object.entries(ENDS))
    it(`${what} is replaced: its sessions are gone, new ones work`, async () => {
      const { engine, lanes } = await start(isolation);
      try {
        await engine.load(shards(2));
        const [first, idle] = [await openWhole(engine, 2), await openWhole(engine, 2)];
        const [expected] = await feed(first, [[1, 2, 3]]);
        const ended = end(lanes[0] as Lane);
        const step = first.step(3, tokens([4]));
        await Promise.all([ended, assert.rejects(step, lost)]);
        assert.equal(first.length, 3);
        await assertReplaced(engine, [first, idle], expected);
        assert.equal(lanes.length, 2);
      } finally {
        await engine.close();
      }
    });

  it('a process that is stopped and says nothing is ended and replaced', async () => {
    const timers = createManualTimers();
    const { engine, lanes } = await start('process', { timers });
    const pid = lanes[0]?.pid ?? Number.NaN;
    try {
      await engine.load(shards(2));
      const session = await openWhole(engine, 2);
      const [expected] = await feed(session, [[1, 2, 3]]);
      process.kill(pid, 'SIGSTOP');
      await passSilence(timers, assert.rejects(session.step(3, tokens([4])), /no answer for 60 s/));
      await assertReplaced(engine, [session], expected);
      assert.equal(lanes[0]?.alive, false);
    } finally {
      if (lanes[0]?.alive === true) process.kill(pid, 'SIGKILL');
      await engine.close();
    }
  });

  it('a thread that hangs is left, loads have longer, and a hung one may be closed', async () => {
    const timers = createManualTimers();
    const lane = await startLane(
      { shape: model.manifest.shape, threads: 1, device: 'cpu', profile: 'single' },
      silentLog,
      {
        timers,
        file: HUNG,
      },
    );
    await passSilence(timers, assert.rejects(lane.call({ op: 'free', cache: 1 }), lost));
    assert.equal(lane.alive, false);
    await assert.rejects(lane.call({ op: 'free', cache: 1 }), lost);
    await lane.close();

    const other = await startLane(
      { shape: model.manifest.shape, threads: 1, device: 'cpu', profile: 'single' },
      silentLog,
      {
        timers,
        file: HUNG,
      },
    );
    const load = other.call({ op: 'unload', shard: 1 });
    const slow = other.call({ op: 'challenge', shard: 1, rows: tokens([1]) });
    const both = Promise.all([assert.rejects(load, /no end within 30 s/), assert.rejects(slow, lost)]);
    for (let look = 0; look < 20; look++) await passLook(timers);
    assert.equal(other.alive, true);
    const closed = other.close();
    timers.advance(30_000);
    await Promise.all([closed, both]);
  });

  it('a graph that the runtime refuses is an error, and the worker lives', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'tessera-lane-'));
    await cp(folder, copy, { recursive: true });
    const file = model.manifest.shards[1]?.graph ?? '';
    const bytes = Buffer.from(await readFile(join(copy, file)));
    const at = bytes.lastIndexOf('Sigmoid'); // the operator: the node's name comes before it
    bytes.write('Reshape', at, 'latin1'); // on the list, and with too few inputs
    await writeFile(join(copy, file), bytes);
    await rehash(copy, file);
    const engine = await createOnnxEngine(
      { model: await openModel(copy), cut: DEFAULT_CUT, threads: 1, device: 'cpu' },
      { log: silentLog },
    );
    try {
      await assert.rejects(engine.load(shards(2)), (error: unknown) => errorCode(error) === 'E_RUN');
      assert.deepEqual(engine.loaded(), shards(1));
      const session = await engine.openSession(
        { from: 0 as ShardIndex, to: 1 as ShardIndex },
        { maxTokens: 10, owner: 'test', codec: 'f16' },
      );
      assert.equal((await session.step(0, tokens([1]))).kind, 'hidden');
    } finally {
      await engine.close();
      await rm(copy, { recursive: true });
    }
  });

  (process.platform === 'linux' ? it : it.skip)('a process is given huge pages and no secrets', async () => {
    const given = { TESSERA_PASSPHRASE: 'secret', HF_TOKEN: 'secret', GLIBC_TUNABLES: undefined };
    const before = Object.fromEntries(Object.keys(given).map((name) => [name, process.env[name]]));
    setVariables(given);
    try {
      const { engine, lanes } = await start('process');
      try {
        const variables = (await readFile(`/proc/${lanes[0]?.pid}/environ`, 'utf8')).split('\0');
        assert.ok(variables.includes('GLIBC_TUNABLES=glibc.malloc.hugetlb=1'));
        assert.ok(!variables.some((variable) => variable.endsWith('=secret')));
      } finally {
        await engine.close();
      }
    } finally {
      setVariables(before);
    }
  });

  it('a process that closes its engine ends by itself', async () => {
    const program = `
      const { openModel } = await import(${JSON.stringify(new URL('../../src/model/open.ts', import.meta.url).href)});
      const { createOnnxEngine } = await import(${JSON.stringify(new URL('../../src/engine/onnx.ts', import.meta.url).href)});
      const { silentLog } = await import(${JSON.stringify(new URL('../../src/util/log.ts', import.meta.url).href)});
      const engine = await createOnnxEngine({ model: await openModel(${JSON.stringify(folder)}), cut: 'default', device: 'cpu' }, { log: silentLog });
      await engine.load([0, 1]);
      const session = await engine.openSession({ from: 0, to: 2 }, { maxTokens: 100, owner: 'test', codec: 'f16' });
      const step = session.step(0, { kind: 'tokens', ids: Int32Array.of(1, 2) });
      await engine.close();
      await step;
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [code, signal] = await once(child, 'exit');
    assert.deepEqual([code, signal], [0, null]);
  });
});

/** Sessions of a lane that ended are gone, their memory is free, and new ones say the same. */
async function assertReplaced(engine: Engine, old: readonly KvSession[], expected: TopLogits | undefined) {
  for (const session of old)
    await assert.rejects(session.step(session.length, tokens([4])), (error: unknown) => errorCode(error) === 'E_GONE');
  await Promise.all(old.map((session) => session.release()));
  assert.equal(engine.stats().kvBytes, 0);
  for (const session of await Promise.all([openWhole(engine, 2), openWhole(engine, 2)])) {
    assert.deepEqual(await feed(session, [[1, 2, 3]]), [expected]);
    await session.release();
  }
}

/** Looks at a lane that says nothing, until `end` has come. */
async function passSilence(timers: ManualTimers, end: Promise<unknown>): Promise<void> {
  let over = false;
  const ended = end.finally(() => {
    over = true;
  });
  for (let look = 0; !over; look++) {
    assert.ok(look < 1000, 'it is not ended');
    await Promise.race([ended, passLook(timers)]);
  }
  await ended;
}

async function passLook(timers: ManualTimers): Promise<void> {
  timers.advance(await timers.asked((ms) => ms === 5000));
}

describe('engine: onnx, prepacked shards', () => {
  const RANGE = { from: 0 as ShardIndex, to: 2 as ShardIndex };
  let folder: string;
  let kept: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-prepacked-'));
    kept = join(folder, 'kept');
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** Loads both shards; the graphs that the worker was given, and what the model says. */
  const run = async (model: Model, minBytes = 0) => {
    const graphs: string[] = [];
    const options = {
      model,
      cut: DEFAULT_CUT,
      threads: 1,
      device: 'cpu',
      prepacked: { folder: kept, minBytes },
    } as const;
    const engine = await createOnnxEngine(options, {
      log: silentLog,
      startLane: async (data, log) => {
        const lane = await startLane(data, log);
        return Object.assign(Object.create(lane), {
          call: (request: LaneCall, signal?: AbortSignal) => {
            if (request.op === 'load') graphs.push(request.files.serve);
            return lane.call(request, signal);
          },
        });
      },
    });
    try {
      await engine.load(shards(2));
      const session = await engine.openSession(RANGE, { maxTokens: 20, owner: 'test', codec: 'f16' });
      const tops = await feed(session, [[1, 2, 3], [4]]);
      return { tops, graphs, challenge: await engine.challenge(0 as ShardIndex, tokens([7, 8, 9])) };
    } finally {
      await engine.close();
    }
  };
  const isKept = (graphs: readonly string[]) => graphs.every((graph) => graph.startsWith(kept));

  for (const format of ['f16', 'w8a8'] as const)
    it(`are the same bits the next time (${format})`, async () => {
      await writeRandomModel(join(folder, 'model'), { format });
      const model = await openModel(join(folder, 'model'));
      const first = await run(model);
      assert.ok(!first.graphs.some((graph) => graph.startsWith(kept)));
      assert.equal((await readdir(kept)).length, 2);
      const second = await run(model);
      assert.ok(isKept(second.graphs));
      assert.deepEqual([second.tops, second.challenge], [first.tops, first.challenge]);
    });

  const flip = (bytes: Uint8Array) => bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 1 : byte));
  const damages: readonly [what: string, file: string, change: (bytes: Uint8Array) => Uint8Array, seen: boolean][] = [
    // The runtime may read weights while they are checked, but no answer comes of them.
    ['a byte of the weights changed', 'weights.bin', flip, true],
    // These it must never see.
    ['the weights are cut short', 'weights.bin', (bytes) => bytes.slice(0, bytes.length >> 1), false],
    ['a byte of the graph changed', 'graph.onnx', flip, false],
    ['the seal is none', 'seal.json', () => Buffer.from('{}'), false],
  ];
  for (const [what, file, change, seen] of damages)
    it(`are made again when ${what}`, async () => {
      await writeRandomModel(join(folder, 'model'), { format: 'w8a8' });
      const model = await openModel(join(folder, 'model'));
      const first = await run(model);
      for (const entry of await readdir(kept)) {
        const place = join(kept, entry, file);
        await writeFile(place, change(await readFile(place)));
      }
      const second = await run(model);
      assert.deepEqual(
        second.graphs.map((graph) => graph.startsWith(kept)),
        seen ? [true, false, true, false] : [false, false],
      );
      const third = await run(model);
      assert.ok(isKept(third.graphs));
      assert.deepEqual([second.tops, third.tops], [first.tops, first.tops]);
      assert.deepEqual([second.challenge, third.challenge], [first.challenge, first.challenge]);
    });

  it('are not made of small weights', async () => {
    await writeRandomModel(join(folder, 'model'), { format: 'w8a8' });
    assert.deepEqual((await run(await openModel(join(folder, 'model')), 1e9)).graphs.length, 2);
    await assert.rejects(readdir(kept));
  });

  it('are not kept in 4 bits, which the runtime would read back wrongly', async () => {
    for (const options of [{ format: 'int4b128' }, { format: 'w8a8', layers: { head: 'int4b32' } }] as const) {
      const at = join(folder, options.format);
      await writeRandomModel(at, options);
      await run(await openModel(at));
      await assert.rejects(readdir(kept));
    }
  });

  it('cannot be kept where nothing can be written, and the engine runs all the same', async () => {
    await writeRandomModel(join(folder, 'model'));
    await writeFile(kept, 'a file');
    assert.equal((await run(await openModel(join(folder, 'model')))).tops.length, 2);
  });
});

describe('engine: onnx, the bundled model', () => {
  let model: Model;
  let engine: Engine;
  let truth: Engine;
  let prompts: number[][];
  before(async () => {
    model = await openModel(BUNDLED);
    engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log: silentLog });
    truth = createReferenceEngine({ model, cut: DEFAULT_CUT });
    const { encodePrompt } = await openTokenizer(model);
    prompts = [
      'Once upon a time',
      'A brave turtle named Pip',
      'It was a rainy evening. Mia',
      'Good morning',
      'The',
    ].map(encodePrompt);
    await engine.load(shards(4));
    await truth.load(shards(4));
  });
  after(async () => {
    await engine.close();
    await truth.close();
  });

  /** Candidates of each of `steps` greedy tokens. */
  const generate = async (on: Engine, prompt: readonly number[], steps: number): Promise<TopLogits[]> => {
    const session = await openWhole(on, 4);
    const tops = await feed(session, [prompt]);
    for (let i = 1; i < steps; i++) tops.push(...(await feed(session, [[tops.at(-1)?.ids[0] ?? 0]], session.length)));
    await session.release();
    return tops;
  };

  it('says what the reference says', async () => {
    const [prompt = []] = prompts;
    const found = await generate(engine, prompt, 8);
    for (const [i, expected] of (await generate(truth, prompt, 8)).entries()) {
      assert.equal(found[i]?.ids[0], expected.ids[0]);
      assertTop(found[i], expected, 1e-3); // borders in half precision
    }
  });

  it('says the same alone and in company, with one thread and with two, bit for bit', async () => {
    const alone: TopLogits[][] = [];
    for (const prompt of prompts) alone.push(await generate(engine, prompt, 12));
    assert.deepEqual(await Promise.all(prompts.map((prompt) => generate(engine, prompt, 12))), alone);
    const two = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 2, device: 'cpu' }, { log: silentLog });
    try {
      await two.load(shards(4));
      assert.deepEqual(await generate(two, prompts[0] ?? [], 12), alone[0]);
    } finally {
      await two.close();
    }
  });

  it('answers challenges well within tau, and int8 answers lie beyond the cut-off', async () => {
    for (const [index, shard] of model.manifest.shards.entries()) {
      const input = challengeInput(model, index);
      const [found, expected] = [
        await engine.challenge(index as ShardIndex, input()),
        await truth.challenge(index as ShardIndex, input()),
      ];
      // protocol.md 5: the sketch keeps distances; its unit is rms * sqrt(N) / 2^24.
      const scale = (2 ** 24 * rms(expected)) / floatOf(shard.rmsBits);
      assert.ok(
        distance(found, expected) * scale < shard.tau / 16,
        `shard ${index}: ${distance(found, expected) * scale}`,
      );
      const columns = found.length / CHALLENGE_ROWS;
      assert.ok(distance(roundToInt8(found, columns), expected) * scale > 2 * 16 * shard.tau);
    }
  });
});

const CHALLENGE_ROWS = 16;

/** Like protocol.md 5, from a stream of its own. */
function challengeInput(model: Model, index: number): () => Rows {
  const { width, vocab } = model.manifest.shape;
  const { specials } = textManifest(model.manifest).tokenizer;
  const bytes = createHash('shake256', { outputLength: CHALLENGE_ROWS * width * 8 })
    .update(`challenge ${index}`)
    .digest();
  const halves = new Uint16Array(new Uint8Array(bytes).buffer);
  const gain = floatOf(model.manifest.shards[index]?.gBits ?? 0);
  const sum = (i: number) => [0, 1, 2, 3].reduce((total, j) => total + (halves[4 * i + j] ?? 0), -131_070);
  if (index === 0)
    return () =>
      tokens(Array.from(halves.subarray(0, CHALLENGE_ROWS), (value) => specials + (value % (vocab - specials))));
  return () => ({
    kind: 'hidden',
    count: CHALLENGE_ROWS,
    data: Float32Array.from({ length: CHALLENGE_ROWS * width }, (_, i) => sum(i) * gain),
  });
}

function floatOf(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0] ?? 0;
}

function rms(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

/** One scale per row. */
function roundToInt8(values: Float32Array, columns: number): Float32Array {
  const out = values.slice();
  for (let at = 0; at < values.length; at += columns) {
    const row = values.subarray(at, at + columns);
    const step = row.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / 127;
    out.set(
      row.map((value) => Math.round(value / step) * step),
      at,
    );
  }
  return out;
}
