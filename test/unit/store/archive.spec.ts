import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createArchive } from '../../../src/store/archive.ts';
import type { Epoch, Hash, SubnetId } from '../../../src/types/ids.ts';

const OWNER = { genesis: `0x${'11'.repeat(32)}` as Hash, subnet: 128_001 as SubnetId };

function record(seed: number, epoch: number, kind = 'hc') {
  return { epoch: epoch as Epoch, kind, id: new Uint8Array(32).fill(seed), bytes: Uint8Array.of(seed, epoch) };
}

describe('archive', () => {
  let folder: string;
  const file = () => join(folder, 'archive.sqlite');
  const open = (owner = OWNER) => createArchive({ ...owner, file: file() });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-archive-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('finds records by place and by id, whole or short, also after a restart', () => {
    const before = open();
    for (const one of [record(2, 5), record(1, 5), record(3, 5, 'hr'), record(4, 6)]) before.saveRecord(one);
    before.saveRecord({ ...record(1, 5), bytes: new Uint8Array() });
    before.saveNote('named', 5 as Epoch, Uint8Array.of(1));
    before.saveNote('named', 5 as Epoch, Uint8Array.of(2));
    before.close();
    const archive = open();
    assert.deepEqual(archive.records('hc', 5 as Epoch), [Uint8Array.of(1, 5), Uint8Array.of(2, 5)]);
    assert.deepEqual(archive.records('sr', 5 as Epoch), []);
    assert.deepEqual(archive.record(new Uint8Array(16).fill(3)), Uint8Array.of(3, 5));
    const other = new Uint8Array(32).fill(3);
    assert.deepEqual(archive.record(other), Uint8Array.of(3, 5));
    other[31] = 0;
    assert.equal(archive.record(other), undefined);
    assert.deepEqual(archive.note('named', 5 as Epoch), Uint8Array.of(2));
    assert.equal(archive.note('named', 6 as Epoch), undefined);
    archive.close();
  });

  it('forgets old epochs', () => {
    const archive = open();
    for (let epoch = 0; epoch < 10; epoch++) {
      archive.saveRecord(record(epoch, epoch));
      archive.saveNote('named', epoch as Epoch, new Uint8Array());
    }
    archive.forget(7 as Epoch);
    const kept = Array.from({ length: 10 }, (_, epoch) => archive.records('hc', epoch as Epoch).length);
    assert.deepEqual(kept, [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
    assert.equal(archive.note('named', 6 as Epoch), undefined);
    assert.equal(archive.record(new Uint8Array(32).fill(6)), undefined);
    archive.close();
  });

  it('begins anew for another subnet, and where the file is damaged; only its owner may read it', () => {
    const first = open();
    first.saveRecord(record(1, 5));
    first.close();
    const second = open({ ...OWNER, subnet: 9 as SubnetId });
    assert.deepEqual(second.records('hc', 5 as Epoch), []);
    second.close();
    writeFileSync(file(), 'no database at all, but long enough to be one'.repeat(100));
    const third = open();
    third.saveRecord(record(1, 5));
    assert.equal(third.records('hc', 5 as Epoch).length, 1);
    assert.equal(statSync(file()).mode & 0o77, 0);
    third.close();
  });
});
