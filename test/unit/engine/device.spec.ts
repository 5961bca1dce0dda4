import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { checkedGraph } from '../../../src/engine/checked.ts';
import { deviceGraph, deviceMemory } from '../../../src/engine/device-graph.ts';
import { createKvPool } from '../../../src/engine/kv-pool.ts';
import { startLane } from '../../../src/engine/lane-client.ts';
import type { DeviceWish } from '../../../src/engine/lane-protocol.ts';
import { createDeviceKvMemory } from '../../../src/engine/native/kv-memory.ts';
import { type DeviceMemory, openDeviceMemory } from '../../../src/engine/native/memory.ts';
import {
  type DevicePlace,
  type NativeRuntime,
  type NativeTensors,
  openNativeRuntime,
} from '../../../src/engine/native/runtime.ts';
import { selfTest } from '../../../src/engine/native/self-test.ts';
import { createOnnxEngine } from '../../../src/engine/onnx.ts';
import { EngineError } from '../../../src/engine/types.ts';
import { createGraphBuilder } from '../../../src/graph/builder.ts';
import type { DeviceProfile } from '../../../src/graph/linear.ts';
import { encodeModel } from '../../../src/graph/onnx.ts';
import { textManifest } from '../../../src/model/manifest.ts';
import { type Model, openModel } from '../../../src/model/open.ts';
import { DEFAULT_CUT } from '../../../src/model/write.ts';
import type { ShardIndex } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';
import { distance, feed } from '../../compliance/engine.ts';
import { writeRandomModel } from '../../support/random-model.ts';

const OPTIONS = { folder: '.', threads: 1, provider: 'host' } as const;

/** a + a, of any number of rows of four. */
function doubling(): Uint8Array {
  const graph = createGraphBuilder('doubling');
  const a = graph.input('a', 'f32', ['B', 4]);
  graph.node('Add', [a, a], { outputs: ['sum'] });
  graph.output('sum', 'f32', ['B', 4]);
  return encodeModel(graph.finish({ '': 23 }));
}

describe('engine/native', () => {
  const runtime = openNativeRuntime();
  const memory = openDeviceMemory('host');

  it('reads and writes arrays, parts of arrays, and memory of a device', () => {
    const session = runtime.open(doubling(), OPTIONS);
    const rows = Float32Array.of(9, 9, 9, 9, 1, 2, 3, 4);
    const bytes = 16;
    const address = memory.allocate(bytes);
    try {
      const onDevice = { type: 'f32', dims: [1, 4], place: { address, bytes } } as const;
      session.run({ a: { type: 'f32', dims: [1, 4], place: rows.subarray(4) } }, { sum: onDevice });
      session.run({ a: onDevice }, { sum: onDevice });
      const out = new Float32Array(4);
      session.run({ a: onDevice }, { sum: { type: 'f32', dims: [1, 4], place: out } });
      assert.deepEqual(Array.from(out), [8, 16, 24, 32]);
    } finally {
      memory.release(address);
      session.release();
    }
  });

  it('says what the runtime says of a graph, of dims, and of a provider that is not there', () => {
    const refuses = (run: () => unknown, why: RegExp) =>
      assert.throws(run, (error: { code?: string; message: string }) => {
        assert.equal(error.code, 'E_RUN');
        assert.match(error.message, why);
        return true;
      });
    refuses(() => runtime.open(new Uint8Array(10), OPTIONS), /protobuf/);
    const session = runtime.open(doubling(), OPTIONS);
    const tensor = (dims: number[]) => ({ type: 'f32', dims, place: new Float32Array(20) }) as const;
    refuses(() => session.run({ a: tensor([2, 5]) }, { sum: tensor([2, 4]) }), /invalid dimensions/);
    refuses(() => session.run({ b: tensor([2, 4]) }, { sum: tensor([2, 4]) }), /b/);
    session.run({ a: tensor([2, 4]) }, { sum: tensor([2, 4]) });
    session.release();
  });

  it('new memory is zero, and a copy is one', () => {
    const [from, to] = [memory.allocate(64), memory.allocate(64)];
    try {
      const session = runtime.open(doubling(), OPTIONS);
      const out = new Float32Array(4);
      const at = (address: bigint) => ({ type: 'f32', dims: [1, 4], place: { address, bytes: 16 } }) as const;
      session.run({ a: at(to) }, { sum: { type: 'f32', dims: [1, 4], place: out } });
      assert.deepEqual(Array.from(out), [0, 0, 0, 0]);
      session.run({ a: { type: 'f32', dims: [1, 4], place: Float32Array.of(1, 2, 3, 4) } }, { sum: at(from) });
      memory.copy(to, from, 16);
      session.run({ a: at(to) }, { sum: { type: 'f32', dims: [1, 4], place: out } });
      assert.deepEqual(Array.from(out), [4, 8, 12, 16]);
      session.release();
    } finally {
      memory.release(from);
      memory.release(to);
    }
  });

  for (const profile of ['single', 'half'] as const)
    it(`a device that computes something else serves nobody (${profile})`, () => {
      selfTest(runtime, { provider: 'host', profile, memory });
      // Everything runs, and nothing is written.
      const idle: NativeRuntime = {
        open: (graph, options) => {
          const session = runtime.open(graph, { ...options, provider: 'host' });
          return {
            ...session,
            run: (inputs: NativeTensors, outputs: NativeTensors) =>
              options.provider === 'cuda' ? undefined : session.run(inputs, outputs),
          };
        },
      };
      assert.throws(
        () => selfTest(idle, { provider: 'cuda', profile, memory }),
        /computes something else than the CPU: \d\.\d+ apart/,
      );
    });
});

