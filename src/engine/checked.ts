// Reads a shard's graph by the rules of safe loading: hash, parse, allow-list, sizes of what it names; only then may a runtime see it (engine.md 2.4).

import { brokenForeignRule, readForeign } from '../graph/foreign.ts';
import { decodeModel, type OnnxModel } from '../graph/onnx.ts';
import { brokenRule } from '../graph/safe.ts';
import type { Model } from '../model/open.ts';
import type { ManifestShard } from '../types/model.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import { EngineError } from './types.ts';

/** Larger graphs than this are no graphs of ours: weights lie outside. */
const MAX_GRAPH_BYTES = 64 << 20;

/** Throws E_HASH or E_UNSAFE for what no runtime may see. */
export async function checkGraph(model: Model, shard: ManifestShard, file: string): Promise<void> {
  if (model.manifest.arch !== 'graph') {
    await checkedGraph(model, shard, file);
    return;
  }
  const { files } = model.manifest;
  if ((files[file]?.bytes ?? 0) > MAX_GRAPH_BYTES) throw unsafe(file, `larger than ${MAX_GRAPH_BYTES} bytes`);
  const rule = foreignRule(await read(model, file), (name) =>
    shard.weights.includes(name) ? files[name]?.bytes : undefined,
  );
  if (rule !== undefined) throw unsafe(file, rule);
}

function foreignRule(bytes: Uint8Array, sizeOf: (location: string) => number | undefined): string | undefined {
  try {
    return brokenForeignRule(readForeign(bytes), sizeOf);
  } catch (error) {
    return errorMessage(error);
  }
}

/** Of our own graphs. Throws E_HASH or E_UNSAFE. */
export async function checkedGraph(model: Model, shard: ManifestShard, file: string): Promise<OnnxModel> {
  const { files } = model.manifest;
  if ((files[file]?.bytes ?? 0) > MAX_GRAPH_BYTES) throw unsafe(file, `larger than ${MAX_GRAPH_BYTES} bytes`);
  const graph = parse(file, await read(model, file));
  const weights = new Map(shard.weights.map((name) => [name, files[name]?.bytes ?? 0]));
  const rule = brokenRule(graph, weights);
  if (rule !== undefined) throw unsafe(file, rule);
  return graph;
}

async function read(model: Model, file: string): Promise<Uint8Array> {
  try {
    return await model.read(file);
  } catch (error) {
    if (errorCode(error) !== 'MODEL_HASH') throw error;
    throw new EngineError({ code: 'E_HASH', file }, errorMessage(error), { cause: error });
  }
}

function parse(file: string, bytes: Uint8Array): OnnxModel {
  try {
    return decodeModel(bytes);
  } catch (error) {
    throw unsafe(file, errorMessage(error), error);
  }
}

function unsafe(file: string, rule: string, cause?: unknown): EngineError {
  return new EngineError({ code: 'E_UNSAFE', file, rule }, `${file} is not loaded: ${rule}`, { cause });
}
