// The suite of chain.ts on the dev chain with Hypertensor's own runtime: TESSERA_HYPERTENSOR_SPEC names its raw chain spec, which is not part
// of this project (hoskinsonSpecRaw.json of github.com/hayotensor/hypertensor-blockchain). Without it the suite is skipped, and says so.

import assert from 'node:assert/strict';
import { ApiPromise } from '@polkadot/api';
import { openSigner } from '../../src/chain/accounts.ts';
import { HYPERTENSOR_ERRORS } from '../../src/chain/errors.ts';
import { createProvider } from '../../src/chain/substrate/provider.ts';
import { openSocket } from '../../src/chain/substrate/rpc-socket.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { createDevChain } from '../../src/devchain/devchain.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { localSpec } from '../../src/devchain/local-spec.ts';
import { ONE } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
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

/** What the project knows of that runtime by heart, held against the runtime itself. */
function describeRuntime(file: string): void {
  describe("chain: Hypertensor's runtime", function () {
    this.timeout(30_000);

    it('has every error for which there is a sentence', async () => {
      const devChain = await createDevChain({ spec: file, mode: 'manual' }, deps);
      const socket = await openSocket(devChain.endpoint, AbortSignal.timeout(20_000));
      const api = await ApiPromise.create({ provider: createProvider(socket), noInitWarn: true, initWasm: false });
      try {
        const known = api.errors.network ?? {};
        assert.deepEqual(
          Object.keys(HYPERTENSOR_ERRORS).filter((name) => !(name in known)),
          [],
        );
      } finally {
        socket.close();
        await devChain.close();
      }
    });

    it('is built anew from its own presets, which have to be named', () => {
      const preset = 'HOSKINSON_RUNTIME_PRESET';
      const rebuilt = localSpec({ file, preset, params: [] }, deps).genesis.raw.top;
      assert.deepEqual(rebuilt, localSpec({ file, params: [] }, deps).genesis.raw.top);
      assert.throws(
        () => localSpec({ file, genesis: '{"sudo":{"key":null}}', params: [] }, deps),
        (error) => errorCode(error) === 'GENESIS_PRESET_NEEDED' && String(error).includes(`--preset ${preset}`),
      );
    });
  });
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
  describeRuntime(spec);
  testChain("polkadot.js on Hypertensor's runtime", () => createPlace(spec), undefined, rules);
}