describe('engine/native/kv-memory', () => {
  const SHAPE = { from: 0, to: 2, kvHeads: 1, headDim: 2, capacity: 2 };
  const memory = openDeviceMemory('host');

  /** Memory of which no more than `limit` pieces are given out. */
  const short = (limit: number) => {
    const held = new Set<bigint>();
    const device: DeviceMemory = {
      ...memory,
      allocate(bytes) {
        if (held.size >= limit) throw new EngineError({ code: 'E_RUN', reason: 'full' }, 'full');
        const address = memory.allocate(bytes);
        held.add(address);
        return address;
      },
      release(address) {
        held.delete(address);
        memory.release(address);
      },
    };
    return { device, held };
  };
  const values = ({ address, bytes }: DevicePlace) => new Float32Array(koffi.view(address, bytes).slice(0));

  it('slots keep their values as others come and go, and nothing stays allocated', () => {
    const { device, held } = short(100);
    const pool = createKvPool(SHAPE, createDeviceKvMemory(device, 'single'));
    for (const cache of [1, 2, 3]) {
      pool.add(cache);
      const { address, bytes } = pool.view(1, pool.slotOf(cache), 1).values;
      new Float32Array(koffi.view(address, bytes)).fill(cache);
    }
    pool.remove(1);
    assert.deepEqual([...values(pool.view(1, 0, 2).values)], [3, 3, 3, 3, 2, 2, 2, 2]);
    pool.add(4);
    assert.deepEqual([...values(pool.view(1, 1, 2).values)], [2, 2, 2, 2, 0, 0, 0, 0]);
    assert.deepEqual(
      [...values(pool.view(0, 0, 3).values)],
      Array.from({ length: 12 }, () => 0),
    );
    assert.equal(held.size, 4);
    pool.clear();
    assert.equal(held.size, 0);
    assert.equal(pool.size, 0);
  });

  it('who finds no room leaves the others as they were', () => {
    const { device, held } = short(6); // four sides, and two that somebody else takes
    const pool = createKvPool(SHAPE, createDeviceKvMemory(device, 'half'));
    pool.add(1);
    for (let full = 0; full < 2; full++) {
      const more = [device.allocate(8), device.allocate(8)];
      assert.throws(() => pool.add(2), { code: 'E_RUN' });
      assert.equal(pool.size, 1);
      assert.throws(() => pool.slotOf(2), RangeError);
      assert.equal(pool.view(1, 0, 1).values.bytes, 8);
      for (const address of more) device.release(address);
    }
    pool.add(3);
    const more = [device.allocate(8), device.allocate(8)];
    pool.remove(1);
    assert.equal(pool.slotOf(3), 0);
    for (const address of more) device.release(address);
    pool.clear();
    assert.equal(held.size, 0);
  });
});

