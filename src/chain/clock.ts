// Blocks to subnet epochs (chain.md 4.1): integers only.

import type { BlockNumber, Epoch } from '../types/ids.ts';

/** se of a block; 0 before the subnet's slot first comes round. */
export function epochAt(block: number, slot: number, epochLength: number): Epoch {
  return (block < slot ? 0 : Math.floor((block - slot) / epochLength)) as Epoch;
}

/** The last block of a subnet epoch. */
export function lastBlockOf(epoch: Epoch, slot: number, epochLength: number): BlockNumber {
  return ((epoch + 1) * epochLength + slot - 1) as BlockNumber;
}
