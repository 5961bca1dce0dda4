// `tessera model import|quantize|inspect|verify`: models on this machine, before a network is asked to serve them.

import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { checkedGraph } from '../../engine/checked.ts';
import { embedLocal } from '../../engine/embed.ts';
import { createOnnxEngine } from '../../engine/onnx.ts';
import { CALIBRATION_TEXT, type PublishOptions, publishModel } from '../../engine/publish.ts';
import { compareEmbeddings, compareQuality, type EmbeddingReport, type QualityReport } from '../../engine/quality.ts';
import { INT4_BLOCK, type WeightFormat } from '../../graph/formats.ts';
import { isEncoderFolder } from '../../model/hf-encoder.ts';
import { importHf } from '../../model/import.ts';
import { importEncoder } from '../../model/import-encoder.ts';
import { type Model, openModel, readManifest } from '../../model/open.ts';
import { planModel } from '../../model/plan.ts';
import type { ModelSource } from '../../model/source.ts';
import { storedSource } from '../../model/stored.ts';
import { openTokenizer } from '../../model/tokenizer.ts';
import { DEFAULT_CUT } from '../../model/write.ts';
import type { OptionName } from '../../node/options.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { describeModel, describeQuality, megabytes, modelFacts, weightBytes } from '../model-words.ts';
import { createProgress } from '../progress.ts';

const OPTIONS = [
  'out',
  'format',
  'parts',
  'model-name',
  'license',
  'context',
  'text',
] as const satisfies readonly OptionName[];
type Context = CommandContext<(typeof OPTIONS)[number]>;

const ACTIONS: Readonly<Record<string, (context: Context, folder: string) => Promise<void>>> = {
  import: importModel,
  quantize: quantizeModel,
  inspect: inspectModel,
  verify: verifyModel,
};

export const model = defineCommand({
  name: 'model',
  describe: 'import, quantize, inspect or verify a model folder',
  examples: [
    'tessera model import ~/TinyLlama-1.1B-Chat --out models/tinyllama --format int4 --license Apache-2.0',
    'tessera model quantize models/tiny --out models/tiny-int4 --format int4',
    'tessera model inspect models/tiny',
    'tessera model verify models/tiny',
  ],
  options: OPTIONS,
  positional: 'words',
  async run(context) {
    const [action = '', ...rest] = context.text.split(' ');
    const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    const folder = rest.join(' ');
    if (run === undefined || folder === '')
      throw new UsageError(`tessera model ${Object.keys(ACTIONS).join('|')} FOLDER (see tessera model --help)`);
    await run(context, folder);
  },
});

/** A Hugging Face folder becomes a model of ours. */
async function importModel(context: Context, folder: string): Promise<void> {
  const { options, io } = context;
  const out = needOut(context);
  if (options.license === undefined)
    io.note('No --license was given: the manifest says "unknown", and whoever serves the model cannot know.');
  const encoder = await isEncoderFolder(folder);
  const source = await (encoder ? importEncoder : importHf)(folder, { maxContext: options.context });
  try {
    const made = await publish(context, out, source, {
      name: options['model-name'] ?? safeName(folder),
      license: options.license ?? 'unknown',
      shardBlocks: evenly(source.shape.blocks, options.parts),
      format: formatOf(options.format ?? (encoder ? 'f32' : 'f16'), source),
    });
    io.result(
      { event: 'imported', folder: out, manifest: made.hash, ...modelFacts(made.manifest) },
      describeModel(made),
    );
    io.note(
      `Next: tessera ${encoder ? 'embed' : 'generate'} "..." --local --model ${out}, or tessera register-subnet --model ${out}`,
    );
  } finally {
    await source.close();
  }
}

