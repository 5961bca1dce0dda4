// `tessera model import|pull|push|quantize|inspect|verify`: models on this machine, before a network is asked to serve them.

import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { uploadFiles } from '@huggingface/hub';
import { z } from 'zod';
import { type FetchProgress, fetchModel } from '../../distribution/fetch.ts';
import { downloadFolder, hubFolder, type RemoteFolder, urlFolder } from '../../distribution/remote-folder.ts';
import { webSource } from '../../distribution/source.ts';
import { checkGraph } from '../../engine/checked.ts';
import { embedLocal } from '../../engine/embed.ts';
import { createOnnxEngine } from '../../engine/onnx.ts';
import { CALIBRATION_TEXT, type PublishOptions, publishModel } from '../../engine/publish.ts';
import { publishGraph } from '../../engine/publish-graph.ts';
import { compareEmbeddings, compareQuality, type EmbeddingReport, type QualityReport } from '../../engine/quality.ts';
import { INT4_BLOCK, type LayerFormats, plainType, type WeightFormat } from '../../graph/formats.ts';
import { isEncoderFolder } from '../../model/hf-encoder.ts';
import { importHf } from '../../model/import.ts';
import { importEncoder } from '../../model/import-encoder.ts';
import { MAX_MANIFEST_BYTES, manifestHash } from '../../model/manifest.ts';
import { MANIFEST_FILE, type Model, openModel, readManifest } from '../../model/open.ts';
import { planModel, usualLayers } from '../../model/plan.ts';
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
  'keep',
  'parts',
  'model-name',
  'license',
  'context',
  'text',
] as const satisfies readonly OptionName[];
type Context = CommandContext<(typeof OPTIONS)[number]>;

const ACTIONS: Readonly<Record<string, (context: Context, folder: string) => Promise<void>>> = {
  import: importModel,
  pull: pullModel,
  push: pushModel,
  quantize: quantizeModel,
  inspect: inspectModel,
  verify: verifyModel,
};

