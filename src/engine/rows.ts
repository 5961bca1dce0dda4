// Rows on their way through an engine: what a shard takes, the chunks that are run, the pieces put together again. Rows come from strangers.

import { rowCount } from './backend.ts';
import { EngineError, type Rows, type StepResult } from './types.ts';

/** What the first shard of a range takes. */
export type Input =
  | { readonly kind: 'tokens'; readonly vocab: number }
  | { readonly kind: 'hidden'; readonly width: number };

/** Throws E_SHAPE or E_TOKEN. */
export function checkRows(input: Input, rows: Rows): void {
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

/** Rows in chunks of `chunk`; a step of one chunk moves its buffer on as it is. */
export function* chunksOf(rows: Rows, input: Input, chunk: number): Generator<Rows> {
  const total = rowCount(rows);
  if (total <= chunk) {
    yield rows;
    return;
  }
  for (let at = 0; at < total; at += chunk) {
    const end = Math.min(total, at + chunk);
    if (rows.kind === 'tokens') yield { kind: 'tokens', ids: rows.ids.slice(at, end) };
    else {
      const width = input.kind === 'hidden' ? input.width : 0;
      yield { kind: 'hidden', data: rows.data.slice(at * width, end * width), count: end - at };
    }
  }
}

/** Hidden rows of all chunks, or the last one's candidates. */
export function joinResults(results: readonly StepResult[]): StepResult {
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

function shape(expected: string, found: string): EngineError {
  return new EngineError({ code: 'E_SHAPE', expected, found }, `expected ${expected}, found ${found}`);
}
