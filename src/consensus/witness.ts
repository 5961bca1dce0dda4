// Who held which records in time, as their witnesses say, and what follows from it (protocol.md 7): a record is in when more than half of
// the named witnesses list it. What all honest validators held is in and what none of them held is out, whichever witnesses are named.

import type { Epoch } from '../types/ids.ts';
import { type EpochKind, SHORT_ID_BYTES, WITNESSED, type Witness, type WitnessList } from '../types/record.ts';
import { decodeBitmap, encodeBitmap } from '../util/bitmap.ts';
import { concatBytes, toHex } from '../util/bytes.ts';

/** Per kind, by seat of the roster of the witness's epoch, the short id of a record as hex. */
export type Listed = ReadonlyMap<EpochKind, ReadonlyMap<number, string>>;

/** The epoch whose records of a kind a witness of `epoch` lists, and evidence about `epoch` names. */
export function epochOfKind(kind: EpochKind, epoch: Epoch): Epoch {
  return kind === 'hc' || kind === 'hr' || kind === 'wa' ? epoch : ((epoch - 1) as Epoch);
}

/** Q: that many witnesses of each kind make evidence. */
export function quorumOf(validators: number): number {
  return Math.ceil((2 * validators) / 3);
}

/** M: that many others who closed their list of `hc` cannot all be faulty. */
export function closingCount(validators: number): number {
  return Math.floor(validators / 3) + 1;
}

/** @param ids full ids by seat */
export function toWitnessList(ids: ReadonlyMap<number, Uint8Array>, seats: number): WitnessList {
  const ascending = [...ids].sort(([a], [b]) => a - b);
  return {
    seats: encodeBitmap(ids.keys(), seats),
    ids: concatBytes(...ascending.map(([, id]) => id.subarray(0, SHORT_ID_BYTES))),
  };
}

/** What a witness says; undefined when its bitmaps are not over a roster of that many seats. */
export function readWitness(witness: Pick<Witness, 'kind' | 'held'>, seats: number): Listed | undefined {
  const kinds = WITNESSED[witness.kind];
  const lists = witness.held.map((list) => readList(list, seats));
  if (lists.length !== kinds.length) return undefined;
  const listed = new Map<EpochKind, ReadonlyMap<number, string>>();
  for (const [i, kind] of kinds.entries()) {
    const list = lists[i];
    if (list === undefined) return undefined;
    listed.set(kind, list);
  }
  return listed;
}

function readList(list: WitnessList, seats: number): ReadonlyMap<number, string> | undefined {
  const indexes = decodeBitmap(list.seats, seats);
  if (indexes === undefined) return undefined;
  const idAt = (i: number): Uint8Array => list.ids.subarray(i * SHORT_ID_BYTES, (i + 1) * SHORT_ID_BYTES);
  return new Map(indexes.map((seat, i) => [seat, toHex(idAt(i))]));
}

/** What is in of a kind: the short ids, by seat, that more than half of the members list. */
export function majorityOf(members: readonly Listed[], kind: EpochKind): ReadonlyMap<number, string> {
  const counts = new Map<number, Map<string, number>>();
  for (const member of members) {
    for (const [seat, id] of member.get(kind) ?? []) {
      const ofSeat = counts.get(seat) ?? new Map<string, number>();
      counts.set(seat, ofSeat.set(id, (ofSeat.get(id) ?? 0) + 1));
    }
  }
  const listed = [...counts].flatMap(([seat, ofSeat]) =>
    [...ofSeat].filter(([, times]) => 2 * times > members.length).map(([id]) => [seat, id] as const),
  );
  return new Map(listed.sort(([a], [b]) => a - b));
}

/**
 * The witnesses that an honest proposer names of those it holds, by seat: while there are more than the quorum it leaves out who differs
 * from what the most list, the most different first, of equals the higher seat. Advice, not a rule of validity (protocol.md 7).
 */
export function chooseWitnesses(held: ReadonlyMap<number, Listed>, quorum: number): ReadonlySet<number> {
  const kinds = [...(held.values().next().value?.keys() ?? [])];
  const most = new Map(kinds.map((kind) => [kind, majorityOf([...held.values()], kind)]));
  const odd = [...held]
    .map(([seat, listed]) => ({ seat, apart: differences(listed, most) }))
    .filter(({ apart }) => apart > 0)
    .sort((a, b) => b.apart - a.apart || b.seat - a.seat)
    .slice(0, Math.max(0, held.size - quorum));
  const left = new Set(odd.map(({ seat }) => seat));
  return new Set([...held.keys()].filter((seat) => !left.has(seat)));
}

/** Entries that stand in one of both, or differ. */
function differences(listed: Listed, most: Listed): number {
  let count = 0;
  for (const [kind, expected] of most) {
    const found = listed.get(kind);
    for (const [seat, id] of expected) if (found?.get(seat) !== id) count += 1;
    for (const seat of found?.keys() ?? []) if (!expected.has(seat)) count += 1;
  }
  return count;
}
