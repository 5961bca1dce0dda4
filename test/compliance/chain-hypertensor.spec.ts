// The suite of chain.ts on the dev chain with Hypertensor's own runtime: TESSERA_HYPERTENSOR_SPEC names its raw chain spec, which is not part
// of this project (hoskinsonSpecRaw.json of github.com/hayotensor/hypertensor-blockchain). Without it the suite is skipped, and says so.

import { openSigner } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { createDevChain } from '../../src/devchain/devchain.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { ONE } from '../../src/types/ids.ts';
import { silentLog } from '../../src/util/log.ts';
import { devChainPlace } from '../support/chain-place.ts';
import { testChain } from './chain.ts';

const spec = process.env.TESSERA_HYPERTENSOR_SPEC;
const deps = { log: silentLog };

/** Hotkeys of the suite, which that genesis leaves without money. */
const HOTKEYS = [6, 7, 8, 9, 10, 11];
/** At least three coldkeys must be named for a subnet: the nodes' own, one that is poor, and one that stays away. */
const INITIAL_COLDKEYS = [
  ['//dev:1', 9],
  ['//dev:8', 1],
  ['//dev:2', 1],
] as const;

async function createPlace(file: string) {
  await hashingReady();
  const devChain = await createDevChain({ spec: file, mode: 'manual' }, deps);
  const chain = await connectChain({ endpoints: [devChain.endpoint] }, deps);
  const place = devChainPlace(devChain, chain);
  const purse = await openSigner('//dev:5');
  const funded = await Promise.all(HOTKEYS.map((n) => openSigner(`//dev:${n}`)));
  await place.include(Promise.all(funded.map(({ address }) => chain.transfer(purse, address, 1000n * ONE))));
  return place;
}

if (spec === undefined) {
  describe.skip("chain: Hypertensor's runtime (TESSERA_HYPERTENSOR_SPEC is not set)", () => it('keeps its rules'));
} else {
  const initial = INITIAL_COLDKEYS.map(async ([name, nodes]) => [(await openSigner(name)).address, nodes] as const);
  const rules = {
    dialect: 'hypertensor-f26',
    queueEpochs: 5,
    initialColdkeys: new Map(await Promise.all(initial)),
  } as const;
  testChain("polkadot.js on Hypertensor's runtime", () => createPlace(spec), undefined, rules);
}
