import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Hex } from '../../../src/devchain/hex.ts';
import { openStore, type StoreRecord } from '../../../src/devchain/store.ts';

const GENESIS: Hex = `0x${'aa'.repeat(32)}`;
const patch = (byte: string): StoreRecord => ({ o: [[`0x${byte}`, '0x01']] });

describe('devchain/store', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tessera-store-'));
    file = join(folder, 'chain.jsonl');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (genesis = GENESIS) => openStore({ file, genesis, fsync: false });

  function recorded(): readonly StoreRecord[] {
    const store = open();
    try {
      return [...store.records()];
    } finally {
      store.close();
    }
  }

  function write(...records: StoreRecord[]): void {
    const store = open();
    assert.deepEqual([...store.records()], []);
    for (const record of records) store.append(record);
    store.close();
  }

  it('keeps records in order', () => {
    write(patch('01'), { r: 2 }, patch('02'));
    assert.deepEqual(recorded(), [patch('01'), { r: 2 }, patch('02')]);
    assert.ok(readFileSync(file, 'utf8').startsWith(`{"g":"${GENESIS}"}\n`));
  });

  it('survives a file cut off at every byte of its last line, and writes on', () => {
    write(patch('01'), patch('02'));
    const whole = readFileSync(file);
    const lastLine = whole.subarray(0, -1).lastIndexOf(0x0a) + 1;
    for (let size = lastLine; size < whole.length; size++) {
      writeFileSync(file, whole.subarray(0, size));
      const store = open();
      assert.deepEqual([...store.records()], [patch('01')]);
      store.append(patch('03'));
      store.close();
      assert.deepEqual(recorded(), [patch('01'), patch('03')]);
    }
  });

  it('starts anew when not even the first line is whole', () => {
    writeFileSync(file, '{"g":"0xaa');
    assert.deepEqual(recorded(), []);
    assert.deepEqual(recorded(), []);
    assert.equal(readFileSync(file, 'utf8'), `{"g":"${GENESIS}"}\n`);
  });

  for (const [what, text] of [
    ['one line', 'my notes\n'],
    ['no line', 'my notes'],
    ['a long beginning of a genesis', `{"g":"0x${'ab'.repeat(40)}`],
    ['JSON of something else', '{"name":"x"}\n'],
  ] as const) {
    it(`refuses a file that is not its own and leaves it as it is: ${what}`, () => {
      writeFileSync(file, text);
      assert.throws(recorded, { facts: { code: 'DEVCHAIN_DB_DAMAGED', file, line: text.endsWith('\n') ? 1 : 0 } });
      assert.equal(readFileSync(file, 'utf8'), text);
    });
  }

  it('cuts off a whole last line that is no record, refuses one in the middle with its number', () => {
    write(patch('01'), patch('02'));
    const lines = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [...lines.slice(0, 2), '{"o":[[17]]}', ''].join('\n'));
    assert.deepEqual(recorded(), [patch('01')]);
    writeFileSync(file, [lines[0], '\0\0\0', lines[2], ''].join('\n'));
    assert.throws(recorded, { facts: { code: 'DEVCHAIN_DB_DAMAGED', file, line: 2 } });
  });

  it('reads lines longer than one chunk', () => {
    const long: StoreRecord = { o: [['0x01', `0x${'ab'.repeat(5_000_000)}`]] };
    write(patch('01'), long, patch('02'));
    assert.deepEqual(recorded(), [patch('01'), long, patch('02')]);
  });

  it('refuses the file of another genesis with both hashes, and does not change it', () => {
    write(patch('01'));
    const before = readFileSync(file);
    const other: Hex = `0x${'bb'.repeat(32)}`;
    const store = open(other);
    assert.throws(() => [...store.records()], {
      facts: { code: 'DEVCHAIN_FOREIGN_GENESIS', file, expected: other, found: GENESIS },
    });
    store.close();
    assert.deepEqual(readFileSync(file), before);
  });

  it('belongs to one process at a time; the lock of a dead one does not count', () => {
    const store = open();
    assert.throws(open, { facts: { code: 'DEVCHAIN_DB_LOCKED', file, pid: process.pid } });
    store.close();
    for (const left of ['999999999 1', '', 'nonsense', `${process.pid} 1`]) {
      writeFileSync(`${file}.lock`, left);
      open().close();
    }
  });

  it('goes to one of several processes that find the lock of a dead one together', async () => {
    const racer = fileURLToPath(new URL('./lock-process.ts', import.meta.url));
    const racers = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, [racer, `${file}.lock`], { stdio: ['pipe', 'pipe', 'inherit'] });
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    const said = () => Promise.all(racers.map(async ({ lines }) => (await lines.next()).value));
    const tell = (word: string) => {
      for (const { child } of racers) child.stdin.write(`${word}\n`);
    };
    try {
      assert.deepEqual(await said(), ['ready', 'ready', 'ready', 'ready']);
      for (let round = 0; round < 20; round++) {
        writeFileSync(`${file}.lock`, '999999999 1');
        tell('take');
        assert.deepEqual((await said()).sort(), ['has it', 'refused', 'refused', 'refused'], `round ${round}`);
        tell('release');
        await said();
      }
    } finally {
      for (const { child } of racers) child.kill();
    }
  });

  it('writes nothing after it was closed', () => {
    const store = open();
    assert.deepEqual([...store.records()], []);
    store.close();
    store.close();
    assert.throws(() => store.append(patch('01')), { code: 'DEVCHAIN_DB_UNWRITABLE' });
    assert.deepEqual(recorded(), []);
  });

  it('says so when the file cannot be written', () => {
    assert.throws(() => openStore({ file: join(folder, 'no', 'such'), genesis: GENESIS, fsync: false }), {
      code: 'DEVCHAIN_DB_UNWRITABLE',
    });
    assert.throws(() => openStore({ file: folder, genesis: GENESIS, fsync: false }), {
      code: 'DEVCHAIN_DB_UNWRITABLE',
    });
  });

  it('does not trust what was there before it was read', () => {
    write(patch('01'));
    truncateSync(file, 0);
    assert.deepEqual(recorded(), []);
  });
});
