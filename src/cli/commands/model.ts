// `tessera model import|quantize|inspect|verify`: models on this machine, before a network is asked to serve them.

import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { checkedGraph } from '../../engine/checked.ts';
import { createOnnxEngine } from '../../engine/onnx.ts';
import { CALIBRATION_TEXT, type PublishOptions, publishModel } from '../../engine/publish.ts';
import { compareQuality, type QualityReport } from '../../engine/quality.ts';
import { INT4_BLOCK, type WeightFormat } from '../../graph/formats.ts';
import { llamaWeights } from '../../graph/weights.ts';
import { importHf } from '../../model/import.ts';
import { llamaOf } from '../../model/manifest.ts';
import { type Model, openModel, readManifest } from '../../model/open.ts';
import type { LlamaSource } from '../../model/source.ts';
import { storedSource } from '../../model/stored.ts';
import { openTokenizer } from '../../model/tokenizer.ts';
import { DEFAULT_CUT } from '../../model/write.ts';
import type { OptionName } from '../../node/options.ts';
import type { Manifest } from '../../types/model.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { UsageError } from '../exit.ts';
import { table } from '../io.ts';
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
  const source = await importHf(folder, { maxContext: options.context });
  try {
    const made = await publish(context, out, source, {
      name: options['model-name'] ?? safeName(folder),
      license: options.license ?? 'unknown',
      shardBlocks: evenly(source.shape.blocks, options.parts),
      format: formatOf(options.format ?? 'f16', source),
    });
    io.result({ event: 'imported', folder: out, manifest: made.hash, ...facts(made.manifest) }, describe(made));
    io.note(`Next: tessera generate "..." --local --model ${out}, or tessera register-subnet --model ${out}`);
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
    `${describe(made)}\n${describeQuality(report, sizes)}`,
  );
}

async function inspectModel({ io }: Context, folder: string): Promise<void> {
  const found = await readManifest(resolve(folder));
  io.result({ event: 'model', folder, manifest: found.hash, ...facts(found.manifest) }, describe(found));
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

async function publish({ log }: Context, out: string, source: LlamaSource, options: PublishOptions): Promise<Model> {
  const total = llamaWeights(source, options.format ?? 'f16').length;
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

async function measure(before: Model, after: Model, text: string, log: Context['log']): Promise<QualityReport> {
  const { encodePrompt } = await openTokenizer(before);
  const ids = encodePrompt(text).slice(0, before.manifest.shape.maxContext);
  const [first, second] = [before, after].map((one) =>
    createOnnxEngine({ model: one, cut: DEFAULT_CUT, device: 'auto' }, { log }),
  );
  if (first === undefined || second === undefined) throw new RangeError('two models expected');
  const engines = [await first, await second] as const;
  try {
    return await compareQuality(
      { engine: engines[0], manifest: before.manifest, cut: DEFAULT_CUT },
      { engine: engines[1], manifest: after.manifest, cut: DEFAULT_CUT },
      ids,
    );
  } finally {
    await Promise.all(engines.map((engine) => engine.close()));
  }
}

function needOut({ options }: Context): string {
  if (options.out === undefined) throw new UsageError('--out is needed: the folder for the new model');
  return options.out;
}

/** `int4` takes the larger block where it fits: smaller and faster. */
function formatOf(word: 'f16' | 'int4' | 'int4b32' | 'int4b128' | 'int8', { shape }: LlamaSource): WeightFormat {
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

function facts(manifest: Manifest) {
  const { name, license, arch, shape, tie, attention, rope, cuts, shards } = manifest;
  return {
    name,
    license,
    arch,
    parameters: parameters(manifest),
    shape,
    tie,
    attention,
    rope,
    cuts,
    shards: shards.map(shardFacts),
  };
}

function shardFacts({ id, format, from, to, memory }: Manifest['shards'][number]) {
  return { id, format, from, to, memory };
}

function parameters(manifest: Manifest): number {
  return llamaWeights(llamaOf(manifest), 'f16')
    .filter(({ type }) => type === 'f16')
    .reduce((sum, { dims }) => sum + dims.reduce((product, dim) => product * dim, 1), 0);
}

function weightBytes({ files, shards }: Manifest): number {
  const weights = new Set(shards.flatMap((shard) => shard.weights));
  return [...weights].reduce((sum, file) => sum + (files[file]?.bytes ?? 0), 0);
}

function describe({ manifest, hash }: Pick<Model, 'manifest' | 'hash'>): string {
  const { shape, attention, shards } = manifest;
  const traits = [
    manifest.tie ? 'tied head' : 'head of its own',
    ...(attention?.qkvBias === true ? ['bias on queries, keys and values'] : []),
    ...(attention?.qkNorm === true ? ['normalised queries and keys'] : []),
    ...(typeof attention?.window === 'number' ? [`sees ${attention.window} positions`] : []),
    ...(manifest.rope.scaling === undefined ? [] : [`positions stretched (${manifest.rope.scaling.kind})`]),
  ];
  const lines = [
    `${manifest.name} (${manifest.license}), ${(parameters(manifest) / 1e6).toFixed(1)} million parameters, ${traits.join(', ')}`,
    `manifest ${hash}`,
    `${shape.blocks} blocks of width ${shape.width}, ${shape.heads} heads of ${shape.headDim} (${shape.kvHeads} key heads), vocabulary ${shape.vocab}, context ${shape.maxContext}`,
    `weights ${megabytes(weightBytes(manifest))}`,
  ];
  const rows = shards.map(({ id, from, to, memory }) => [
    `  ${id}`,
    `blocks ${from} to ${to - 1}`,
    `${megabytes(memory.weights)} loaded`,
    `${memory.kvPerToken} bytes per token`,
  ]);
  return `${lines.join('\n')}\n${table(rows)}`;
}

function describeQuality(report: QualityReport, sizes: { readonly before: number; readonly after: number }): string {
  const { positions, sameBest, divergence, perplexity } = report;
  return [
    `weights ${megabytes(sizes.before)} -> ${megabytes(sizes.after)}`,
    `on ${positions} positions: the same likeliest token at ${(100 * sameBest).toFixed(1)} %, divergence ${divergence.toFixed(4)} nats, perplexity ${perplexity.before.toFixed(2)} -> ${perplexity.after.toFixed(2)}`,
  ].join('\n');
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
