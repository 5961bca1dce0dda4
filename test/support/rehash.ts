// A model whose publisher did the damage: the manifest names the file as it now is.

import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../../src/model/manifest.ts';

export async function rehash(folder: string, file: string): Promise<void> {
  const bytes = await readFile(join(folder, file));
  const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'));
  manifest.files[file] = { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  await writeFile(join(folder, 'manifest.json'), canonicalJson(manifest));
}
