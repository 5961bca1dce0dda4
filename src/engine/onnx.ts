// The engine on ONNX Runtime: graphs are checked here, then run in a worker thread (engine.md 2.4, 3.3). The main thread never runs native code.

import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import type { DeviceProfile } from '../graph/linear.ts';
import { cutShards, textManifest } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { ManifestShard, Port } from '../types/model.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';
import type { Backend, CacheId } from './backend.ts';
import { checkedGraph, checkGraph } from './checked.ts';
import { deviceGraph, deviceMemory, deviceProfile } from './device-graph.ts';
import { createEngine, type EngineOptions } from './engine.ts';
import { type Lane, startLane } from './lane-client.ts';
import type { Isolation } from './lane-host.ts';
import { type DeviceWish, isTensors, type LaneValue, type ShardFiles } from './lane-protocol.ts';
import { createPrepackedCache, type PrepackedCache, type PrepackedOptions } from './prepacked.ts';
import { type Engine, EngineError, type EngineInfo, type StepResult } from './types.ts';

export interface OnnxEngineOptions extends EngineOptions {
  /** Threads of a native run; one less than the cores unless given. */
  readonly threads?: number;
  /** `auto` takes a GPU where there is one that can run the model's graphs. */
  readonly device: DeviceWish;
  /** Where repacked shards are kept, so that they load faster and as shared pages the next time; nowhere unless given. */
  readonly prepacked?: PrepackedOptions | undefined;
  /** Where native code runs: in a thread unless given, or in a process of its own, whose end is not this one's. */
  readonly isolation?: Isolation | undefined;
}

export interface OnnxEngineDeps {
  readonly log: Log;
  readonly startLane?: typeof startLane;
}

/**
 * Starts the worker and answers when shards can be loaded.
 *
 * @throws ModelError when the model has no such cut; EngineError E_LANE when the runtime cannot be started
 */
export async function createOnnxEngine(options: OnnxEngineOptions, deps: OnnxEngineDeps): Promise<Engine> {
  const shards = cutShards(options.model.manifest, options.cut);
  return createEngine(options, await createOnnxBackend(options, shards, deps));
}

async function createOnnxBackend(
  { model, device, prepacked, isolation, threads = Math.max(1, availableParallelism() - 1) }: OnnxEngineOptions,
  shards: readonly ManifestShard[],
  { log, startLane: start = startLane }: OnnxEngineDeps,
): Promise<Backend> {
  const { shape } = model.manifest;
  const wish = deviceFor(model, device);
  const profile = deviceProfile(shards);
  const startOne = () => start({ shape, threads, device: wish.device, profile }, log, { isolation });
  const loaded = new Map<number, ShardFiles>();
  /** Which lane a cache lives in: caches of a lane that died are gone. */
  const homes = new Map<CacheId, Lane>();
  let lane = await startOne();
  let restart: Promise<void> | undefined;
  let opened = 0;

  const { provider, memoryBytes, binding } = lane.place;
  const onCpu = provider === 'cpu';
  const kept = prepacked && onCpu ? createPrepackedCache(prepacked, model.manifest, lane.version, log) : undefined;
  const info: EngineInfo = { provider, why: wish.why ?? lane.place.why, threads, version: lane.version };
  log.info('engine ready', {
    provider,
    requested: device,
    why: info.why,
    threads,
    spin: false,
    binding,
    ort: info.version,
  });

  /** The running lane; starts another one with the same shards when it has died. */
  const currentLane = async (): Promise<Lane> => {
    if (lane.alive) return lane;
    restart ??= (async () => {
      const fresh = await startOne();
      for (const files of loaded.values()) await fresh.call({ op: 'load', files });
      lane = fresh;
      log.warn('engine lane restarted', { shards: loaded.size });
    })().finally(() => {
      restart = undefined;
    });
    await restart;
    return lane;
  };
  const homeOf = (cache: CacheId): Lane => {
    const home = homes.get(cache);
    if (home?.alive === true) return home;
    throw new EngineError({ code: 'E_GONE' }, 'the session was lost with its worker: open a new one and replay');
  };

  return {
    info,
    memoryBytes,
    memoryOf: (shard) => (onCpu ? shard.memory : deviceMemory(shard, profile)),
    async load(index) {
      const shard = shards[index];
      if (shard === undefined) throw new RangeError(`no shard ${index}`);
      for (const file of new Set([shard.graph, shard.det.graph])) await checkGraph(model, shard, file);
      const more = onCpu ? {} : { onDevice: await onDevice(model, shard, profile) };
      const files = { ...filesOf(model, shard, index), ...more };
      loaded.set(index, await loadKept(await currentLane(), files, shard, kept, log));
    },
    async unload(shard) {
      loaded.delete(shard);
      await (await currentLane()).call({ op: 'unload', shard });
    },
    async open(spec) {
      const home = await currentLane();
      const cache = ++opened;
      await home.call({ op: 'open', cache, spec: { ...spec } });
      homes.set(cache, home);
      return cache;
    },
    async run(cache, at, rows, signal) {
      return stepResult(await homeOf(cache).call({ op: 'run', cache, at, rows }, signal));
    },
    async free(cache) {
      const home = homes.get(cache);
      homes.delete(cache);
      if (home?.alive === true) await home.call({ op: 'free', cache });
    },
    async compute(computation, signal) {
      const value = await (await currentLane()).call({ op: 'compute', ...computation }, signal);
      if (!isTensors(value)) throw new RangeError('the lane answered a computation without tensors');
      return value;
    },
    async challenge(shard, rows, signal) {
      const value = await (await currentLane()).call({ op: 'challenge', shard, rows }, signal);
      if (!(value instanceof Float32Array)) throw new RangeError('the lane answered a challenge without values');
      return value;
    },
    queued: () => lane.pending,
    close: () => lane.close(),
  };
}

