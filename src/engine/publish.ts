// Makes a model folder that can be served: writes it beside its place, measures its boundaries by running it, then moves it there whole.

import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { openEncoderTokenizer } from '../model/encoder-tokenizer.ts';
import { ModelError } from '../model/errors.ts';
import { type Model, openModel } from '../model/open.ts';
import type { ModelSource } from '../model/source.ts';
import { openTokenizer } from '../model/tokenizer.ts';
import { DEFAULT_CUT, setBoundaryRms, type WriteOptions, writeModel } from '../model/write.ts';
import type { Log } from '../util/log.ts';
import { measureBoundaries } from './calibrate.ts';
import { createOnnxEngine } from './onnx.ts';

/** English of the plainest kind: boundaries are measured on it (protocol.md 5) unless another text is given. */
export const CALIBRATION_TEXT =
  'Once upon a time, a small fox named Pip lived near the old mill. Every morning Pip walked to the river and looked at the boats. ' +
  'One day a letter came, but it was not for Pip. "It is the wrong house," said Pip. "I will take it there myself." So the fox set out at once. ' +
  'The way was long, and it began to rain. At the bridge sat an owl named Nora. "Where are you going?" asked Nora. "Over the hill and then left," ' +
  'said Pip. At last they knocked at a blue door. "A letter for you," said Pip. The old bear opened it with shaking hands and smiled. ' +
  '"You must be hungry," said the bear, and they ate honey by the fire until the stars came out. Then Pip went home and slept well.';

export interface PublishOptions extends WriteOptions {
  /** More tokens than this are not measured. */
  readonly calibrationTokens?: number;
}

/**
 * Writes `source` as a model into the new folder `folder`.
 *
 * @throws ModelError MODEL_UNSUPPORTED, MODEL_FILE (something is there already); EngineError when the model does not run
 */
export async function publishModel(
  folder: string,
  source: ModelSource,
  options: PublishOptions,
  { log }: { readonly log: Log },
): Promise<Model> {
  const place = resolve(folder);
  if (await exists(place)) throw taken(folder);
  const draft = `${place}.draft-${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await writeModel(draft, source, options);
    await calibrate(draft, options.calibrationTokens ?? DEFAULT_CALIBRATION_TOKENS, log);
    await rename(draft, place);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return openModel(place);
}

const DEFAULT_CALIBRATION_TOKENS = 256;

async function calibrate(folder: string, tokens: number, log: Log): Promise<void> {
  const model = await openModel(folder);
  const ids = (await idsOf(model, CALIBRATION_TEXT)).slice(0, Math.min(tokens, model.manifest.shape.maxContext));
  // One thread: the sums of the RMS then come out the same on every machine with this arithmetic.
  const engine = await createOnnxEngine({ model, cut: DEFAULT_CUT, threads: 1, device: 'cpu' }, { log });
  try {
    await setBoundaryRms(folder, await measureBoundaries(engine, model.manifest, DEFAULT_CUT, ids));
  } finally {
    await engine.close();
  }
}

/** As the model reads a text. */
async function idsOf(model: Model, text: string): Promise<readonly number[]> {
  if (model.manifest.arch === 'bert') return (await openEncoderTokenizer(model)).encode(text).ids;
  return (await openTokenizer(model)).encodePrompt(text);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function taken(folder: string): ModelError {
  const why = 'something is there already; name a new folder';
  return new ModelError({ code: 'MODEL_FILE', file: folder, why }, `${folder} cannot be written: ${why}`);
}
