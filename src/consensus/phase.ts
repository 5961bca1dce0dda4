// The clock of the protocol: block numbers only (protocol.md 2). Pure; everything that asks "is it time" asks here.

import type { BlockNumber, Epoch } from '../types/ids.ts';
import type { EpochKind } from '../types/record.ts';

/** Blocks before its window in which a record is kept already, for heads that are one apart (protocol.md 2). */
export const EARLY_BLOCKS = 1;

export type Phase = 'prompt' | 'commit' | 'reveal' | 'score';

/** First offsets of the phases after prompt, and the epoch's end: prompt [0, P), commit [P, C), reveal [C, R), score [R, L). */
export interface Windows {
  readonly commit: number;
  readonly reveal: number;
  readonly score: number;
  readonly length: number;
}

export interface ClockParams {
  readonly slot: number;
  readonly epochLength: number;
}

export interface Moment {
  readonly epoch: Epoch;
  readonly offset: number;
  readonly phase: Phase;
}

export function windowsOf(epochLength: number): Windows {
  const commit = percentOf(epochLength, 15);
  const reveal = percentOf(epochLength, 50);
  const score = Math.max(percentOf(epochLength, 60), reveal + 3);
  return { commit, reveal, score, length: epochLength };
}

/** Where a block stands; undefined below the slot, where there is no phase. */
export function phaseAt(block: BlockNumber, { slot, epochLength }: ClockParams): Moment | undefined {
  if (block < slot) return undefined;
  const offset = (block - slot) % epochLength;
  const epoch = ((block - slot - offset) / epochLength) as Epoch;
  return { epoch, offset, phase: phaseOf(offset, windowsOf(epochLength)) };
}

/** h(e): the block that begins an epoch, whose state gives its roster and whose hash its seed. */
export function firstBlock(epoch: Epoch, { slot, epochLength }: ClockParams): BlockNumber {
  return (epoch * epochLength + slot) as BlockNumber;
}

/** The blocks in which a kind's records of an epoch count: [opens, closes). */
export function windowOf(
  kind: EpochKind,
  epoch: Epoch,
  clock: ClockParams,
): { readonly opens: BlockNumber; readonly closes: BlockNumber } {
  const { commit, reveal, score, length } = windowsOf(clock.epochLength);
  const at = (offset: number): BlockNumber => (firstBlock(epoch, clock) + offset) as BlockNumber;
  switch (kind) {
    case 'pr':
      return { opens: at(0), closes: at(length) };
    case 'hc':
      return { opens: at(commit), closes: at(reveal) };
    case 'hr':
    case 'wa':
      return { opens: at(reveal), closes: at(score) };
    case 'sc':
    case 'wb':
    case 'au':
      return { opens: at(score), closes: at(length) };
    case 'sr':
      return { opens: at(length + reveal), closes: at(length + score) };
  }
}

function phaseOf(offset: number, windows: Windows): Phase {
  if (offset < windows.commit) return 'prompt';
  if (offset < windows.reveal) return 'commit';
  return offset < windows.score ? 'reveal' : 'score';
}

/** ceil(length * percent / 100). */
function percentOf(length: number, percent: number): number {
  return Math.ceil((length * percent) / 100);
}
