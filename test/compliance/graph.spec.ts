// Graphs of other people: whole or cut, a graph gives what onnxruntime gives for its file; what could hide work or reach outside is refused by code.

import { strict as assert } from 'node:assert';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ort from 'onnxruntime-node';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { publishGraph } from '../../src/engine/publish-graph.ts';
import type { Engine } from '../../src/engine/types.ts';
import { brokenForeignRule, readForeign } from '../../src/graph/foreign.ts';
import { createProtoWriter } from '../../src/graph/protobuf.ts';
import type { Model } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import type { ShardIndex } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { MLP, mlp, waves } from '../support/foreign-graphs.ts';

const { width: WIDTH, classes: CLASSES, layers: LAYERS } = MLP;

describe('model: graphs of other people', () => {
  let folder: string;
  let engine: Engine | undefined;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-graph-'));
  });
  afterEach(async () => {
    await engine?.close();
    engine = undefined;
    await rm(folder, { recursive: true });
  });
  const at = (name: string) => join(folder, name);
  const publish = (file: string, parts: number) =>
    publishGraph(at(`ours-${parts}`), file, { name: 'graph', license: 'MIT', parts });
  const input = () => Float32Array.from({ length: 5 * WIDTH }, (_, i) => Math.cos(i * 1.3));
  const whole = async (file: string) => {
    const session = await ort.InferenceSession.create(file);
    const { logits } = await session.run({ image: new ort.Tensor('float32', input(), [5, WIDTH]) });
    await session.release();
    return logits?.data as Float32Array;
  };
  const run = async (model: Model) => {
    engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log: silentLog });
    const count = model.manifest.shards.length;
    await engine.load(model.manifest.shards.map((_, k) => k as ShardIndex));
    let tensors = [{ name: 'image', dims: [5, WIDTH], data: input() }] as Parameters<Engine['run']>[1];
    for (let k = 0; k < count; k++) {
      const range = { from: k as ShardIndex, to: (k + 1) as ShardIndex };
      tensors = await engine.run(range, structuredClone([...tensors]), { owner: 'test' });
    }
    return tensors[0]?.data as Float32Array;
  };
  const assertSame = (found: Float32Array, expected: Float32Array) => {
    assert.equal(found.length, expected.length);
    for (const [i, value] of expected.entries())
      assert.ok(Math.abs((found[i] ?? Number.NaN) - value) < 1e-5 * Math.max(1, Math.abs(value)));
  };

  for (const parts of [1, 3, 9])
    it(`cut into at most ${parts}: what onnxruntime gives for the file`, async () => {
      await writeFile(at('mlp.onnx'), mlp());
      const model = await publish(at('mlp.onnx'), parts);
      assert.equal(model.manifest.arch, 'graph');
      // Between layers, and before the head.
      assert.equal(model.manifest.shards.length, Math.min(parts, LAYERS + 1));
      assertSame(await run(model), await whole(at('mlp.onnx')));
    });

  it('weights in a file beside it', async () => {
    const weights = { location: 'mlp.data', bytes: [] as Uint8Array[] };
    await writeFile(at('mlp.onnx'), mlp(weights));
    await writeFile(at('mlp.data'), Buffer.concat(weights.bytes));
    assertSame(await run(await publish(at('mlp.onnx'), 2)), await whole(at('mlp.onnx')));
  });

  it('answers challenges, a row per sample, the same each time', async () => {
    await writeFile(at('mlp.onnx'), mlp());
    const model = await publish(at('mlp.onnx'), 2);
    await run(model);
    for (const [k, shard] of model.manifest.shards.entries()) {
      assert.ok(shard.auditable && shard.gBits > 0);
      const rows = () => ({ kind: 'hidden', data: waves(16 * WIDTH, k), count: 16 }) as const;
      const answer = await engine?.challenge(k as ShardIndex, rows());
      assert.equal(answer?.length, 16 * (k === 0 ? WIDTH : CLASSES));
      assert.deepEqual(await engine?.challenge(k as ShardIndex, rows()), answer);
    }
  });

  it('a damaged file is another graph or a GraphError', () => {
    const original = mlp();
    let [state, refused] = [7, 0];
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let i = 0; i < 1000; i++) {
      const bytes = original.slice(0, random(8) === 0 ? random(original.length) : original.length);
      // In the nodes and names: most of the file is weights.
      for (let n = random(3); n >= 0; n--) bytes[random(Math.min(bytes.length, 1500))] = random(256);
      try {
        if (brokenForeignRule(readForeign(bytes), () => undefined) !== undefined) refused++;
      } catch (error) {
        assert.equal(errorCode(error), 'GRAPH_MALFORMED', String(error));
        refused++;
      }
    }
    assert.ok(refused > 500, `${refused} of 1000`);
  });

  describe('refuses', () => {
    const refused = async (bytes: Uint8Array, words: RegExp) => {
      await writeFile(at('bad.onnx'), bytes);
      await assert.rejects(publish(at('bad.onnx'), 2), (error) => {
        assert.match(errorCode(error), /^MODEL_(UNSUPPORTED|FILE)$/);
        assert.match(String(error), words);
        return true;
      });
    };
    const graphOf = (more: (graph: ReturnType<typeof createProtoWriter>) => void) => {
      const graph = createProtoWriter();
      more(graph);
      return createProtoWriter()
        .int(1, 9)
        .message(7, graph)
        .message(8, createProtoWriter().text(1, '').int(2, 17))
        .finish();
    };
    const node = (op: string) => createProtoWriter().text(1, 'x').text(2, 'y').text(4, op);

    for (const location of ['../secret', '/etc/passwd', 'a/b', '..', 'missing.data'])
      it(`weights in ${location}`, async () => {
        await mkdir(at('a'), { recursive: true });
        await writeFile(at('a/b'), 'x'.repeat(100_000));
        await refused(mlp({ location, bytes: [] }), /no file beside the graph/);
      });
    it('an operator that is not on the list', () =>
      refused(
        graphOf((graph) => graph.message(1, node('Loop'))),
        /Loop is not on the list/,
      ));
    it('a sub-graph in an attribute', () =>
      refused(
        graphOf((graph) =>
          graph.message(
            1,
            node('Relu').message(5, createProtoWriter().text(1, 'body').message(6, createProtoWriter()).int(20, 5)),
          ),
        ),
        /holds a graph/,
      ));
    it('a file named in an attribute', () =>
      refused(
        graphOf((graph) =>
          graph.message(
            1,
            node('Constant').message(
              5,
              createProtoWriter().text(1, 'value').message(5, createProtoWriter().int(14, 1)).int(20, 4),
            ),
          ),
        ),
        /names a file/,
      ));
    it('sparse tensors with absurd dims', () =>
      refused(
        graphOf((graph) => graph.message(15, createProtoWriter().int(3, 2 ** 50))),
        /sparse tensors/,
      ));
    it('dims beyond all memory', () =>
      refused(
        graphOf((graph) =>
          graph.message(
            5,
            createProtoWriter()
              .int(1, 2 ** 40)
              .int(1, 2 ** 12)
              .int(2, 1)
              .text(8, 'w')
              .bytes(9, new Uint8Array(4)),
          ),
        ),
        /dims of w/,
      ));
    it('fewer bytes than its dims', () =>
      refused(
        graphOf((graph) =>
          graph.message(
            5,
            createProtoWriter()
              .int(1, 2 ** 30)
              .int(2, 1)
              .text(8, 'w')
              .bytes(9, new Uint8Array(4)),
          ),
        ),
        /4 bytes, not/,
      ));
    it('functions', () =>
      refused(createProtoWriter().int(1, 9).message(25, createProtoWriter()).finish(), /functions/));
    it('a truncated file', () => refused(mlp().subarray(0, 5000), /past the end|no model|one graph/));
    it('what is no model at all', () => refused(new TextEncoder().encode('hello world'), /./));
  });
});
