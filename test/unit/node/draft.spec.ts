import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DRAFT_FILE, learnDraftTable } from '../../../src/client/draft-table.ts';
import type { Model } from '../../../src/model/open.ts';
import { openModel } from '../../../src/model/open.ts';
import { loadDraft } from '../../../src/node/draft.ts';
import { type Log, silentLog } from '../../../src/util/log.ts';

const BUNDLED = new URL('../../../models/tiny', import.meta.url).pathname;

describe('node: the draft table beside a model', () => {
  let folder: string;
  const warned: unknown[] = [];
  const log: Log = { ...silentLog, warn: (word, facts) => void warned.push([word, facts?.why]) };
  const model = () =>
    ({
      manifest: { files: { a: {} }, shape: { vocab: 10 } },
      path: (file: string) => join(folder, file),
    }) as unknown as Model;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-draft-'));
    warned.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is read where there is one', async () => {
    assert.equal(await loadDraft(model(), log), undefined);
    writeFileSync(join(folder, DRAFT_FILE), learnDraftTable([[1, 2, 1, 2]], 1, 10));
    assert.equal((await loadDraft(model(), log))?.follows([1]), 2);
    assert.deepEqual(warned, []);
  });

  it('that cannot be used is told of and left out', async () => {
    writeFileSync(join(folder, DRAFT_FILE), learnDraftTable([[1, 20, 1, 20]], 1, 100));
    assert.equal(await loadDraft(model(), log), undefined);
    assert.deepEqual(warned, [['draft table not used', 'an id of 20 in a vocabulary of 10']]);
  });

  it('the bundled model has one', async () => {
    assert.notEqual(await loadDraft(await openModel(BUNDLED), log), undefined);
    assert.deepEqual(warned, []);
  });
});