/** A model of ours in half precision becomes one with smaller weights, and says what that cost. */
async function quantizeModel(context: Context, folder: string): Promise<void> {
  const { options, io, log } = context;
  const out = needOut(context);
  const before = await openModel(folder, context.signal);
  const source = await storedSource(before);
  const format = formatOf(options.format ?? 'int4', source);
  const made = await publish(context, out, source, {
    name: options['model-name'] ?? before.manifest.name,
    license: options.license ?? before.manifest.license,
    shardBlocks: before.manifest.shards.map(({ from, to }) => to - from),
    format,
  });
  const text = options.text === undefined ? CALIBRATION_TEXT : await readFile(options.text, 'utf8');
  io.note('Reading the same text with both models ...');
  const report = await measure(before, made, text, log);
  const sizes = { before: weightBytes(before.manifest), after: weightBytes(made.manifest) };
  io.result(
    { event: 'quantized', folder: out, manifest: made.hash, format, bytes: sizes, quality: report },
    `${describeModel(made)}\n${describeQuality(report, sizes)}`,
  );
}

async function inspectModel({ io }: Context, folder: string): Promise<void> {
  const found = await readManifest(resolve(folder));
  io.result({ event: 'model', folder, manifest: found.hash, ...modelFacts(found.manifest) }, describeModel(found));
}

/** Every byte by its hash, and every graph by the rules of safe loading. */
async function verifyModel({ io, signal }: Context, folder: string): Promise<void> {
  const found = await openModel(folder, signal);
  for (const shard of found.manifest.shards)
    for (const file of new Set([shard.graph, shard.det.graph])) await checkedGraph(found, shard, file);
  const files = Object.values(found.manifest.files);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  io.result(
    { event: 'verified', folder, manifest: found.hash, files: files.length, bytes },
    `${found.manifest.name} is whole: ${files.length} files, ${megabytes(bytes)}, manifest ${found.hash}`,
  );
}

async function publish({ log }: Context, out: string, source: ModelSource, options: PublishOptions): Promise<Model> {
  const total = planModel(source, options.format ?? 'f16').specs.length;
  let written = 0;
  const progress = createProgress({ label: 'writing', unit: 'tensors', total });
  try {
    return await publishModel(
      out,
      source,
      {
        ...options,
        onProgress: () => {
          written += 1;
          progress.at(written);
        },
      },
      { log },
    );
  } finally {
    progress.end();
  }
}

async function measure(
  before: Model,
  after: Model,
  text: string,
  log: Context['log'],
): Promise<QualityReport | EmbeddingReport> {
  const started = [before, after].map(async (model) => {
    const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'auto' }, { log });
    return { engine, model, manifest: model.manifest, cut: DEFAULT_CUT };
  });
  const [first, second] = await Promise.all(started);
  if (first === undefined || second === undefined) throw new RangeError('two models expected');
  try {
    if (before.manifest.arch === 'bert') {
      const sentences = text.split(/(?<=[.!?])\s+/).filter((one) => one !== '');
      return compareEmbeddings(
        await embedLocal(first.engine, first, sentences),
        await embedLocal(second.engine, second, sentences),
      );
    }
    const { encodePrompt } = await openTokenizer(before);
    return await compareQuality(first, second, encodePrompt(text).slice(0, before.manifest.shape.maxContext));
  } finally {
    await Promise.all([first.engine.close(), second.engine.close()]);
  }
}

function needOut({ options }: Context): string {
  if (options.out === undefined) throw new UsageError('--out is needed: the folder for the new model');
  return options.out;
}

/** `int4` takes the larger block where it fits: smaller and faster. */
function formatOf(word: NonNullable<Context['options']['format']>, { shape }: ModelSource): WeightFormat {
  if (word === 'int8') return 'w8a8';
  if (word !== 'int4') return word;
  const inputs = [shape.width, shape.ffn, shape.heads * shape.headDim];
  return inputs.every((size) => size % INT4_BLOCK.int4b128 === 0) ? 'int4b128' : 'int4b32';
}

function evenly(blocks: number, parts: number): number[] {
  const count = Math.min(blocks, parts);
  return Array.from(
    { length: count },
    (_, i) => Math.floor(((i + 1) * blocks) / count) - Math.floor((i * blocks) / count),
  );
}

/** What the manifest allows in a name. */
function safeName(folder: string): string {
  const name = basename(resolve(folder))
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'model' : name;
}
