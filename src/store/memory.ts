// The journal's twin without a disk: the same rules over maps. `MemoryDisk` plays the file, so that a simulation can kill a node and open
// its journal again. Not durable, for tests and simulations only.

import type { Hash } from '../types/ids.ts';
import { equalBytes } from '../util/bytes.ts';
import { factDiffers, journalForeign, journalLocked, signedAlready } from './errors.ts';
import type { Journal, Slot } from './types.ts';

/** What outlives a journal that was closed or killed. */
export interface MemoryDisk {
  readonly claims: Map<string, Uint8Array>;
  readonly openings: Map<string, Uint8Array>;
  readonly facts: Map<string, Uint8Array>;
  genesis?: Hash;
  /** The open journal, if any: a second one is refused until the first is closed or `killed`. */
  holder?: symbol;
}

export function createMemoryDisk(): MemoryDisk {
  return { claims: new Map(), openings: new Map(), facts: new Map() };
}

/** What SIGKILL does: the lock is free, what was written is there. */
export function killHolder(disk: MemoryDisk): void {
  delete disk.holder;
}

/** Errors: JOURNAL_LOCKED, JOURNAL_FOREIGN; see types.ts for those of the methods. */
export function createMemoryJournal(options: { readonly genesis: Hash; readonly disk?: MemoryDisk }): Journal {
  const disk = options.disk ?? createMemoryDisk();
  if (disk.holder !== undefined) throw journalLocked('memory', process.pid);
  if (disk.genesis !== undefined && disk.genesis !== options.genesis) {
    throw journalForeign('memory', options.genesis, disk.genesis);
  }
  const me = Symbol('journal');
  disk.holder = me;
  disk.genesis = options.genesis;

  function write(table: Map<string, Uint8Array>, key: string, bytes: Uint8Array, refusal: () => Error) {
    if (disk.holder !== me) throw new TypeError('the journal is closed');
    const found = table.get(key);
    if (found === undefined) {
      table.set(key, bytes.slice());
      return 'written';
    }
    if (!equalBytes(found, bytes)) throw refusal();
    return 'same';
  }

  return {
    claim: (slot, payload) => write(disk.claims, slotKey(slot), payload, () => signedAlready(slot)),
    claimed: (slot) => disk.claims.get(slotKey(slot))?.slice(),
    keep: (slot, opening) => write(disk.openings, slotKey(slot), opening, () => signedAlready(slot)),
    kept: (slot) => disk.openings.get(slotKey(slot))?.slice(),
    saveFact(name, value) {
      write(disk.facts, name, value, () => factDiffers(name));
    },
    fact: (name) => disk.facts.get(name)?.slice(),
    list: (what) =>
      [...disk[what]]
        .map(([key, payload]) => ({ slot: slotOf(key), payload: payload.slice() }))
        .sort((a, b) => compareSlots(a.slot, b.slot)),
    close() {
      if (disk.holder === me) killHolder(disk);
    },
  };
}

function slotKey({ subnet, node, epoch, kind }: Slot): string {
  return `${subnet}/${node}/${epoch}/${kind}`;
}

function slotOf(key: string): Slot {
  const [subnet, node, epoch, kind = ''] = key.split('/');
  return {
    subnet: Number(subnet) as Slot['subnet'],
    node: Number(node) as Slot['node'],
    epoch: Number(epoch) as Slot['epoch'],
    kind,
  };
}

function compareSlots(a: Slot, b: Slot): number {
  return a.subnet - b.subnet || a.node - b.node || a.epoch - b.epoch || (a.kind < b.kind ? -1 : 1);
}
