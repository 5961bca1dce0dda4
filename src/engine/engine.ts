// The half of an engine that is the same for every backend: sessions and their positions, checks of what callers hand in, memory, chunks, aborts.
// Trusts the backend, not its callers: activations and ids come from strangers.

import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import type { ShardIndex } from '../types/ids.ts';
import { errorCode } from '../util/errors.ts';
import { type Backend, capacityFor, PREFILL_CHUNK, rowCount } from './backend.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { type BorderCodec, type Engine, EngineError, type KvSession, type Rows, type StepResult } from './types.ts';

export interface EngineOptions {
  readonly model: Model;
  /** The name of a cut of the manifest; shards are numbered by their place in it. */
  readonly cut: string;
  /** Memory for weights and KV caches together; four fifths of what the system has free unless given. */
  readonly memoryBytes?: number;
}

const DEFAULT_MEMORY_SHARE = 0.8;

/** @throws ModelError when the model has no such cut */
export function createEngine(options: EngineOptions, backend: Backend): Engine {
  const { manifest } = options.model;
  const shards = cutShards(manifest, options.cut);
  const ledger = createLedger(options.memoryBytes ?? Math.floor(process.availableMemory() * DEFAULT_MEMORY_SHARE));
  const loading = new Map<ShardIndex, Promise<void>>();
  const ready = new Set<ShardIndex>();
  const count = { steps: 0, rows: 0, sessions: 0 };
  let closed = false;

  const assertOpen = () => {
    if (closed) throw gone('the engine is closed');
  };
  const assertLoaded = (from: ShardIndex, to: ShardIndex) => {
    const missing = from >= to || range(from, to).some((shard) => !ready.has(shard));
    if (missing) throw new EngineError({ code: 'E_RANGE', from, to }, `shards [${from}, ${to}) are not loaded here`);
  };
  const loadOne = async (shard: ShardIndex): Promise<void> => {
    const entry = shards[shard];
    if (entry === undefined)
      throw new EngineError({ code: 'E_RANGE', from: shard, to: shard + 1 }, `the cut has no shard ${shard}`);
    ledger.reserve('weights', entry.memory.weights);
    try {
      await backend.load(shard);
      ready.add(shard);
    } catch (error) {
      ledger.release('weights', entry.memory.weights);
      throw error;
    }
  };
  const inputOf = (shard: ShardIndex): Input => {
    const { vocab, width } = manifest.shape;
    return shards[shard]?.first === true ? { kind: 'tokens', vocab } : { kind: 'hidden', width };
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
    loaded: () => [...ready].toSorted((a, b) => a - b),
    async openSession({ from, to }, { maxTokens, codec }) {
      assertOpen();
      assertLoaded(from, to);
      const limit = manifest.shape.maxContext;
      if (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > limit)
        throw new EngineError(
          { code: 'E_FULL', maxTokens: limit },
          `a session has 1 to ${limit} tokens, not ${maxTokens}`,
        );
      const capacity = capacityFor(maxTokens, limit);
      const bytes = range(from, to).reduce((sum, shard) => sum + (shards[shard]?.memory.kvPerToken ?? 0) * capacity, 0);
      ledger.reserve('kv', bytes);
      count.sessions++;
      const session = { from, to, maxTokens, capacity, codec, bytes, input: inputOf(from) };
      return createSession(session, backend, ledger, count).catch((error: unknown) => {
        ledger.release('kv', bytes);
        count.sessions--;
        throw error;
      });
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
      return backend.challenge(shard, rows, signal);
    },
    stats: () => ({
      shards: [...ready].toSorted((a, b) => a - b),
      sessions: count.sessions,
      kvBytes: ledger.used('kv'),
      kvBudgetBytes: ledger.kvBudget(),
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

interface SessionSpec {
  readonly from: ShardIndex;
  readonly to: ShardIndex;
  readonly maxTokens: number;
  readonly capacity: number;
  readonly codec: BorderCodec;
  readonly bytes: number;
  readonly input: Input;
}

/** What the first shard of a range takes. */
type Input = { readonly kind: 'tokens'; readonly vocab: number } | { readonly kind: 'hidden'; readonly width: number };

async function createSession(
  spec: SessionSpec,
  backend: Backend,
  ledger: Ledger,
  count: { steps: number; rows: number; sessions: number },
): Promise<KvSession> {
  const cache = await backend.open(spec);
  let length = 0;
  let running: Promise<unknown> | undefined;
  let released: Promise<void> | undefined;

  const runChunks = async (rows: Rows, signal?: AbortSignal): Promise<StepResult> => {
    const results: StepResult[] = [];
    for (const chunk of chunksOf(rows, spec.input)) {
      if (signal?.aborted === true) throw aborted(length);
      const rowsIn = rowCount(chunk); // before its buffer moves on
      const result = await backend.run(cache, length, chunk, signal).catch((error: unknown) => {
        throw errorCode(error) === 'E_ABORTED' ? aborted(length) : error;
      });
      length += rowsIn;
      count.steps++;
      count.rows += rowsIn;
      results.push(result);
    }
    return joinResults(results);
  };
  const assertIdle = () => {
    if (released !== undefined) throw gone('the session is released');
    if (running !== undefined)
      throw new EngineError(
        { code: 'E_BUSY', retryAfterMs: 0 },
        'a step of this session is still running: wait for it or abort it',
      );
  };

  return {
    get length() {
      return length;
    },
    maxTokens: spec.maxTokens,
    from: spec.from,
    to: spec.to,
    async step(at, rows, signal) {
      assertIdle();
      checkRows(spec.input, rows);
      if (at !== length)
        throw new EngineError(
          { code: 'E_POSITION', length, at },
          `the session has ${length} positions, the step is for ${at}`,
        );
      if (length + rowCount(rows) > spec.maxTokens)
        throw new EngineError(
          { code: 'E_FULL', maxTokens: spec.maxTokens },
          `the session ends at ${spec.maxTokens} positions`,
        );
      const step = runChunks(rows, signal);
      running = step;
      try {
        return await step;
      } finally {
        running = undefined;
      }
    },
    truncate(to) {
      assertIdle();
      if (!Number.isInteger(to) || to < 0 || to > length)
        throw new EngineError({ code: 'E_POSITION', length, at: to }, `cannot go from ${length} positions to ${to}`);
      length = to;
    },
    release() {
      released ??= (async () => {
        await running?.catch(() => undefined);
        try {
          await backend.free(cache);
        } finally {
          ledger.release('kv', spec.bytes);
          count.sessions--;
        }
      })();
      return released;
    },
  };
}

function checkRows(input: Input, rows: Rows): void {
  if (rows.kind !== input.kind) throw shape(input.kind, rows.kind);
  if (rowCount(rows) < 1 || !Number.isInteger(rowCount(rows))) throw shape('at least one row', String(rowCount(rows)));
  if (rows.kind === 'hidden' && input.kind === 'hidden') {
    const expected = rows.count * input.width;
    if (rows.data.length !== expected) throw shape(`${expected} values`, `${rows.data.length}`);
  }
  if (rows.kind !== 'tokens' || input.kind !== 'tokens') return;
  const id = rows.ids.find((value) => value < 0 || value >= input.vocab);
  if (id !== undefined)
    throw new EngineError(
      { code: 'E_TOKEN', id, vocab: input.vocab },
      `token ${id} is not in the vocabulary of ${input.vocab}`,
    );
}

/** Rows in the chunks that every engine cuts; a step of one chunk moves its buffer on as it is. */
function* chunksOf(rows: Rows, input: Input): Generator<Rows> {
  const total = rowCount(rows);
  if (total <= PREFILL_CHUNK) {
    yield rows;
    return;
  }
  for (let at = 0; at < total; at += PREFILL_CHUNK) {
    const end = Math.min(total, at + PREFILL_CHUNK);
    if (rows.kind === 'tokens') yield { kind: 'tokens', ids: rows.ids.slice(at, end) };
    else {
      const width = input.kind === 'hidden' ? input.width : 0;
      yield { kind: 'hidden', data: rows.data.slice(at * width, end * width), count: end - at };
    }
  }
}

function joinResults(results: readonly StepResult[]): StepResult {
  const last = results.at(-1);
  if (last === undefined) throw new RangeError('a step has at least one chunk');
  if (last.kind === 'top' || results.length === 1) return last;
  const parts = results.flatMap((result) => (result.kind === 'hidden' ? [result] : []));
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { kind: 'hidden', data, count: parts.reduce((sum, part) => sum + part.count, 0) };
}

function range(from: ShardIndex, to: ShardIndex): ShardIndex[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => (from + i) as ShardIndex);
}

function shape(expected: string, found: string): EngineError {
  return new EngineError({ code: 'E_SHAPE', expected, found }, `expected ${expected}, found ${found}`);
}

function gone(why: string): EngineError {
  return new EngineError({ code: 'E_GONE' }, why);
}

function aborted(length: number): EngineError {
  return new EngineError({ code: 'E_ABORTED', length }, `aborted; the session has ${length} positions`);
}