export const model = defineCommand({
  name: 'model',
  describe:
    'bring a model in from a folder, a URL or the Hugging Face hub; quantize, inspect, verify, pull or push one of ours',
  examples: [
    'tessera model import ~/TinyLlama-1.1B-Chat --out models/tinyllama --format int4 --license Apache-2.0',
    'tessera model import hf:sentence-transformers/all-MiniLM-L6-v2 --out models/minilm --license Apache-2.0',
    'tessera model pull https://models.example/tiny --out models/tiny-copy',
    'tessera model push models/tiny hf:me/tiny-tessera',
    'tessera model quantize models/tiny --out models/tiny-int4 --format int4',
    'tessera model quantize models/tiny --out models/tiny-int4 --format int4 --keep head,down=int8',
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

/** A Hugging Face folder, here or on the web, becomes a model of ours. What was fetched for it is kept until that has come true. */
async function importModel(context: Context, from: string): Promise<void> {
  const out = needOut(context);
  if (from.endsWith('.onnx') && !/^(https?:|hf:)/.test(from)) return importGraph(context, from, out);
  const remote = remoteOf(from);
  if (remote === undefined) return importFolder(context, from, from, out);
  const { dataDir, signal } = context;
  const folder = join(dataDir, 'downloads', createHash('sha256').update(remote.name).digest('hex').slice(0, 16));
  await download(remote, folder, signal);
  await importFolder(context, folder, from, out);
  await rm(folder, { recursive: true, force: true });
}

/** Any stateless graph, cut where a single tensor lives on. */
async function importGraph({ options, io }: Context, file: string, out: string): Promise<void> {
  const name = options['model-name'] ?? safeName(file.replace(/\.onnx$/, ''));
  const made = await publishGraph(out, file, { name, license: options.license ?? 'unknown', parts: options.parts });
  const { shards } = made.manifest;
  if (shards.length < options.parts)
    io.note(`A single tensor lives on at few places: ${shards.length} shards, not ${options.parts}.`);
  io.result({ event: 'imported', folder: out, manifest: made.hash, ...modelFacts(made.manifest) }, describeModel(made));
}

async function download(remote: RemoteFolder, folder: string, signal: AbortSignal): Promise<void> {
  let progress: ReturnType<typeof createProgress> | undefined;
  const onProgress = (done: number, total: number): void => {
    progress ??= createProgress({ label: 'fetching', unit: 'bytes', total });
    progress.at(done);
  };
  try {
    await downloadFolder(remote, folder, { onProgress }, signal);
  } finally {
    progress?.end();
  }
}

/** `hf:owner/name`, with `@revision` if it is not the main one; or the URL of a folder. */
function remoteOf(from: string): RemoteFolder | undefined {
  if (/^https?:\/\//.test(from)) return urlFolder(from);
  const hub = parseHub(from);
  return hub === undefined ? undefined : hubFolder({ ...hub, token: hubToken() });
}

function parseHub(from: string) {
  const [, repo, revision = 'main'] = HUB_NAME.exec(from) ?? [];
  if (repo === undefined && from.startsWith('hf:'))
    throw new UsageError(`${from}: say hf:OWNER/NAME or hf:OWNER/NAME@REVISION`);
  return repo === undefined ? undefined : { repo, revision, hubUrl: process.env.HF_ENDPOINT ?? HUB_URL };
}

const HUB_NAME = /^hf:([A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*)(?:@([A-Za-z0-9][A-Za-z0-9._/-]*))?$/;
const HUB_URL = 'https://huggingface.co';

/** As the hub's own tools name it. It is sent to the hub and stands nowhere else. */
function hubToken(): string | undefined {
  return process.env.HF_TOKEN;
}

/** A model of ours from a web folder or the hub, every byte by the manifest. */
async function pullModel(context: Context, from: string): Promise<void> {
  const { io, log, signal } = context;
  const out = needOut(context);
  const hub = parseHub(from);
  const url = hub === undefined ? from : new URL(`/${hub.repo}/resolve/${hub.revision}/`, hub.hubUrl).href;
  if (!/^https?:\/\//.test(url)) throw new UsageError('tessera model pull URL|hf:OWNER/NAME --out FOLDER');
  const source = webSource(url, MAX_MANIFEST_BYTES);
  const bytes = await source.manifest('', signal);
  if (bytes === undefined) throw new UsageError(`${from} has no manifest.json: is it a model of ours?`);
  let progress: ReturnType<typeof createProgress> | undefined;
  const onProgress = ({ doneBytes, totalBytes }: FetchProgress): void => {
    progress ??= createProgress({ label: 'fetching', unit: 'bytes', total: totalBytes });
    progress.at(doneBytes);
  };
  const wanted = { manifest: manifestHash(bytes), folder: resolve(out) };
  await fetchModel(wanted, { sources: async () => [source], onProgress, log }, signal).finally(() => progress?.end());
  const made = await openModel(out, signal);
  io.result({ event: 'pulled', folder: out, manifest: made.hash, ...modelFacts(made.manifest) }, describeModel(made));
}

/** `FOLDER hf:OWNER/NAME`: a whole model of ours into a repository of the hub that is there already. */
async function pushModel({ io, signal }: Context, words: string): Promise<void> {
  const at = words.lastIndexOf(' ');
  const [folder, to] = [words.slice(0, Math.max(0, at)), words.slice(at + 1)];
  const hub = parseHub(to);
  const token = hubToken();
  if (hub === undefined || folder === '') throw new UsageError('tessera model push FOLDER hf:OWNER/NAME');
  if (token === undefined) throw new UsageError('HF_TOKEN is needed: a token of the hub that may write');
  const made = await openModel(folder, signal);
  const names = [...Object.keys(made.manifest.files), MANIFEST_FILE];
  await uploadFiles({
    repo: hub.repo,
    branch: hub.revision,
    hubUrl: hub.hubUrl,
    accessToken: token,
    commitTitle: `${made.manifest.name} ${made.hash.slice(0, 12)}`,
    files: names.map((name) => ({ path: name, content: pathToFileURL(resolve(folder, name)) })),
    abortSignal: signal,
  });
  io.result(
    { event: 'pushed', to, manifest: made.hash, files: names.length },
    `${made.manifest.name} is at ${to}: ${names.length} files, manifest ${made.hash}`,
  );
}

async function importFolder(context: Context, folder: string, from: string, out: string): Promise<void> {
  const { options, io } = context;
  if (options.license === undefined)
    io.note('No --license was given: the manifest says "unknown", and whoever serves the model cannot know.');
  const encoder = await isEncoderFolder(folder);
  const source = await (encoder ? importEncoder : importHf)(folder, { maxContext: options.context });
  try {
    const format = formatOf(options.format ?? (encoder ? 'f32' : 'f16'), source);
    const made = await publish(context, out, source, {
      name: options['model-name'] ?? safeName(from),
      license: options.license ?? 'unknown',
      shardBlocks: evenly(source.shape.blocks, options.parts),
      format,
      layers: layersOf(options.keep, format, source),
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
  const layers = layersOf(options.keep, format, source);
  const made = await publish(context, out, source, {
    name: options['model-name'] ?? before.manifest.name,
    license: options.license ?? before.manifest.license,
    shardBlocks: before.manifest.shards.map(({ from, to }) => to - from),
    format,
    layers,
  });
  const text = options.text === undefined ? CALIBRATION_TEXT : await readFile(options.text, 'utf8');
  io.note('Reading the same text with both models ...');
  const report = await measure(before, made, text, log);
  const sizes = { before: weightBytes(before.manifest), after: weightBytes(made.manifest) };
  io.result(
    { event: 'quantized', folder: out, manifest: made.hash, format, layers, bytes: sizes, quality: report },
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
    for (const file of new Set([shard.graph, shard.det.graph])) await checkGraph(found, shard, file);
  const files = Object.values(found.manifest.files);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  io.result(
    { event: 'verified', folder, manifest: found.hash, files: files.length, bytes },
    `${found.manifest.name} is whole: ${files.length} files, ${megabytes(bytes)}, manifest ${found.hash}`,
  );
}

async function publish({ log }: Context, out: string, source: ModelSource, options: PublishOptions): Promise<Model> {
  const total = planModel(source, options.format ?? 'f16', options.layers).specs.length;
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
    const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, device: 'cpu' }, { log });
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

/** `down,head=int8` beside what is usual: what stands alone stays in floats. */
function layersOf(words: readonly string[], format: WeightFormat, source: ModelSource): LayerFormats {
  const said = words.map((word) => {
    const [layer = '', as] = word.split('=');
    const found = LAYER_WORDS.safeParse(as ?? plainType(format));
    if (!found.success) throw new UsageError(`--keep ${word}: say one of ${LAYER_WORDS.options.join(', ')}`);
    return [layer, formatOf(found.data, source)] as const;
  });
  return { ...usualLayers(source, format), ...Object.fromEntries(said) };
}

const LAYER_WORDS = z.enum(['f32', 'f16', 'int4', 'int4b32', 'int4b128', 'int8']);

function evenly(blocks: number, parts: number): number[] {
  const count = Math.min(blocks, parts);
  return Array.from(
    { length: count },
    (_, i) => Math.floor(((i + 1) * blocks) / count) - Math.floor((i * blocks) / count),
  );
}

/** What the manifest allows in a name. */
function safeName(folder: string): string {
  const name = basename(folder.startsWith('hf:') ? folder.replace(/@.*$/, '') : resolve(folder))
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'model' : name;
}
