// Sessions of an engine: positions, checks of what callers hand in, chunks, aborts; the same for every backend.
// Trusts the backend, not its callers: activations and ids come from strangers.

import { errorCode } from '../util/errors.ts';
import { type Backend, type CacheSpec, rowCount } from './backend.ts';
import { checkRows, chunksOf, type Input, joinResults } from './rows.ts';
import { EngineError, type KvSession, type Rows, type StepResult } from './types.ts';

export interface SessionSpec extends CacheSpec {
  readonly maxTokens: number;
  readonly input: Input;
  /** Rows per native run. */
  readonly chunk: number;
}

export interface SessionDeps {
  readonly backend: Backend;
  /** After each native run. */
  readonly onRun: (rows: number) => void;
  /** Once, when the cache is free again. */
  readonly onRelease: () => void;
}

/** Opens the cache; memory has been reserved. */
export async function createSession(spec: SessionSpec, { backend, onRun, onRelease }: SessionDeps): Promise<KvSession> {
  const cache = await backend.open(spec);
  let length = 0;
  let running: Promise<unknown> | undefined;
  let released: Promise<void> | undefined;

  const runChunks = async (rows: Rows, signal?: AbortSignal): Promise<StepResult> => {
    const results: StepResult[] = [];
    for (const chunk of chunksOf(rows, spec.input, spec.chunk)) {
      if (signal?.aborted === true) throw aborted(length);
      const rowsIn = rowCount(chunk); // before its buffer moves on
      const result = await backend.run(cache, length, chunk, signal).catch((error: unknown) => {
        throw errorCode(error) === 'E_ABORTED' ? aborted(length) : error;
      });
      length += rowsIn;
      onRun(rowsIn);
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
          onRelease();
        }
      })();
      return released;
    },
  };
}

export function gone(why: string): EngineError {
  return new EngineError({ code: 'E_GONE' }, why);
}

function aborted(length: number): EngineError {
  return new EngineError({ code: 'E_ABORTED', length }, `aborted; the session has ${length} positions`);
}
