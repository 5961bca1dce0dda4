// The journal's twin without a disk: the same rules over maps. `MemoryDisk` plays the file, so that a simulation can kill a node and open
// its journal again. Not durable, for tests and simulations only.

import type { Epoch, Hash, SubnetId } from '../types/ids.ts';
import { equalBytes } from '../util/bytes.ts';
import { factDiffers, journalForeign, journalLocked, signedAlready, slotPast } from './errors.ts';
import type { Journal, Slot } from './types.ts';

/** What outlives a journal that was closed or killed. */
export interface MemoryDisk {
  readonly claims: Map<string, Uint8Array>;
  readonly openings: Map<string, Uint8Array>;
  readonly facts: Map<string, Uint8Array>;
  /** By subnet. */
  readonly floors: Map<SubnetId, Epoch>;
  genesis?: Hash;
  /** The open journal, if any: a second one is refused until the first is closed or `killed`. */
  holder?: symbol;
}

export function createMemoryDisk(): MemoryDisk {
  return { claims: new Map(), openings: new Map(), facts: new Map(), floors: new Map() };
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

  const floor = (subnet: SubnetId): Epoch => disk.floors.get(subnet) ?? (0 as Epoch);

  function writeSlot(table: Map<string, Uint8Array>, slot: Slot, bytes: Uint8Array) {
    if (slot.epoch < floor(slot.subnet)) throw slotPast(slot, floor(slot.subnet));
    return write(table, slotKey(slot), bytes, () => signedAlready(slot));
  }

  return {
    claim: (slot, payload) => writeSlot(disk.claims, slot, payload),
    claimed: (slot) => disk.claims.get(slotKey(slot))?.slice(),
    keep: (slot, opening) => writeSlot(disk.openings, slot, opening),
    kept: (slot) => disk.openings.get(slotKey(slot))?.slice(),
    saveFact(name, value) {
      write(disk.facts, name, value, () => factDiffers(name));
    },
    fact: (name) => disk.facts.get(name)?.slice(),
    list: (what) =>
      [...disk[what]]
        .map(([key, payload]) => ({ slot: slotOf(key), payload: payload.slice() }))
        .sort((a, b) => compareSlots(a.slot, b.slot)),
    forget(subnet, below) {
      if (below <= floor(subnet)) return;
      disk.floors.set(subnet, below);
      for (const table of [disk.claims, disk.openings]) {
        for (const key of table.keys()) if (isBelow(slotOf(key), subnet, below)) table.delete(key);
      }
      for (const name of disk.facts.keys()) {
        const [, of, epoch] = name.split('/').map(Number);
        if (of === subnet && epoch !== undefined && epoch < below) disk.facts.delete(name);
      }
    },
    floor,
    close() {
      if (disk.holder === me) killHolder(disk);
    },
  };
}

function isBelow(slot: Slot, subnet: SubnetId, floor: Epoch): boolean {
  return slot.subnet === subnet && slot.epoch < floor;
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
