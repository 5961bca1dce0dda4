// Writes the bundled model in our own form: `npm run model:export -- HF_DIR OUT_DIR`. The same folder gives the same bytes.

import { measureBoundaries } from '../../src/engine/calibrate.ts';
import { createOnnxEngine } from '../../src/engine/onnx.ts';
import { importHf } from '../../src/model/import.ts';
import { openModel } from '../../src/model/open.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { DEFAULT_CUT, setBoundaryRms, writeModel } from '../../src/model/write.ts';
import { createLog } from '../../src/util/log.ts';

/** Two of the eight blocks per shard (docs/ARCHITECTURE.md: four shards). */
const SHARD_BLOCKS = [2, 2, 2, 2];
/** Text of the kind that the model was trained on, on which the boundaries are measured. */
const TEXT =
  'Once upon a time, a small fox named Pip lived near the old mill. Every morning Pip walked to the river and looked at the boats. ' +
  'One day a letter came, but it was not for Pip. "It is the wrong house," said Pip. "I will take it there myself." So the fox set out at once. ' +
  'The way was long, and it began to rain. At the bridge sat an owl named Nora. "Where are you going?" asked Nora. "Over the hill and then left," ' +
  'said Pip. At last they knocked at a blue door. "A letter for you," said Pip. The old bear opened it with shaking hands and smiled. ' +
  '"You must be hungry," said the bear, and they ate honey by the fire until the stars came out. Then Pip went home and slept well.';

async function main([from, to]: readonly string[]): Promise<void> {
  if (from === undefined || to === undefined) throw new RangeError('usage: export.ts HF_DIR OUT_DIR');
  const source = await importHf(from);
  try {
    await writeModel(to, source, { name: 'tiny', license: 'MIT', shardBlocks: SHARD_BLOCKS });
  } finally {
    await source.close();
  }
  const model = await openModel(to);
  const { encodePrompt } = await openTokenizer(model);
  const engine = await createOnnxEngine(
    { model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' },
    { log: createLog({ level: 'warn' }) },
  );
  try {
    await setBoundaryRms(to, await measureBoundaries(engine, model.manifest, DEFAULT_CUT, encodePrompt(TEXT)));
  } finally {
    await engine.close();
  }
  const { hash, manifest } = await openModel(to);
  const bytes = Object.values(manifest.files).reduce((sum, file) => sum + file.bytes, 0);
  process.stdout.write(`${JSON.stringify({ manifest: hash, files: Object.keys(manifest.files).length, bytes })}\n`);
}

await main(process.argv.slice(2));
