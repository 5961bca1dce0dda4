// Receipts of an encoder's real runs, judged by an engine of its own (protocol.md 13): honest ones stand whatever the threads, and less than
// the model is found at the shard that differs.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import type { Engine } from '../../src/engine/types.ts';
import { ENCODER_PORT } from '../../src/graph/encoder.ts';
import { cutShards } from '../../src/model/manifest.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { identityFromSeed, verifySignature } from '../../src/p2p/identity.ts';
import type { Finding } from '../../src/receipts/judge.ts';
import { replayRunBorders } from '../../src/receipts/replay.ts';
import { type JudgedRun, judgeRun } from '../../src/receipts/run-judge.ts';
import { createRunTranscript } from '../../src/receipts/run-transcript.ts';
import type { BlockNumber, ShardIndex } from '../../src/types/ids.ts';
import type { NamedTensor } from '../../src/types/tensor.ts';
import { silentLog } from '../../src/util/log.ts';
import { signRequest } from '../../src/wire/envelope.ts';
import { encodeOpen, INFER_PROTOCOL, OPEN_METHOD, type SessionSalt, sessionIdOf } from '../../src/wire/infer.ts';
import { writeRandomEncoder } from '../support/random-encoder.ts';
import { judgedShards, replayModel } from '../support/served.ts';

const BLOCK = 7 as BlockNumber;
const SALT = '0a'.repeat(16) as SessionSalt;
const client = identityFromSeed(new Uint8Array(32).fill(77));
const hops = [1, 2].map((i) => identityFromSeed(new Uint8Array(32).fill(i)));
/** Three shards on two hops. */
const RUNS = [
  [0, 2],
  [2, 3],
] as const;
const never = new AbortController().signal;

type Alter = (tensors: readonly NamedTensor[]) => readonly NamedTensor[];

