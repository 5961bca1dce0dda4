// The journal on SQLite (node:sqlite). Trusts the file system to keep what fsync was asked for: every write is its own transaction in a
// write-ahead log with synchronous = FULL. One process per file: SQLite's own exclusive lock, which the system drops when its holder dies
// (so a dead holder needs no clean-up, and a reused process id cannot fool it); `<file>.pid` only names the holder in messages.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Epoch, Hash, SubnetId } from '../types/ids.ts';
import { equalBytes } from '../util/bytes.ts';
import { factDiffers, journalForeign, journalLocked, journalUnusable, signedAlready, slotPast } from './errors.ts';
import { type Journal, type JournalEntry, type Slot, StoreError } from './types.ts';

export interface JournalOptions {
  /** Made with its folder (0600, 0700) if it is not there. */
  readonly file: string;
  /** The chain whose epochs the slots count: a journal of another chain is refused. */
  readonly genesis: Hash;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS signed (
    subnet INTEGER NOT NULL, node INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (subnet, node, epoch, kind)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS opening (
    subnet INTEGER NOT NULL, node INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (subnet, node, epoch, kind)) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, payload BLOB NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS floor (subnet INTEGER PRIMARY KEY, epoch INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

/** Primary result codes of SQLite (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

/**
 * Opens the journal for this process alone, until `close`.
 *
 * Errors: JOURNAL_LOCKED while another process has it, JOURNAL_FOREIGN on another chain's file, JOURNAL_UNUSABLE when the file is damaged.
 */
export function createJournal({ file, genesis }: JournalOptions): Journal {
  const database = openExclusive(file);
  try {
    return journalOver(database, file, genesis);
  } catch (error) {
    database.close();
    throw error instanceof StoreError ? error : journalUnusable(file, error);
  }
}

function journalOver(database: DatabaseSync, file: string, genesis: Hash): Journal {
  database.exec(SCHEMA);
  bindIdentity(database, file, genesis);
  const pidFile = `${file}.pid`;
  writeFileSync(pidFile, `${process.pid}\n`, { mode: 0o600 });
  const signed = slotTable(database, 'signed');
  const openings = slotTable(database, 'opening');
  const facts = {
    read: database.prepare('SELECT payload FROM fact WHERE name = ?'),
    write: database.prepare('INSERT INTO fact VALUES (?, ?)'),
  };

  const readFloor = database.prepare('SELECT epoch FROM floor WHERE subnet = ?');
  const floor = (subnet: SubnetId): Epoch => Number(readFloor.get(subnet)?.epoch ?? 0) as Epoch;

  function writeSlot(table: Table, slot: Slot, bytes: Uint8Array) {
    const lowest = floor(slot.subnet);
    if (slot.epoch < lowest) throw slotPast(slot, lowest);
    return writeOnce(table, slotKey(slot), bytes, () => signedAlready(slot));
  }

  return {
    claim: (slot, payload) => writeSlot(signed, slot, payload),
    claimed: (slot) => readBytes(signed.read, slotKey(slot)),
    keep: (slot, opening) => writeSlot(openings, slot, opening),
    kept: (slot) => readBytes(openings.read, slotKey(slot)),
    saveFact(name, value) {
      writeOnce(facts, [name], value, () => factDiffers(name));
    },
    fact: (name) => readBytes(facts.read, [name]),
    list: (what) => listSlots(database, what === 'claims' ? 'signed' : 'opening'),
    forget(subnet, below) {
      if (below > floor(subnet)) forgetBelow(database, subnet, below);
    },
    floor,
    close() {
      if (!database.isOpen) return;
      rmSync(pidFile, { force: true });
      database.close();
    },
  };
}

/**
 * The chain that a journal was written on, without a chain to ask.
 *
 * Errors: JOURNAL_LOCKED, JOURNAL_UNUSABLE also when there is none.
 */
export function journalGenesis(file: string): Hash {
  if (!existsSync(file)) throw journalUnusable(file, new Error('there is no such file'));
  const database = openExclusive(file);
  try {
    const row = database.prepare("SELECT value FROM identity WHERE name = 'genesis'").get();
    return String(row?.value) as Hash;
  } catch (error) {
    throw journalUnusable(file, error);
  } finally {
    database.close();
  }
}

function openExclusive(file: string): DatabaseSync {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // Made here, because SQLite would make it readable for others under a common umask, and journal and log inherit the mode.
  writeFileSync(file, '', { flag: 'a', mode: 0o600 });
  const database = new DatabaseSync(file);
  try {
    // EXCLUSIVE before WAL: the lock is then held from the first transaction to the end, and no shared memory file is needed.
    database.exec(
      'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT',
    );
    return database;
  } catch (error) {
    database.close();
    throw isBusy(error) ? journalLocked(file, readPid(`${file}.pid`)) : journalUnusable(file, error);
  }
}

function isBusy(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
  return code === SQLITE_BUSY || code === SQLITE_LOCKED;
}

/** 0 when the holder's note is not there (it is written just after the lock is taken). */
function readPid(file: string): number {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10) || 0;
  } catch {
    return 0;
  }
}

function bindIdentity(database: DatabaseSync, file: string, genesis: Hash): void {
  database.prepare("INSERT OR IGNORE INTO identity VALUES ('genesis', ?)").run(genesis);
  const row = database.prepare("SELECT value FROM identity WHERE name = 'genesis'").get();
  const found = String(row?.value);
  if (found !== genesis) throw journalForeign(file, genesis, found);
}

interface Table {
  readonly read: StatementSync;
  readonly write: StatementSync;
}

type Key = readonly (string | number)[];

function slotTable(database: DatabaseSync, name: 'signed' | 'opening'): Table {
  return {
    read: database.prepare(`SELECT payload FROM ${name} WHERE subnet = ? AND node = ? AND epoch = ? AND kind = ?`),
    write: database.prepare(`INSERT INTO ${name} VALUES (?, ?, ?, ?, ?)`),
  };
}

/** The floor rises in the same transaction in which the slots go. */
function forgetBelow(database: DatabaseSync, subnet: SubnetId, floor: Epoch): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    database.prepare('INSERT OR REPLACE INTO floor VALUES (?, ?)').run(subnet, floor);
    for (const table of ['signed', 'opening']) {
      database.prepare(`DELETE FROM ${table} WHERE subnet = ? AND epoch < ?`).run(subnet, floor);
    }
    const rows = database.prepare('SELECT name FROM fact').all();
    const drop = database.prepare('DELETE FROM fact WHERE name = ?');
    for (const { name } of rows) {
      const [, of, epoch] = String(name).split('/').map(Number);
      if (of === subnet && epoch !== undefined && epoch < floor) drop.run(String(name));
    }
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function listSlots(database: DatabaseSync, name: 'signed' | 'opening'): readonly JournalEntry[] {
  const rows = database.prepare(
    `SELECT subnet, node, epoch, kind, payload FROM ${name} ORDER BY subnet, node, epoch, kind`,
  );
  return rows.all().map(({ subnet, node, epoch, kind, payload }) => ({
    slot: {
      subnet: Number(subnet) as Slot['subnet'],
      node: Number(node) as Slot['node'],
      epoch: Number(epoch) as Slot['epoch'],
      kind: String(kind),
    },
    payload: payload instanceof Uint8Array ? new Uint8Array(payload) : new Uint8Array(),
  }));
}

function slotKey({ subnet, node, epoch, kind }: Slot): Key {
  return [subnet, node, epoch, kind];
}

/** Durable when it returns: each INSERT is one transaction, synced before it answers. */
function writeOnce({ read, write }: Table, key: Key, bytes: Uint8Array, refusal: () => Error): 'written' | 'same' {
  const found = readBytes(read, key);
  if (found === undefined) {
    write.run(...key, bytes);
    return 'written';
  }
  if (!equalBytes(found, bytes)) throw refusal();
  return 'same';
}

function readBytes(statement: StatementSync, key: Key): Uint8Array | undefined {
  const payload = statement.get(...key)?.payload;
  return payload instanceof Uint8Array ? payload : undefined;
}