describe('engine: where it runs', () => {
  const folders: string[] = [];
  const write = async (format: 'f16' | 'w8a8'): Promise<Model> => {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-device-'));
    folders.push(folder);
    await writeRandomModel(folder, { format });
    return openModel(folder);
  };
  let floats: Model;
  let integers: Model;
  before(async () => {
    [floats, integers] = await Promise.all([write('f16'), write('w8a8')]);
  });
  after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  /** What the lane is asked for; it then starts on the CPU. */
  const asked = async (model: Model, device: DeviceWish) => {
    const wishes: [DeviceWish, DeviceProfile][] = [];
    const engine = await createOnnxEngine(
      { model, cut: DEFAULT_CUT, threads: 1, device },
      {
        log: silentLog,
        startLane: (data, log, options) => {
          wishes.push([data.device, data.profile]);
          return startLane({ ...data, device: 'cpu' }, log, options);
        },
      },
    );
    await engine.close();
    return wishes;
  };

  /** Candidates after a prompt and after each of two tokens. */
  const tops = async (model: Model, device: DeviceWish): Promise<Float32Array[]> => {
    const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device }, { log: silentLog });
    try {
      await engine.load([0, 1] as ShardIndex[]);
      const range = { from: 0 as ShardIndex, to: 2 as ShardIndex };
      const session = await engine.openSession(range, { maxTokens: 64, owner: 'test', codec: 'f32' });
      const calls = [Array.from({ length: 20 }, (_, i) => i * 7), [5], [9]];
      return (await feed(session, calls)).map(({ values }) => values);
    } finally {
      await engine.close();
    }
  };

  it('text goes where it is asked to, as precisely as its audits want', async () => {
    assert.deepEqual(await asked(integers, 'auto'), [['auto', 'half']]);
    assert.deepEqual(await asked(floats, 'auto'), [['auto', 'single']]);
    assert.deepEqual(await asked(floats, 'cuda'), [['cuda', 'single']]);
    assert.deepEqual(await asked(floats, 'cpu'), [['cpu', 'single']]);
  });

  for (const [format, tolerance] of [
    ['f16', 1e-4],
    ['w8a8', 0.1],
  ] as const)
    it(`what tells decoders apart is the same there (${format})`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'tessera-device-'));
      folders.push(folder);
      await writeRandomModel(folder, { format, traits: { qkvBias: true, qkNorm: true, window: 5 } });
      const model = await openModel(folder);
      const [expected, found] = [await tops(model, 'cpu'), await tops(model, 'host')];
      for (const [i, values] of expected.entries())
        assert.ok(distance(found[i] ?? values.map(() => 0), values) < tolerance, `step ${i}`);
    });

  it('memory is booked for what a device makes of the weights', () => {
    const booked = ({ manifest }: Model, profile: DeviceProfile) => {
      const [shard] = manifest.shards;
      return shard === undefined ? 0 : deviceMemory(shard, profile).weights / shard.memory.weights;
    };
    assert.equal(booked(floats, 'single'), 1);
    assert.ok(Math.abs(booked(floats, 'half') - 0.5) < 0.01);
    assert.equal(booked(integers, 'single'), 2);
    assert.equal(booked(integers, 'half'), 1);
  });

  it('a manifest that tells of other weights than the graph has is not followed', async () => {
    const manifest = textManifest(floats.manifest);
    const [shard] = manifest.shards;
    assert.ok(shard !== undefined);
    const graph = await checkedGraph(floats, shard, shard.graph);
    assert.ok(deviceGraph(manifest, shard, graph, 'half').length > 0);
    const unsafe = { code: 'E_UNSAFE' };
    assert.throws(
      () => deviceGraph({ ...manifest, shape: { ...manifest.shape, ffn: 7 } }, shard, graph, 'half'),
      unsafe,
    );
    assert.throws(
      () =>
        deviceGraph({ ...manifest, attention: { qkvBias: true, qkNorm: false, window: null } }, shard, graph, 'single'),
      unsafe,
    );
  });
});
