// The dev chain in this process as a place for the suite of the chain client: blocks are made by hand.

import type { Chain } from '../../src/chain/types.ts';
import type { DevChain } from '../../src/devchain/devchain.ts';
import type { ChainPlace } from '../compliance/chain.ts';

export function devChainPlace(devChain: DevChain, chain: Chain): ChainPlace {
  return {
    chain,
    async runTo(block) {
      const missing = block - devChain.head().number;
      if (missing > 0) await devChain.newBlock(missing);
      await knows(chain, devChain);
    },
    async include(work) {
      const stop = devChain.authorOnDemand();
      try {
        return await work;
      } finally {
        stop();
        await knows(chain, devChain);
      }
    },
    async close() {
      await chain.close();
      await devChain.close();
    },
  };
}

/** Resolves when the client has heard of both heads. */
export async function knows(chain: Chain, devChain: DevChain): Promise<void> {
  const stop = AbortSignal.timeout(10_000);
  for (const [kind, target] of [
    ['best', devChain.head()],
    ['finalized', devChain.finalizedHead()],
  ] as const) {
    for await (const head of chain.heads(kind, stop)) if (head.number >= target.number) break;
  }
}
