// Blocks of a development chain in mode `instant`, made one by one, each when all nodes have acted on the one before.

import { connectChain } from '../../src/chain/substrate.ts';
import type { Epoch, SubnetId } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import type { Running } from './cli.ts';
import { nextBlock } from './pace.ts';

const SUBNET = 128_001 as SubnetId;
/** The first subnet's slot and the devnet's epoch (chain.md 3.3). */
const SLOT = 3;
const EPOCH_LENGTH = 20;
/** Four epochs: activation at the next general epoch, one to work in, one to submit in, one to settle. */
const PATIENCE_BLOCKS = 100;

/** Makes blocks until an epoch of the first subnet was accepted. */
export async function acceptedEpoch(endpoint: string, nodes: readonly Running[]): Promise<Epoch> {
  const chain = await connectChain({ endpoints: [endpoint] }, { log: silentLog });
  try {
    for (let made = 0; made < PATIENCE_BLOCKS; made += 1) {
      const block = await nextBlock(endpoint, nodes);
      const epoch = (Math.floor((block - SLOT) / EPOCH_LENGTH) - 1) as Epoch;
      const result = epoch < 0 ? undefined : await chain.result(SUBNET, epoch);
      if (result?.outcome === 'Accepted') return epoch;
    }
    throw new Error(`no epoch accepted within ${PATIENCE_BLOCKS} blocks`);
  } finally {
    await chain.close();
  }
}
