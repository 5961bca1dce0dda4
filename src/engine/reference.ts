// The slow truth: the same engine in plain TypeScript on the same model files (engine.md 3.2). It serves comparisons, and tests that want no native code.

import { setImmediate as turn } from 'node:timers/promises';
import { isFloat, layerFormat, quantParts } from '../graph/formats.ts';
import { TOP_K } from '../graph/llama.ts';
import type { OnnxModel, OnnxTensor } from '../graph/onnx.ts';
import { dequantizeLayer } from '../graph/quant.ts';
import { hasHead, type Llama, linearDims } from '../graph/weights.ts';
import { cutShards, llamaOf, textManifest } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { ShardIndex } from '../types/ids.ts';
import type { ManifestShard } from '../types/model.ts';
import type { Backend, CacheId, CacheSpec } from './backend.ts';
import { rowCount } from './backend.ts';
import { checkedGraph } from './checked.ts';
import { type BlockCache, embedToken, logSumExp, runBlock, runHead, type Tensors } from './decoder.ts';
import { createEngine, type EngineOptions } from './engine.ts';
import { type Engine, EngineError, type Rows, type StepResult, type TopLogits } from './types.ts';

/** @throws ModelError when the model has no such cut */
export function createReferenceEngine(options: EngineOptions): Engine {
  return createEngine(options, createReferenceBackend(options.model, cutShards(options.model.manifest, options.cut)));
}

interface Cache {
  readonly spec: CacheSpec;
  readonly blocks: ReadonlyMap<number, BlockCache>;
}

function createReferenceBackend(model: Model, shards: readonly ManifestShard[]): Backend {
  const llama = llamaOf(textManifest(model.manifest));
  const { shape } = llama;
  const stored = new Map<string, Float32Array>();
  const caches = new Map<CacheId, Cache>();
  let opened = 0;
  const tensors: Tensors = (name) => {
    const found = stored.get(name);
    if (found === undefined) throw new RangeError(`tensor ${name} is not loaded`);
    return found;
  };
  const shardAt = (index: number): ManifestShard => {
    const shard = shards[index];
    if (shard === undefined) throw new RangeError(`no shard ${index}`);
    return shard;
  };
  const headOf = (index: number) => hasHead(llama.traits, shardAt(index).format, shardAt(index).layers);
  const rowOf = (rows: Rows, i: number): Float64Array =>
    rows.kind === 'tokens'
      ? embedToken(shape, tensors, rows.ids[i] ?? 0)
      : Float64Array.from(rows.data.subarray(i * shape.width, (i + 1) * shape.width));

  /** One row through the blocks of one shard. */
  const runShard = (cache: Cache, shard: ManifestShard, at: number, input: Float64Array): Float64Array => {
    let hidden = input;
    for (let block = shard.from; block < shard.to; block++)
      hidden = runBlock(llama, tensors, block, cache.blocks.get(block) ?? emptyBlock(), at, hidden);
    return hidden;
  };
  const runRange = (cache: Cache, at: number, input: Float64Array): Float64Array => {
    let hidden = input;
    for (let index = cache.spec.from; index < cache.spec.to; index++) {
      const shard = shardAt(index);
      hidden = runShard(cache, shard, at, hidden);
      if (!shard.last) hidden = hidden.map(cache.spec.codec === 'f16' ? Math.f16round : Math.fround);
      if (!hidden.every(Number.isFinite))
        throw new EngineError({ code: 'E_NONFINITE', shard: index }, `shard ${index} gave a number that is not finite`);
    }
    return hidden;
  };
  const openCache = (spec: CacheSpec): Cache => {
    const blocks = new Map<number, BlockCache>();
    for (let block = shardAt(spec.from).from; block < shardAt(spec.to - 1).to; block++) blocks.set(block, emptyBlock());
    return { spec, blocks };
  };

  return {
    info: { provider: 'reference', why: 'plain TypeScript was asked for', threads: 1, version: '1' },
    memoryOf: ({ memory }) => memory,
    async load(index) {
      const shard = shardAt(index);
      for (const file of new Set([shard.graph, shard.det.graph])) {
        const graph = await checkedGraph(model, shard, file);
        for (const [name, values] of await readTensors(model, llama, shard, graph)) stored.set(name, values);
      }
    },
    // Tensors may be shared by shards, and memory is not what this engine is for.
    unload: async () => undefined,
    async open(spec) {
      caches.set(++opened, openCache(spec));
      return opened;
    },
    async run(id, at, rows, signal) {
      await turn();
      const cache = caches.get(id);
      if (cache === undefined) throw new EngineError({ code: 'E_GONE' }, 'the cache is gone');
      if (signal?.aborted === true) throw new EngineError({ code: 'E_ABORTED', length: at }, 'aborted');
      const outputs = Array.from({ length: rowCount(rows) }, (_, i) => runRange(cache, at + i, rowOf(rows, i)));
      return shardAt(cache.spec.to - 1).last
        ? topOf(runHead(shape, headOf(cache.spec.to - 1), tensors, outputs.at(-1) ?? new Float64Array()))
        : hiddenOf(outputs);
    },
    async free(id) {
      caches.delete(id);
    },
    async compute({ from, to }) {
      throw new EngineError({ code: 'E_RANGE', from, to }, 'the reference runs models with a state alone');
    },
    async challenge(index, rows, signal) {
      await turn();
      signal?.throwIfAborted();
      const shard = shardAt(index);
      const cache = openCache({
        from: index,
        to: (index + 1) as ShardIndex,
        capacity: rowCount(rows),
        codec: 'f32',
        owner: 'challenge',
      });
      const outputs = Array.from({ length: rowCount(rows) }, (_, i) => {
        const hidden = runShard(cache, shard, i, rowOf(rows, i));
        return shard.last ? pick(runHead(shape, headOf(index), tensors, hidden), shard.probe) : hidden;
      });
      return hiddenOf(outputs).data;
    },
    queued: () => 0,
    async close() {
      caches.clear();
      stored.clear();
    },
  };
}

