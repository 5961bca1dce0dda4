import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryDisk, createMemoryJournal, killHolder } from '../../src/store/memory.ts';
import { createJournal } from '../../src/store/sqlite.ts';
import { StoreError } from '../../src/store/types.ts';
import { GENESIS, hasCode, slot, testJournal } from './journal.ts';

function createFolder(): { readonly file: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-journal-'));
  return { file: join(folder, 'data', 'journal.sqlite'), remove: () => rmSync(folder, { recursive: true }) };
}

testJournal('memory', () => {
  const disk = createMemoryDisk();
  return { open: (genesis) => createMemoryJournal({ genesis, disk }), remove: () => undefined };
});

testJournal('sqlite', () => {
  const { file, remove } = createFolder();
  return { open: (genesis) => createJournal({ file, genesis }), remove };
});

describe('journal: memory, killed', () => {
  it('frees the lock and keeps what was written', () => {
    const disk = createMemoryDisk();
    const dead = createMemoryJournal({ genesis: GENESIS, disk });
    dead.claim(slot(7), new Uint8Array([1]));
    killHolder(disk);
    const reopened = createMemoryJournal({ genesis: GENESIS, disk });
    assert.deepEqual(reopened.claimed(slot(7)), new Uint8Array([1]));
    assert.throws(() => dead.claim(slot(8), new Uint8Array([1])));
  });
});

describe('journal: sqlite, crash story', () => {
  // The child claims, says so, and then waits to be killed with the journal open.
  const script = (file: string) => `
    import { createJournal } from ${JSON.stringify(new URL('../../src/store/sqlite.ts', import.meta.url).href)};
    const journal = createJournal({ file: ${JSON.stringify(file)}, genesis: ${JSON.stringify(GENESIS)} });
    for (let epoch = 0; epoch < 20; epoch++)
      journal.claim({ subnet: 128001, node: 1, epoch, kind: 'hc' }, new Uint8Array([epoch, 42]));
    process.stdout.write('claimed');
    setInterval(() => undefined, 1000);
  `;
  let place: ReturnType<typeof createFolder>;
  let child: ChildProcess;

  beforeEach(async () => {
    place = createFolder();
    child = spawn(process.execPath, ['--input-type=module', '-e', script(place.file)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.stdout === null) throw new TypeError('no stdout');
    await once(child.stdout, 'data');
  });
  afterEach(() => {
    child.kill('SIGKILL');
    place.remove();
  });

  it('names the process that holds it, and takes over when that one was killed', async () => {
    assert.throws(
      () => createJournal({ file: place.file, genesis: GENESIS }),
      (error) => error instanceof StoreError && error.facts.code === 'JOURNAL_LOCKED' && error.facts.pid === child.pid,
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    const journal = createJournal({ file: place.file, genesis: GENESIS });
    for (let epoch = 0; epoch < 20; epoch++) {
      assert.deepEqual(journal.claimed(slot(epoch)), new Uint8Array([epoch, 42]));
    }
    assert.throws(() => journal.claim(slot(19), new Uint8Array([0])), hasCode('SIGNED_ALREADY'));
    journal.close();
  });
});

describe('journal: sqlite, file', () => {
  let place: ReturnType<typeof createFolder>;
  beforeEach(() => {
    place = createFolder();
  });
  afterEach(() => place.remove());

  it('is readable by its owner alone, with its log', () => {
    const journal = createJournal({ file: place.file, genesis: GENESIS });
    journal.claim(slot(1), new Uint8Array([1]));
    for (const suffix of ['', '-wal', '.pid']) assert.equal(statSync(place.file + suffix).mode & 0o077, 0, suffix);
    journal.close();
  });

  it('is refused when it is damaged', () => {
    createJournal({ file: place.file, genesis: GENESIS }).close();
    chmodSync(place.file, 0o600);
    writeFileSync(place.file, 'not a database at all, but long enough to be looked at'.repeat(20));
    assert.throws(() => createJournal({ file: place.file, genesis: GENESIS }), hasCode('JOURNAL_UNUSABLE'));
  });
});
