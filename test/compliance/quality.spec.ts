// Comparing two models on a text: nothing is lost against oneself, much against a stranger, and the perplexity is that of the whole vocabulary.

import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareQuality, type Loaded } from '../../src/engine/quality.ts';
import { createReferenceEngine } from '../../src/engine/reference.ts';
import { openModel } from '../../src/model/open.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
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
