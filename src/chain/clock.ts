// Blocks to subnet epochs (chain.md 4.1): integers only.

import type { BlockNumber, Epoch } from '../types/ids.ts';
import { epochEnding, wrongEpoch } from './errors.ts';

/** se of a block; 0 before the subnet's slot first comes round. */
export function epochAt(block: number, slot: number, epochLength: number): Epoch {
  return (block < slot ? 0 : Math.floor((block - slot) / epochLength)) as Epoch;
}

/** The last block of a subnet epoch. */
export function lastBlockOf(epoch: Epoch, slot: number, epochLength: number): BlockNumber {
  return ((epoch + 1) * epochLength + slot - 1) as BlockNumber;
}

/** Epochs of which a chain keeps how they ended (chain.md 3.2). */
const HISTORY_EPOCHS = 64;

/** The `count` epochs before `now`, the newest first. */
export function pastEpochs(now: Epoch, count: number): readonly Epoch[] {
  const length = Math.max(0, Math.min(count, now, HISTORY_EPOCHS));
  return Array.from({ length }, (_, i) => (now - 1 - i) as Epoch);
}

/** Blocks that an ordinary transaction lives (chain.md 10.2). */
export const ERA_BLOCKS = 64;

/** A mortal era has at least 4 blocks (Substrate). */
const MIN_PERIOD = 4;

/**
 * The longest era of a duty that ends with its epoch, a power of two (chain.md 10.2): born after block `head`, it may be in head + 1 to
 * head + period - 1.
 *
 * Errors: WRONG_EPOCH when the head is in another epoch, or too few blocks of this one are left for any era.
 */
export function dutyPeriod(call: string, epoch: Epoch, head: BlockNumber, slot: number, epochLength: number): number {
  const now = epochAt(head, slot, epochLength);
  if (now !== epoch) throw wrongEpoch(call, epoch, now);
  const last = lastBlockOf(epoch, slot, epochLength);
  const blocks = Math.min(ERA_BLOCKS, last - head + 1);
  if (blocks < MIN_PERIOD) throw epochEnding(call, epoch, last);
  return 2 ** Math.floor(Math.log2(blocks));
}
