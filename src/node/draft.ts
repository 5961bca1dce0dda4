// The draft table beside a model, if there is one. It is no part of the model: nothing names its hash, and a bad one costs guesses alone.

import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DRAFT_FILE, type DraftTable, MAX_DRAFT_BYTES, readDraftTable } from '../client/draft-table.ts';
import type { Model } from '../model/open.ts';
import { errorCode, errorMessage } from '../util/errors.ts';
import type { Log } from '../util/log.ts';

export function draftFile(model: Pick<Model, 'manifest' | 'path'>): string {
  const [any = ''] = Object.keys(model.manifest.files);
  return join(dirname(model.path(any)), DRAFT_FILE);
}

/** Undefined when there is none, or none that can be used: then guesses come from the text alone. */
export async function loadDraft(model: Pick<Model, 'manifest' | 'path'>, log: Log): Promise<DraftTable | undefined> {
  const file = draftFile(model);
  try {
    await using handle = await open(file);
    const { size } = await handle.stat();
    const table =
      size > MAX_DRAFT_BYTES
        ? `${size} bytes, at most ${MAX_DRAFT_BYTES} are read`
        : readDraftTable(await handle.readFile(), model.manifest.shape.vocab);
    if (typeof table !== 'string') return table;
    log.warn('draft table not used', { file, why: table });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') log.warn('draft table not read', { file, error: errorMessage(error) });
  }
  return undefined;
}
