// The clock (protocol.md 2) and how many witnesses make a quorum (7).

import { phaseAt, windowOf, windowsOf } from '../../src/consensus/phase.ts';
import { closingCount, quorumOf } from '../../src/consensus/witness.ts';
import type { BlockNumber, Epoch } from '../../src/types/ids.ts';
import { EPOCH_KINDS } from '../../src/types/record.ts';

/** Epoch lengths at which a ceiling tips over, and the longest that a u32 of blocks holds one epoch of. */
const LENGTHS = [10, 11, 13, 14, 19, 20, 21, 26, 27, 29, 33, 40, 41, 99, 100, 101, 300, 14_400, 1_000_003];
const SLOTS = [0, 1, 3, 19];

function phases() {
  const cases = LENGTHS.slice(0, 12).flatMap((length, i) => {
    const slot = SLOTS[i % SLOTS.length] as number;
    const { commit, reveal, score } = windowsOf(length);
    const edges = [0, 1, commit - 1, commit, reveal - 1, reveal, score - 1, score, length - 1];
    const epochs = [0, 1, 7, 100_000];
    const inside = epochs.flatMap((epoch) => edges.map((offset) => epoch * length + slot + offset));
    return [...(slot > 0 ? [slot - 1, 0] : []), ...inside, 0xffff_ffff].map((block) => ({ slot, length, block }));
  });
  return cases.map(({ slot, length, block }) => ({
    slot,
    length,
    block,
    at: phaseAt(block as BlockNumber, { slot, epochLength: length }) ?? null,
  }));
}

/** Written from the specification, not computed. */
const STATED = {
  windows: [
    [10, 2, 5, 8],
    [20, 3, 10, 13],
    [33, 5, 17, 20],
    [100, 15, 50, 60],
    [300, 45, 150, 180],
  ].map(([length, commit, reveal, score]) => ({ length, commit, reveal, score })),
  phases: [
    [143, 0, 'prompt'],
    [146, 3, 'commit'],
    [152, 9, 'commit'],
    [153, 10, 'reveal'],
    [155, 12, 'reveal'],
    [156, 13, 'score'],
    [162, 19, 'score'],
  ].map(([block, offset, phase]) => ({ slot: 3, length: 20, block, at: { epoch: 7, offset, phase } })),
  /** n: Q and M. */
  quorums: [
    [1, 1, 1],
    [2, 2, 1],
    [3, 2, 2],
    [4, 3, 2],
    [5, 4, 2],
    [6, 4, 3],
    [7, 5, 3],
    [8, 6, 3],
    [9, 6, 4],
    [10, 7, 4],
    [16, 11, 6],
    [64, 43, 22],
    [256, 171, 86],
  ].map(([validators, quorum, closing]) => ({ validators, quorum, closing })),
};

export const phase = {
  comment: 'what stands under `stated` was computed independently of this program; phases: null where there is none',
  stated: { ...STATED, phases: [...STATED.phases, { slot: 3, length: 20, block: 2, at: null }] },
  windows: LENGTHS.map((length) => windowsOf(length)),
  phases: phases(),
  kinds: [10, 20, 33].flatMap((length) =>
    EPOCH_KINDS.map((kind) => ({
      kind,
      slot: 3,
      length,
      epoch: 7,
      ...windowOf(kind, 7 as Epoch, { slot: 3, epochLength: length }),
    })),
  ),
  quorums: Array.from({ length: 256 }, (_, i) => i + 1).map((validators) => ({
    validators,
    quorum: quorumOf(validators),
    closing: closingCount(validators),
  })),
};