/** Loads a shard as it was kept, else as it is and keeps it. Answers how to load it again. What goes wrong with keeping costs a line in the log. */
async function loadKept(
  lane: Lane,
  files: ShardFiles,
  shard: ManifestShard,
  kept: PrepackedCache | undefined,
  log: Log,
): Promise<ShardFiles> {
  const load = async (how: ShardFiles): Promise<ShardFiles> => {
    await lane.call({ op: 'load', files: how });
    return files;
  };
  const instead = async (error: unknown): Promise<ShardFiles> => {
    if (errorCode(error) !== 'E_RUN') throw error;
    log.warn('shard is loaded without its prepacked weights', { shard: shard.id, error: errorMessage(error) });
    return load(files);
  };
  const found = await kept?.find(shard);
  if (found !== undefined) {
    // In some formats the serving graph answers challenges too, and then the kept one does.
    const how = { ...files, serve: found.graph, det: files.det === files.serve ? found.graph : files.det };
    // The runtime reads the weights while they are checked: nobody can ask it anything before both are done.
    const [loaded, whole] = await Promise.allSettled([load(how), found.isWhole()]);
    const failed = loaded.status === 'rejected';
    if (whole.status === 'fulfilled' && whole.value) return failed ? instead(loaded.reason) : files;
    if (!failed) await lane.call({ op: 'unload', shard: files.index });
    await found.discard();
  }
  const draft = await kept?.begin(shard);
  if (draft === undefined) return load(files);
  try {
    await load({ ...files, keep: draft.graph });
    await draft.commit();
    return files;
  } catch (error) {
    await draft.discard();
    return instead(error);
  }
}

interface Wish {
  readonly device: DeviceWish;
  /** Why it is not what was asked for. */
  readonly why?: string;
}

/** Encoders and graphs have no form for a device. Throws EngineError E_RUN when one was asked for by name. */
function deviceFor({ manifest }: Model, device: DeviceWish): Wish {
  if (manifest.arch === 'llama' || device === 'cpu') return { device };
  const why = 'encoders and graphs run on the CPU';
  if (device === 'auto') return { device: 'cpu', why };
  throw new EngineError({ code: 'E_RUN', reason: why }, `${device} cannot be used: ${why}; leave out --device`);
}

async function onDevice(
  model: Model,
  shard: ManifestShard,
  profile: DeviceProfile,
): Promise<NonNullable<ShardFiles['onDevice']>> {
  const published = await checkedGraph(model, shard, shard.graph);
  return {
    graph: deviceGraph(textManifest(model.manifest), shard, published, profile),
    folder: dirname(model.path(shard.graph)),
  };
}

function filesOf(model: Model, shard: ManifestShard, index: number): ShardFiles {
  const { from, to, first, last, graph, det, probe, inputs, outputs } = shard;
  const { arch, shape } = model.manifest;
  const columns = arch === 'graph' ? rowValues(outputs[0]) : last ? probe.length : shape.width;
  const ports = arch === 'llama' ? {} : { ports: { inputs, outputs } };
  return { index, from, to, first, last, serve: model.path(graph), det: model.path(det.graph), columns, ...ports };
}

/** Values of one row of a port: what is no symbol, multiplied. */
function rowValues(port: Port | undefined): number {
  return (port?.dims ?? []).reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1);
}

function stepResult(value: LaneValue): StepResult {
  if (value === null || value instanceof Float32Array || isTensors(value))
    throw new RangeError('the lane answered a step without a result');
  return value;
}
