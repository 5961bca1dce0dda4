// The half of an engine that is the same for every backend: which shards are there, memory, sessions, counters.
// Trusts the backend, not its callers: activations and ids come from strangers.

import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { ShardIndex } from '../types/ids.ts';
import { type Backend, capacityFor, chunkRows, rowCount } from './backend.ts';
import { createLedger } from './ledger.ts';
import { checkRows, type Input } from './rows.ts';
import { createSession, gone } from './session.ts';
import { checkTensors, workspaceBytes } from './tensors.ts';
import { type Engine, EngineError } from './types.ts';

export interface EngineOptions {
  readonly model: Model;
  /** The name of a cut of the manifest; shards are numbered by their place in it. */
  readonly cut: string;
  /** Memory for weights and KV caches together; four fifths of what the system, or the device, has free unless given. */
  readonly memoryBytes?: number;
}

const DEFAULT_MEMORY_SHARE = 0.8;

/** @throws ModelError when the model has no such cut */
export function createEngine(options: EngineOptions, backend: Backend): Engine {
  const { manifest } = options.model;
  const shards = cutShards(manifest, options.cut);
  const ledger = createLedger(budgetOf(options, backend));
  const memoryOf = (shard: ShardIndex) => {
    const entry = shards[shard];
    return entry === undefined ? { weights: 0, kvPerToken: 0 } : backend.memoryOf(entry);
  };
  const loading = new Map<ShardIndex, Promise<void>>();
  const ready = new Set<ShardIndex>();
  /** Sessions and runs that have a shard. */
  const users = new Map<ShardIndex, number>();
  const count = { steps: 0, rows: 0, sessions: 0 };
  let closed = false;

  const assertOpen = () => {
    if (closed) throw gone('the engine is closed');
  };
  const assertLoaded = (from: ShardIndex, to: ShardIndex) => {
    const missing = from >= to || range(from, to).some((shard) => !ready.has(shard));
    if (missing) throw new EngineError({ code: 'E_RANGE', from, to }, `shards [${from}, ${to}) are not loaded here`);
  };
  /** Keeps shards from being unloaded until the result is called. */
  const use = (from: ShardIndex, to: ShardIndex): (() => void) => {
    const add = (change: number) => {
      for (const shard of range(from, to)) users.set(shard, (users.get(shard) ?? 0) + change);
    };
    add(1);
    return () => add(-1);
  };
  const unloadOne = async (shard: ShardIndex): Promise<void> => {
    if (!ready.delete(shard)) return;
    loading.delete(shard);
    await backend.unload(shard);
    ledger.releaseWeights(memoryOf(shard).weights);
  };
  const assertState = (wanted: 'text' | 'stateless', what: string) => {
    if ((manifest.arch === 'llama') === (wanted === 'text')) return;
    throw new EngineError({ code: 'E_SHAPE', expected: wanted, found: manifest.arch }, `this model has no ${what}`);
  };
  const loadOne = async (shard: ShardIndex): Promise<void> => {
    const entry = shards[shard];
    if (entry === undefined)
      throw new EngineError({ code: 'E_RANGE', from: shard, to: shard + 1 }, `the cut has no shard ${shard}`);
    const { weights } = backend.memoryOf(entry);
    ledger.reserveWeights(weights);
    try {
      await backend.load(shard);
      ready.add(shard);
    } catch (error) {
      ledger.releaseWeights(weights);
      throw error;
    }
  };
  const onRun = (rows: number) => {
    count.steps++;
    count.rows += rows;
  };
  const inputOf = (shard: ShardIndex): Input => {
    const { vocab } = manifest.shape;
    const port = shards[shard]?.inputs[0];
    if (port?.dtype !== 'f32') return { kind: 'tokens', vocab };
    const width = port.dims.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1);
    return { kind: 'hidden', width };
  };

  return {
    info: backend.info,
    async load(wanted, signal) {
      for (const shard of wanted) {
        signal?.throwIfAborted();
        assertOpen();
        const job = loading.get(shard) ?? loadOne(shard);
        loading.set(shard, job);
        await job.catch((error: unknown) => {
          loading.delete(shard);
          throw error;
        });
      }
    },
    async unload(wanted) {
      assertOpen();
      const busy = wanted.find((shard) => (users.get(shard) ?? 0) > 0);
      if (busy !== undefined)
        throw new EngineError({ code: 'E_BUSY', retryAfterMs: 0 }, `shard ${busy} is in use: wait for its sessions`);
      await Promise.all(wanted.map(unloadOne));
    },
    loaded: () => [...ready].toSorted((a, b) => a - b),
    async openSession({ from, to }, { maxTokens, owner, codec }) {
      assertOpen();
      assertLoaded(from, to);
      assertState('text', 'sessions');
      const limit = manifest.shape.maxContext;
      if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > limit)
        throw new EngineError(
          { code: 'E_FULL', maxTokens: limit },
          `a session has 1 to ${limit} tokens, not ${maxTokens}`,
        );
      const capacity = capacityFor(maxTokens, limit);
      const bytes = range(from, to).reduce((sum, shard) => sum + memoryOf(shard).kvPerToken * capacity, 0);
      ledger.reserveKv(bytes, owner);
      count.sessions++;
      const release = use(from, to);
      const onRelease = () => {
        release();
        ledger.releaseKv(bytes, owner);
        count.sessions--;
      };
      return createSession(
        {
          from,
          to,
          maxTokens,
          capacity,
          codec,
          owner,
          input: inputOf(from),
          chunk: chunkRows(manifest.shape, shards[from]?.format),
        },
        { backend, onRun, onRelease },
      ).catch((error: unknown) => {
        onRelease();
        throw error;
      });
    },
    async run({ from, to }, tensors, { owner }, signal) {
      assertOpen();
      assertLoaded(from, to);
      assertState('stateless', 'runs without sessions');
      if (signal?.aborted === true) throw new EngineError({ code: 'E_ABORTED', length: 0 }, 'aborted');
      checkTensors(manifest, shards[from]?.inputs ?? [], tensors);
      const bytes = workspaceBytes(manifest, tensors);
      const rows = tensors[0]?.dims[0] ?? 0;
      ledger.reserveKv(bytes, owner);
      const release = use(from, to);
      try {
        const outputs = await backend.compute({ from, to, tensors, owner }, signal);
        onRun(rows);
        return outputs;
      } finally {
        release();
        ledger.releaseKv(bytes, owner);
      }
    },
    async challenge(shard, rows, signal) {
      assertOpen();
      assertLoaded(shard, (shard + 1) as ShardIndex);
      signal?.throwIfAborted();
      checkRows(inputOf(shard), rows);
      if (rowCount(rows) > manifest.shape.maxContext)
        throw new EngineError(
          { code: 'E_FULL', maxTokens: manifest.shape.maxContext },
          'the challenge is longer than the context',
        );
      const release = use(shard, (shard + 1) as ShardIndex);
      return backend.challenge(shard, rows, signal).finally(release);
    },
    stats: () => ({
      shards: [...ready].toSorted((a, b) => a - b),
      sessions: count.sessions,
      kvBytes: ledger.kvBytes,
      kvBudgetBytes: ledger.kvBudget,
      steps: count.steps,
      rows: count.rows,
      queued: backend.queued(),
    }),
    async close() {
      if (closed) return;
      closed = true;
      await backend.close();
    },
  };
}

/** A device is never given more than a share of what it has; of the system's memory whoever names a number may have all. */
function budgetOf({ memoryBytes }: EngineOptions, { memoryBytes: device }: Backend): number {
  const share = (bytes: number) => Math.floor(bytes * DEFAULT_MEMORY_SHARE);
  if (device !== undefined) return Math.min(memoryBytes ?? device, share(device));
  return memoryBytes ?? share(process.availableMemory());
}

function range(from: ShardIndex, to: ShardIndex): ShardIndex[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => (from + i) as ShardIndex);
}
