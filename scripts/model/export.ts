// Writes the bundled model in our own form: `npm run model:export -- HF_DIR OUT_DIR`. The same folder gives the same bytes.

import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publishModel } from '../../src/engine/publish.ts';
import { importHf } from '../../src/model/import.ts';
import { createLog } from '../../src/util/log.ts';

/** Two of the eight blocks per shard (docs/ARCHITECTURE.md: four shards). */
const SHARD_BLOCKS = [2, 2, 2, 2];
/** What lies in the folder beside the model. */
const OTHERS = ['README.md', 'prompts.json'];

async function main([from, to]: readonly string[]): Promise<void> {
  if (from === undefined || to === undefined) throw new RangeError('usage: export.ts HF_DIR OUT_DIR');
  const draft = await mkdtemp(join(tmpdir(), 'tessera-export-'));
  const source = await importHf(from);
  try {
    const log = createLog({ level: 'warn' });
    const model = await publishModel(
      join(draft, 'model'),
      source,
      { name: 'tiny', license: 'MIT', shardBlocks: SHARD_BLOCKS },
      { log },
    );
    for (const file of await readdir(to)) if (!OTHERS.includes(file)) await rm(join(to, file));
    await cp(join(draft, 'model'), to, { recursive: true });
    const files = Object.values(model.manifest.files);
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    process.stdout.write(`${JSON.stringify({ manifest: model.hash, files: files.length, bytes })}\n`);
  } finally {
    await source.close();
    await rm(draft, { recursive: true });
  }
}

await main(process.argv.slice(2));
