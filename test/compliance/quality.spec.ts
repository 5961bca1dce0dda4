// Comparing two models on a text: nothing is lost against oneself, much against a stranger, and the perplexity is that of the whole vocabulary.

import { strict as assert } from 'node:assert';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { publishModel } from '../../src/engine/publish.ts';
import { beginningOf, compareQuality, greedyTokens, type Loaded } from '../../src/engine/quality.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { storedSource } from '../../src/model/stored.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { silentLog } from '../../src/util/log.ts';
import { writeRandomModel } from '../support/random-model.ts';

const IDS = Array.from({ length: 30 }, (_, i) => (i * 37 + 5) % 288);

describe('engine: quality of one model beside another', () => {
  const folders: string[] = [];
  const load = async (seed: string, format: 'f16' | 'int4b32' = 'f16'): Promise<Loaded> => {
    const folder = await mkdtemp(join(tmpdir(), 'tessera-quality-'));
    folders.push(folder);
    await writeRandomModel(folder, { blocks: 1, shards: 1, maxContext: 64, seed, format });
    const model = await openModel(folder);
    return { engine: createReferenceEngine({ model, cut: DEFAULT_CUT }), manifest: model.manifest, cut: DEFAULT_CUT };
  };
  afterEach(() => Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true }))));

  it('against itself', async () => {
    const report = await compareQuality(await load('a'), await load('a'), IDS);
    assert.deepEqual([report.positions, report.sameBest, report.divergence], [29, 1, 0]);
    assert.equal(report.perplexity.before, report.perplexity.after);
    // Random weights know nothing: about as surprised as one who guesses among 288.
    assert.ok(report.perplexity.before > 100 && report.perplexity.before < 1500, String(report.perplexity.before));
  });

  it('rounded, it is nearer to itself than to a stranger', async () => {
    const rounded = await compareQuality(await load('a'), await load('a', 'int4b32'), IDS);
    const stranger = await compareQuality(await load('a'), await load('b'), IDS);
    assert.ok(rounded.divergence > 0 && rounded.divergence < stranger.divergence / 4);
    assert.ok(rounded.sameBest > stranger.sameBest);
  });
});

describe('engine: the bundled model in int8', () => {
  it('reads held-out stories as well, and goes on with them in the same words', async () => {
    const root = await mkdtemp(join(tmpdir(), 'tessera-quality-'));
    const started: Loaded[] = [];
    const start = async (model: Model): Promise<Loaded> => {
      const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log: silentLog });
      const loaded = { engine, manifest: model.manifest, cut: DEFAULT_CUT };
      started.push(loaded);
      return loaded;
    };
    try {
      const model = await openModel('models/tiny');
      const options = { name: 'tiny', license: 'MIT', shardBlocks: [4, 4], format: 'w8a8' } as const;
      const rounded = await publishModel(join(root, 'int8'), await storedSource(model), options, { log: silentLog });
      const [whole, int8] = [await start(model), await start(rounded)];
      const { encodePrompt } = await openTokenizer(model);
      const stories = (await readFile('test/vectors/held-stories.txt', 'utf8')).trim().split('\n');
      let same = 0;
      for (const [i, story] of stories.entries()) {
        const prompt = encodePrompt(beginningOf(story));
        const [expected, found] = [await greedyTokens(whole, prompt, 32), await greedyTokens(int8, prompt, 32)];
        if (found.join() === expected.join()) same += 1;
        if (i > 1) continue;
        const { sameBest, perplexity } = await compareQuality(whole, int8, encodePrompt(story));
        assert.ok(sameBest > 0.98, `${sameBest}`);
        assert.ok(perplexity.after < 1.005 * perplexity.before, JSON.stringify(perplexity));
      }
      assert.ok(same >= 9, `${same} of ${stories.length}`);
    } finally {
      await Promise.all(started.map(({ engine }) => engine.close()));
      await rm(root, { recursive: true });
    }
  });
});
