// Writes encoders with the weights and the tokenizer of test/vectors/encoders.json in our own form.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publishModel } from '../../src/engine/publish.ts';
import type { WeightFormat } from '../../src/graph/formats.ts';
import { importEncoder } from '../../src/model/import-encoder.ts';
import { silentLog } from '../../src/util/log.ts';
import { type EncoderFolder, writeEncoderFolder } from './hf-encoder-folder.ts';

/** The first model of the vectors: three blocks of width 64. */
export async function writeRandomEncoder(
  dir: string,
  {
    format = 'f32',
    shardBlocks = [1, 2],
  }: { readonly format?: WeightFormat; readonly shardBlocks?: readonly number[] } = {},
): Promise<void> {
  const text = await readFile(new URL('../vectors/encoders.json', import.meta.url), 'utf8');
  const { tokenizer, models } = JSON.parse(text) as {
    readonly tokenizer: object;
    readonly models: readonly Omit<EncoderFolder, 'tokenizer'>[];
  };
  const [first] = models;
  if (first === undefined) throw new RangeError('no vectors');
  const folder = await mkdtemp(join(tmpdir(), 'tessera-hf-'));
  try {
    await writeEncoderFolder(folder, { ...first, tokenizer });
    const source = await importEncoder(folder);
    try {
      await publishModel(dir, source, { name: 'encoder', license: 'MIT', shardBlocks, format }, { log: silentLog });
    } finally {
      await source.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}
