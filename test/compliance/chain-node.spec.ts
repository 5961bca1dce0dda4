// The suite of chain.ts against four validators of chain/node on loopback: the same runtime, other hands. Takes minutes, as blocks take their
// time. TESSERA_CHAIN_NODE names the program (npm run chain:node builds it and says where it is); without it the suite is skipped.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startLocalNetwork } from '../../scripts/chain/local-network.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { silentLog } from '../../src/util/log.ts';
import { type ChainPlace, EPOCH_LENGTH, GRACE_EPOCHS, testChain } from './chain.ts';

const binary = process.env.TESSERA_CHAIN_NODE;
/** Long enough for blocks to be made and passed on by four processes that share two cores with the tests. */
const SLOT_MS = 1000;
/** The longest test runs through five epochs. */
const TIMEOUT_MS = 10 * EPOCH_LENGTH * SLOT_MS;

async function createPlace(program: string): Promise<ChainPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'tessera-validators-'));
  const network = { activationGraceEpochs: GRACE_EPOCHS };
  const validators = await startLocalNetwork({ binary: program, folder, slotMs: SLOT_MS, network });
  const endpoints = validators.map(({ endpoint }) => endpoint);
  const chain = await connectChain({ endpoints }, { log: silentLog });
  const place: ChainPlace = {
    chain,
    isAlive: true,
    async runTo(block) {
      const stop = AbortSignal.timeout(TIMEOUT_MS);
      for await (const { number } of chain.heads('best', stop)) if (number >= block) return;
    },
    include: (work) => work,
    async close() {
      await chain.close();
      await Promise.all(validators.map((validator) => validator.stop()));
      rmSync(folder, { recursive: true });
    },
  };
  await place.runTo(1);
  return place;
}

if (binary === undefined)
  describe.skip('chain: four validators (TESSERA_CHAIN_NODE is not set)', () => it('keep the rules'));
else testChain('polkadot.js on four validators', () => createPlace(binary), TIMEOUT_MS);
