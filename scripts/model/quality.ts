// `npm run model:quality [-- MODEL_DIR]`: what each weight format costs the bundled model, beside the model as it is, on stories about heroes that no
// document of training has (test/vectors/held-stories.txt): size, likeliest tokens, divergence, perplexity, and the first greedy tokens behind their
// beginnings; also with other layers kept than is usual.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { publishModel } from '../../src/engine/publish.ts';
import { beginningOf, compareQuality, greedyTokens, type Loaded } from '../../src/engine/quality.ts';
import { type LayerFormats, WEIGHT_FORMATS, type WeightFormat } from '../../src/graph/formats.ts';
import { type Model, openModel } from '../../src/model/open.ts';
import { storedSource } from '../../src/model/stored.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT } from '../../src/model/write.ts';
import { createLog } from '../../src/util/log.ts';

const [folder = fileURLToPath(new URL('../../models/tiny', import.meta.url))] = process.argv.slice(2);
const STORIES = fileURLToPath(new URL('../../test/vectors/held-stories.txt', import.meta.url));
const GREEDY_TOKENS = 32;
const log = createLog({ level: 'warn' });

interface Variant {
  readonly format: WeightFormat;
  /** Those that are usual unless given. */
  readonly layers?: LayerFormats;
}

const VARIANTS: readonly Variant[] = [
  ...WEIGHT_FORMATS.map((format) => ({ format })),
  { format: 'w8a8', layers: { down: 'f16', head: 'f16' } },
  ...(['int4b32', 'int4b128'] as const).flatMap((format): Variant[] => [
    { format, layers: {} },
    { format, layers: { head: 'w8a8', down: 'w8a8' } },
  ]),
];

async function start(model: Model): Promise<Loaded> {
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu' }, { log });
  return { engine, manifest: model.manifest, cut: DEFAULT_CUT };
}

async function write(model: Model, variant: Variant, folder: string): Promise<Model> {
  const shardBlocks = model.manifest.shards.map(({ from, to }) => to - from);
  const options = { name: model.manifest.name, license: model.manifest.license, shardBlocks, ...variant };
  return publishModel(folder, await storedSource(model), options, { log });
}

function nameOf({ format, layers }: Variant): string {
  if (layers === undefined) return format;
  const others = Object.entries(layers).map(([layer, own]) => `${layer} in ${own}`);
  return others.length === 0 ? `${format} throughout` : `${format}, ${others.join(', ')}`;
}

const root = await mkdtemp(join(tmpdir(), 'tessera-quality-'));
try {
  const model = await openModel(folder);
  const { encodePrompt } = await openTokenizer(model);
  const texts = (await readFile(STORIES, 'utf8')).trim().split('\n');
  const stories = texts.map(encodePrompt);
  // Begun, so that what follows is no free choice: of openings alone, where many words are as good, fewer come out the same.
  const begun = texts.map((text) => encodePrompt(beginningOf(text)));
  const whole = await start(model);
  const expected: (readonly number[])[] = [];
  for (const prompt of begun) expected.push(await greedyTokens(whole, prompt, GREEDY_TOKENS));
  process.stdout.write(
    `| format | files | same likeliest token | divergence (nats) | perplexity | first ${GREEDY_TOKENS} greedy tokens the same |\n|---|---|---|---|---|---|\n`,
  );
  for (const [i, variant] of VARIANTS.entries()) {
    const made = await write(model, variant, join(root, `${i}`));
    const bytes = Object.values(made.manifest.files).reduce((sum, file) => sum + file.bytes, 0);
    const other = await start(made);
    const sums = { positions: 0, same: 0, divergence: 0, before: 0, after: 0 };
    for (const story of stories) {
      const { positions, sameBest, divergence, perplexity } = await compareQuality(whole, other, story);
      sums.positions += positions;
      sums.same += sameBest * positions;
      sums.divergence += divergence * positions;
      sums.before += Math.log(perplexity.before) * positions;
      sums.after += Math.log(perplexity.after) * positions;
    }
    let same = 0;
    for (const [i, prompt] of begun.entries()) {
      const found = await greedyTokens(other, prompt, GREEDY_TOKENS);
      if (found.join() === expected[i]?.join()) same += 1;
    }
    const mean = (sum: number): number => sum / sums.positions;
    process.stdout.write(
      `| ${nameOf(variant)} | ${(bytes / 1e6).toFixed(1)} MB | ${(100 * mean(sums.same)).toFixed(1)} % | ${mean(sums.divergence).toFixed(5)} | ${Math.exp(mean(sums.after)).toFixed(3)} (${Math.exp(mean(sums.before)).toFixed(3)}) | ${same} of ${begun.length} |\n`,
    );
    await other.engine.close();
  }
  await whole.engine.close();
} finally {
  await rm(root, { recursive: true, force: true });
}