function emptyBlock(): BlockCache {
  return { keys: [], values: [] };
}

/** All stored tensors of a graph as f32 by their names; quantised layers are multiplied out. */
async function readTensors(
  model: Model,
  { shape }: Llama,
  { format: main, layers = {} }: ManifestShard,
  { initializers }: OnnxModel,
): Promise<Map<string, Float32Array>> {
  const raw = new Map<string, Exclude<Awaited<ReturnType<typeof readTensor>>, undefined>>();
  for (const tensor of initializers) {
    const values = await readTensor(model, tensor);
    if (values !== undefined) raw.set(tensor.name, values);
  }
  const tensors = new Map<string, Float32Array>();
  for (const [name, values] of raw) {
    if (values instanceof Float32Array) {
      tensors.set(name, values);
      continue;
    }
    const layer = name.slice(0, name.lastIndexOf('.'));
    const scales = raw.get(quantParts(layer).scales);
    const format = layerFormat(main, layers, layer);
    if (isFloat(format) || !(scales instanceof Float32Array)) throw new RangeError(`${name} has no scales`);
    tensors.set(
      layer,
      dequantizeLayer(format, { values, scales: scales as Float32Array<ArrayBuffer> }, linearDims(shape, layer)),
    );
  }
  return tensors;
}

/** Undefined for constants that lie in the graph. */
async function readTensor(model: Model, { data, type }: OnnxTensor) {
  if (data instanceof Uint8Array) return undefined;
  const bytes = (await model.read(data.location)).slice(data.offset, data.offset + data.length);
  if (type === 'u8') return bytes as Uint8Array<ArrayBuffer>;
  if (type === 'i8') return new Int8Array(bytes.buffer as ArrayBuffer);
  return type === 'f16'
    ? Float32Array.from(new Float16Array(bytes.buffer))
    : new Float32Array(bytes.buffer as ArrayBuffer);
}

function hiddenOf(rows: readonly Float64Array[]): Extract<StepResult, { kind: 'hidden' }> {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return { kind: 'hidden', data, count: rows.length };
}

function topOf(logits: Float64Array): StepResult {
  const order = Array.from(logits.keys()).sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
  const ids = Int32Array.from(order.slice(0, TOP_K));
  const top: TopLogits = { ids, values: Float32Array.from(ids, (id) => logits[id] ?? 0), logSumExp: logSumExp(logits) };
  return { kind: 'top', top };
}

function pick(values: Float64Array, columns: readonly number[]): Float64Array {
  return Float64Array.from(columns, (column) => values[column] ?? 0);
}
