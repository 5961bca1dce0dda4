// Runs a graph of ours so that outputs land in arrays that we own, with the KV cache in place (engine.md 1.2). Only the lane imports this: a native
// run blocks the thread it is on.

import ort from 'onnxruntime-node';
import { createGraphBuilder } from '../graph/builder.ts';
import { PORT } from '../graph/llama.ts';
import { encodeModel } from '../graph/onnx.ts';
import { type Binding, PREPACKED_WEIGHTS } from './lane-protocol.ts';

export type Tensors = Record<string, ort.Tensor>;

// Of the whole process, and before anything else is done with the runtime: its warnings are about its own kernels, and nobody can do anything about them.
ort.env.logLevel = 'error';

/** What onnxruntime-node 1.30 throws for a sequence output AFTER the native run, before it copies any output. */
const QUIET_MESSAGE = 'Non tensor type is temporarily not supported';

/** Session options that were measured to matter (engine.md 1.1): no spinning, no memory plan for shapes that vary, one thing at a time. */
function sessionOptions(threads: number): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    enableMemPattern: false,
    logSeverityLevel: 3,
    extra: { session: SPINNING },
  };
}

const SPINNING = { intra_op: { allow_spinning: '0' } };
/** All weights of any size in one file beside the kept graph, as the kernels want them. */
const KEEPING = {
  optimized_model_external_initializers_file_name: PREPACKED_WEIGHTS,
  optimized_model_external_initializers_min_size_in_bytes: '1024',
  save_external_prepacked_constant_initializers: '1',
};

/** Feeds and pre-allocated outputs in; when this answers the outputs are written. A KV tensor may be both. */
export async function runInPlace(
  session: ort.InferenceSession,
  binding: Binding,
  feeds: Tensors,
  fetches: Tensors,
): Promise<void> {
  if (binding === 'plain') {
    await session.run(feeds, fetches);
    return;
  }
  try {
    await session.run(feeds, { [PORT.quiet]: null, ...fetches });
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes(QUIET_MESSAGE)) throw error;
  }
}

/** `quiet` if this build of the runtime leaves the same bits in place with it as without it, else `plain`. */
export async function chooseBinding(): Promise<Binding> {
  const session = await ort.InferenceSession.create(encodeModel(selfTestGraph()), sessionOptions(1));
  try {
    const [quiet, plain] = [await selfTest(session, 'quiet'), await selfTest(session, 'plain')];
    const same =
      quiet.length === plain.length &&
      quiet.every((value, i) => value === plain[i]) &&
      plain.some((value) => value !== 0);
    return same ? 'quiet' : 'plain';
  } catch {
    return 'plain';
  } finally {
    await session.release();
  }
}

const TEST = { heads: 2, kvHeads: 1, headDim: 16, capacity: 8, rows: 3 } as const;

/** One attention with a cache, as in our shards: the only operator that writes where it reads. */
function selfTestGraph() {
  const graph = createGraphBuilder('self-test');
  const cache = ['B', TEST.kvHeads, 'P', TEST.headDim];
  graph.node('SequenceEmpty', [], { outputs: [PORT.quiet], attributes: { dtype: { kind: 'int', value: 1 } } });
  graph.output(PORT.quiet, 'sequence', []);
  const inputs = [
    graph.input('qkv', 'f32', ['B', 'S', (TEST.heads + 2 * TEST.kvHeads) * TEST.headDim]),
    '',
    '',
    graph.input('past_key', 'f32', cache),
    graph.input('past_value', 'f32', cache),
    graph.input(PORT.seqlens, 'i32', ['B']),
    graph.input(PORT.total, 'i32', [1]),
  ];
  graph.node('GroupQueryAttention', inputs, {
    domain: 'com.microsoft',
    outputs: ['out', 'present_key', 'present_value'],
    attributes: { num_heads: { kind: 'int', value: TEST.heads }, kv_num_heads: { kind: 'int', value: TEST.kvHeads } },
  });
  graph.output('out', 'f32', ['B', 'S', TEST.heads * TEST.headDim]);
  graph.output('present_key', 'f32', cache);
  graph.output('present_value', 'f32', cache);
  return graph.finish({ '': 23, 'com.microsoft': 1 });
}

/** Two steps of three rows on one cache: outputs and cache after them. */
async function selfTest(session: ort.InferenceSession, binding: Binding): Promise<number[]> {
  const width = (TEST.heads + 2 * TEST.kvHeads) * TEST.headDim;
  const cacheDims = [1, TEST.kvHeads, TEST.capacity, TEST.headDim];
  const cache = () => f32(new Float32Array(TEST.kvHeads * TEST.capacity * TEST.headDim), cacheDims);
  const [keys, values] = [cache(), cache()];
  const out = f32(new Float32Array(TEST.rows * TEST.heads * TEST.headDim), [1, TEST.rows, TEST.heads * TEST.headDim]);
  for (let step = 1; step <= 2; step++) {
    const input = Float32Array.from({ length: TEST.rows * width }, (_, i) => Math.sin(i * step));
    const total = step * TEST.rows;
    const feeds = {
      qkv: f32(input, [1, TEST.rows, width]),
      past_key: keys,
      past_value: values,
      ...lengthFeeds([total]),
    };
    await runInPlace(session, binding, feeds, { out, present_key: keys, present_value: values });
  }
  return [out, keys, values].flatMap((tensor) => Array.from(tensor.data as Float32Array));
}

/** The two length inputs of attention from the total length of each sequence of the batch. */
export function lengthFeeds(totals: readonly number[]): Tensors {
  return {
    [PORT.seqlens]: new ort.Tensor(
      'int32',
      Int32Array.from(totals, (total) => total - 1),
      [totals.length],
    ),
    [PORT.total]: new ort.Tensor('int32', Int32Array.of(Math.max(...totals)), [1]),
  };
}

export function f32(data: Float32Array, dims: readonly number[]): ort.Tensor {
  return new ort.Tensor('float32', data, dims);
}

/**
 * Loads a checked graph by its path, so that weights beside it are found (engine.md 1.1). `fast` folds what is constant, `lean` keeps weights as they
 * are stored and casts them in every run: for graphs that run rarely. `keep`: a path at which to write the graph as it is then, its weights beside it.
 */
export function loadSession(
  path: string,
  threads: number,
  kind: 'fast' | 'lean',
  keep?: string,
): Promise<ort.InferenceSession> {
  const options = sessionOptions(threads);
  return ort.InferenceSession.create(path, {
    ...options,
    graphOptimizationLevel: kind === 'fast' ? 'all' : 'disabled',
    enableCpuMemArena: kind === 'fast', // an arena would keep the casts
    ...(keep === undefined ? {} : { optimizedModelFilePath: keep, extra: { session: { ...SPINNING, ...KEEPING } } }),
  });
}

export const runtimeVersion: string = ort.env.versions.node ?? 'unknown';
