// The draft table beside a model, from whoever has one. No manifest names it and no hash proves it: what reads it says whether it can be used, and a bad one
// costs guesses alone. So it is worth no long wait, and a node without one is whole.

import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage } from '../util/errors.ts';
import type { FetchDeps } from './fetch.ts';
import type { WantedDraft } from './source.ts';

/** For one source, and for all together. */
const SOURCE_MS = 20_000;
const ALL_MS = 60_000;

export interface DraftOptions extends WantedDraft {
  readonly folder: string;
  /** Why these bytes are no table for the model; undefined when they are one. */
  readonly fault: (bytes: Uint8Array) => string | undefined;
}

/** Whether a table lies in the folder now: the first that can be used. Throws the signal's reason alone. */
export async function fetchDraft(
  { folder, fault, ...wanted }: DraftOptions,
  { sources, log }: Pick<FetchDeps, 'sources' | 'log'>,
  signal: AbortSignal,
): Promise<boolean> {
  const all = AbortSignal.any([signal, AbortSignal.timeout(ALL_MS)]);
  for (const source of await sources()) {
    if (all.aborted) break;
    try {
      const bytes = await source.draft(wanted, AbortSignal.any([all, AbortSignal.timeout(SOURCE_MS)]));
      if (bytes === undefined) continue;
      const why = fault(bytes);
      if (why === undefined) {
        const path = join(folder, wanted.name);
        await writeFile(`${path}.part`, bytes, { flush: true });
        await rename(`${path}.part`, path);
        return true;
      }
      log.info('draft table not taken', { source: source.name, why });
    } catch (error) {
      signal.throwIfAborted();
      log.debug('draft table not fetched', { source: source.name, error: errorMessage(error) });
    }
  }
  signal.throwIfAborted();
  return false;
}
