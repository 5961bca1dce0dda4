// What others may ask for long after the epoch: records, and notes about an epoch (which ids its evidence named, what proves its roster), on
// SQLite. Nothing is decided by it: a damaged or foreign file is begun anew, and a crash may cost the last moments. The journal is something
// else.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Hash, SubnetId } from '../types/ids.ts';
import type { Archive } from './types.ts';

export interface ArchiveOptions {
  /** Made if it is not there; ':memory:' for one without a disk. */
  readonly file: string;
  /** Whose epochs these are: an archive of another chain or subnet is emptied. */
  readonly genesis: Hash;
  readonly subnet: SubnetId;
}

/** Witnesses name records by that many bytes of their ids. */
const ID_PREFIX = 16;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS owner (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS record (
    prefix BLOB PRIMARY KEY, id BLOB NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS record_place ON record (epoch, kind);
  CREATE TABLE IF NOT EXISTS note (
    epoch INTEGER NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (epoch, name)) STRICT, WITHOUT ROWID;
`;

/** Throws only where not even an empty file can be made. */
export function createArchive(options: ArchiveOptions): Archive {
  try {
    return open(options);
  } catch {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${options.file}${suffix}`, { force: true });
    return open(options);
  }
}

function open({ file, genesis, subnet }: ArchiveOptions): Archive {
  if (file !== ':memory:') {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, '', { flag: 'a', mode: 0o600 });
  }
  const database = new DatabaseSync(file);
  try {
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${SCHEMA}`);
    own(database, `${genesis}/${subnet}`);
    return over(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

function own(database: DatabaseSync, name: string): void {
  const row = database.prepare('SELECT name FROM owner').get();
  if (row?.name === name) return;
  database.exec('DELETE FROM owner; DELETE FROM record; DELETE FROM note');
  database.prepare('INSERT INTO owner VALUES (?)').run(name);
}

function over(database: DatabaseSync): Archive {
  const save = database.prepare('INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?)');
  const ofPlace = database.prepare('SELECT bytes FROM record WHERE epoch = ? AND kind = ? ORDER BY prefix');
  const ofId = database.prepare('SELECT id, bytes FROM record WHERE prefix = ?');
  const saveNote = database.prepare('INSERT OR REPLACE INTO note VALUES (?, ?, ?)');
  const ofNote = database.prepare('SELECT bytes FROM note WHERE epoch = ? AND name = ?');
  const dropRecords = database.prepare('DELETE FROM record WHERE epoch < ?');
  const dropNotes = database.prepare('DELETE FROM note WHERE epoch < ?');

  return {
    saveRecord: ({ epoch, kind, id, bytes }) => void save.run(id.slice(0, ID_PREFIX), id, epoch, kind, bytes),
    records: (kind, epoch) => ofPlace.all(epoch, kind).flatMap(({ bytes }) => asBytes(bytes) ?? []),
    record(id) {
      const row = ofId.get(id.slice(0, ID_PREFIX));
      const whole = asBytes(row?.id);
      const isIt = whole !== undefined && id.every((byte, i) => whole[i] === byte);
      return isIt ? asBytes(row?.bytes) : undefined;
    },
    saveNote: (name, epoch, bytes) => void saveNote.run(epoch, name, bytes),
    note: (name, epoch) => asBytes(ofNote.get(epoch, name)?.bytes),
    forget(floor) {
      dropRecords.run(floor);
      dropNotes.run(floor);
    },
    close() {
      if (database.isOpen) database.close();
    },
  };
}

function asBytes(value: unknown): Uint8Array | undefined {
  return value instanceof Uint8Array ? value : undefined;
}
