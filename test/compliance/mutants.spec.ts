// Damaged graphs: most break a rule, the runtime refuses most others, and whatever it takes runs to an end without harm to the process.

import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publishGraph } from '../../src/engine/publish-graph.ts';
import { WEIGHT_FORMATS } from '../../src/graph/formats.ts';
import { FOREIGN_GRAPHS } from '../support/foreign-graphs.ts';
import { writeRandomEncoder } from '../support/random-encoder.ts';
import { writeRandomModel } from '../support/random-model.ts';

const PROGRAM = fileURLToPath(new URL('../support/load-mutants.ts', import.meta.url));
const SEED = 20_261_121;
/** Mutants that pass the rules, of each graph. */
const COUNT = 40;

describe('engine: damaged graphs', function () {
  this.timeout(10 * 60_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tessera-mutants-'));
  });
  after(() => rm(folder, { recursive: true }));

  for (const format of WEIGHT_FORMATS)
    it(`${format}, seed ${SEED}`, async () => {
      const model = join(folder, format);
      const traits = { tie: false, qkvBias: true, qkNorm: true, window: 4 };
      await writeRandomModel(model, { blocks: 1, shards: 1, maxContext: 64, format, traits });
      await surviveAll(model, [`${format}-0-1.onnx`, `${format}-0-1.det.onnx`]);
    });

  it(`an encoder, seed ${SEED}`, async () => {
    const model = join(folder, 'encoder');
    await writeRandomEncoder(model, { shardBlocks: [3] });
    await surviveAll(model, ['f32-0-3.onnx', 'f32-0-3.det.onnx']);
  });

  for (const [name, make] of Object.entries(FOREIGN_GRAPHS))
    it(`of other people: ${name}, seed ${SEED}`, async () => {
      const model = join(folder, name);
      await writeFile(`${model}.onnx`, make());
      const { manifest } = await publishGraph(model, `${model}.onnx`, { name, license: 'MIT', parts: 1 });
      await surviveAll(model, [manifest.shards[0]?.graph ?? '']);
    });
});

async function surviveAll(model: string, graphs: readonly string[]): Promise<void> {
  for (const graph of graphs) {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, model, graph, `${SEED}`, `${COUNT}`], {
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    });
    const { broken, refused, failed, ran } = JSON.parse(stdout);
    assert.equal(refused + failed + ran, COUNT);
    assert.ok(broken > COUNT / 4, `${broken} broke a rule`);
    assert.ok(ran > 0, 'none of them ran: the harness is broken');
  }
}