describe('audits of an encoder', function () {
  this.timeout(120_000);
  const folders: string[] = [];
  const engines: Engine[] = [];
  let model: Model;
  let honest: Engine;
  let auditor: Engine;

  async function bringIn(format: 'f32' | 'w8a8'): Promise<Model> {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-run-audits-'));
    folders.push(folder);
    await writeRandomEncoder(join(folder, 'model'), { format, shardBlocks: [1, 1, 1] });
    return openModel(join(folder, 'model'));
  }

  async function startEngine(of: Model, threads: number): Promise<Engine> {
    const engine = await createOnnxEngine({ model: of, cut: DEFAULT_CUT, threads, device: 'cpu' }, { log: silentLog });
    engines.push(engine);
    await engine.load([0, 1, 2] as ShardIndex[]);
    return engine;
  }

  before(async () => {
    model = await bringIn('f32');
    honest = await startEngine(model, 1);
    auditor = await startEngine(model, 2);
  });
  after(async () => {
    await Promise.all(engines.map((engine) => engine.close()));
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
  });

  function batch(seed: number, size = 3, length = 20): NamedTensor[] {
    const ids = Int32Array.from({ length: size * length }, (_, i) => 5 + ((i * 31 + seed * 17) % 60));
    const mask = Int32Array.from(ids, (_, i) => (i % length < length - (Math.floor(i / length) % 3) ? 1 : 0));
    return [
      { name: ENCODER_PORT.ids, dims: [size, length], data: ids },
      { name: ENCODER_PORT.mask, dims: [size, length], data: mask },
      { name: ENCODER_PORT.segments, dims: [size, length], data: new Int32Array(size * length) },
    ].filter(({ name }) => portsOf(0).includes(name));
  }

  function portsOf(shard: number): readonly string[] {
    return cutShards(model.manifest, DEFAULT_CUT)[shard]?.inputs.map(({ name }) => name) ?? [];
  }

  /** What both hops sign for one run; each computes with its own engine, and may give something else. */
  async function serve(seed: number, by: readonly Engine[], alter: readonly (Alter | undefined)[] = []) {
    const route = RUNS.map(([from, to], i) => {
      return { from: from as ShardIndex, to: to as ShardIndex, peer: hops[i]?.peer ?? client.peer };
    });
    const facts = { session: sessionIdOf(client.peer, SALT), manifest: model.hash, codec: 'f16' as const };
    const judged: JudgedRun[] = [];
    let tensors: readonly NamedTensor[] = batch(seed);
    for (const [hop, run] of route.entries()) {
      const transcript = createRunTranscript({ ...facts, run, next: route[hop + 1], hasRoom: () => true });
      const own = tensors.map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
      const computed = (await by[hop]?.run(run, own, { owner: 'test' })) ?? [];
      const outputs = alter[hop]?.(computed) ?? computed;
      const known = new Map([...tensors, ...outputs].map((tensor) => [tensor.name, tensor]));
      const onward = run.to === 3 ? outputs : portsOf(run.to).flatMap((name) => known.get(name) ?? []);
      const receipt = transcript.add(tensors, onward, BLOCK);
      const [kept] = transcript.runs;
      assert.ok(kept);
      const body = encodeOpen({ salt: SALT, manifest: model.hash, codec: 'f16', maxTokens: 1, route, hop });
      const asked = { protocol: INFER_PROTOCOL, method: OPEN_METHOD, from: client.peer, to: run.peer, issuedAt: BLOCK };
      const request = signRequest({ ...asked, body }, client.sign);
      judged.push({ peer: run.peer, hop, receipt, request, ...kept });
      tensors = onward;
    }
    return judged;
  }

  function judge(judged: JudgedRun, accused: Engine = honest): Promise<Finding> {
    const { inputs: _, ...shape } = { ...replayModel(model), inputs: undefined };
    const inputs = cutShards(model.manifest, DEFAULT_CUT).map((shard) => shard.inputs);
    const of = { ...shape, inputs };
    const deps = { engine: auditor, model: of, shards: judgedShards(model), verify: verifySignature };
    const bordersOf = async () => replayRunBorders(judged.receipt, batch(1), of, accused, never);
    return judgeRun(judged, { ...deps, bordersOf }, never);
  }

  function shardOf(finding: Finding): number | string {
    return finding.at === 'bad' ? finding.shard : finding.at;
  }

  it('stand when the work was honest', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      for (const one of await serve(seed, [honest, honest])) assert.deepEqual(await judge(one), { at: 'good' });
    }
  });

  it('find weights in 8 bits, at the first shard of the hop', async () => {
    const cheap = await startEngine(await bringIn('w8a8'), 1);
    const [first, last] = await serve(1, [cheap, cheap]);
    assert.ok(first && last);
    assert.equal(shardOf(await judge(first, cheap)), 0);
    assert.equal(shardOf(await judge(last, cheap)), 2);
  });

  it('find tensors that are a hundredth too large, and a hop that lies does not taint the next', async () => {
    const larger: Alter = (tensors) =>
      tensors.map((one) => (one.data instanceof Float32Array ? { ...one, data: one.data.map((x) => 1.01 * x) } : one));
    const [first, last] = await serve(1, [honest, honest], [larger]);
    assert.ok(first && last);
    assert.equal(shardOf(await judge(first)), 1, 'its own borders inside the run are right');
    assert.equal(shardOf(await judge(last)), 'good');
  });

  it('find results of another text', async () => {
    const [, other] = await serve(2, [honest, honest]);
    const [, last] = await serve(1, [honest, honest], [undefined, () => tensorsOf(other)]);
    assert.ok(last);
    assert.equal(shardOf(await judge(last)), 2);
  });

  it('find tensors and requests that are not those of the receipt; accuse nobody over another model', async () => {
    const [first, last] = await serve(1, [honest, honest]);
    const [other] = await serve(2, [honest, honest]);
    assert.ok(first && last && other);
    const notIts = { at: 'bad', shard: 0, why: 'tensors that are not those of the receipt' };
    assert.deepEqual(await judge({ ...first, taken: other.taken }), notIts);
    assert.deepEqual(await judge({ ...first, given: other.given }), notIts);
    const unasked = { at: 'bad', shard: 0, why: "without the client's request" };
    assert.deepEqual(await judge({ ...first, request: last.request }), unasked);
    const elsewhere = { ...first.receipt, manifest: 'ee'.repeat(32) };
    assert.equal(shardOf(await judge({ ...first, receipt: elsewhere })), 'unclear');
  });

  function tensorsOf(judged: JudgedRun | undefined): readonly NamedTensor[] {
    assert.ok(judged);
    const data = new Float32Array(judged.given.tensor.slice().buffer);
    const [[name, , dims]] = judged.given.header as [[string, string, number[]]];
    return [{ name, dims, data }];
  }
});
