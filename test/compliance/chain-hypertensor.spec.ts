// The suite of chain.ts on the dev chain with Hypertensor's own runtime: TESSERA_HYPERTENSOR_SPEC names its raw chain spec, which is not part
// of this project (hoskinsonSpecRaw.json of github.com/hayotensor/hypertensor-blockchain). Without it the suite is skipped, and says so.

import assert from 'node:assert/strict';
import { ApiPromise } from '@polkadot/api';
import { openSigner } from '../../src/chain/accounts.ts';
import { HYPERTENSOR_ERRORS } from '../../src/chain/errors.ts';
import { createProvider } from '../../src/chain/substrate/provider.ts';
import { openSocket } from '../../src/chain/substrate/rpc-socket.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { cleanExpired } from '../../src/cli/commands/clean-expired.ts';
import { updateColdkey } from '../../src/cli/commands/update-coldkey.ts';
import { createDevChain } from '../../src/devchain/devchain.ts';
import { hashingReady } from '../../src/devchain/hashing.ts';
import { localSpec } from '../../src/devchain/local-spec.ts';
import { type Address, ONE, type SubnetId } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';
import { silentLog } from '../../src/util/log.ts';
import { devChainPlace } from '../support/chain-place.ts';
import { runCommand } from '../support/command.ts';
import { type ChainPlace, peer, SUBNET_REQUEST, testChain } from './chain.ts';

const SUBNET = 128_001 as SubnetId;
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

async function coldkeys(): Promise<ReadonlyMap<Address, number>> {
  const named = INITIAL_COLDKEYS.map(async ([name, nodes]) => [(await openSigner(name)).address, nodes] as const);
  return new Map(await Promise.all(named));
}

async function createPlace(file: string) {
  await hashingReady();
  const devChain = await createDevChain({ spec: file, mode: 'manual' }, deps);
  const chain = await connectChain({ endpoints: [devChain.endpoint] }, deps);
  const place = devChainPlace(devChain, chain);
  const purse = await openSigner('//dev:5');
  const funded = await Promise.all(HOTKEYS.map((n) => openSigner(`//dev:${n}`)));
  await place.include(Promise.all(funded.map(({ address }) => chain.transfer(purse, address, 1000n * ONE))));
  return { place, endpoint: devChain.endpoint };
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

/** Two coldkeys change places there: what that would leave out of reach is refused before it is sent. */
function describeOwners(file: string): void {
  describe("chain: owners on Hypertensor's runtime", function () {
    this.timeout(60_000);
    let place: ChainPlace;
    let endpoint: string;
    before(async () => {
      ({ place, endpoint } = await createPlace(file));
    });
    after(() => place?.close());

    it('hand over a node where nothing else is touched, and nowhere else', async () => {
      const { chain } = place;
      const [owner, coldkey, heir] = await Promise.all([0, 1, 3].map((n) => openSigner(`//dev:${n}`)));
      assert.ok(owner !== undefined && coldkey !== undefined && heir !== undefined);
      const initialColdkeys = await coldkeys();
      await place.include(chain.registerSubnet(owner, { ...SUBNET_REQUEST, initialColdkeys }));
      const register = async (index: number) => {
        const { address } = await openSigner(`//dev:${6 + index}`);
        const node = { hotkey: address, peerInfo: { peer: peer(index) }, delegateRewardRate: 0n };
        const money = { stake: 100n * ONE, maxBurn: ONE };
        return (await place.include(chain.registerNode(coldkey, { subnet: SUBNET, ...node, ...money }))).node;
      };
      const hand = async (from: string, to: string, node: number) => {
        const flags = { rpc: endpoint, coldkey: from, 'subnet-node-id': node, 'new-coldkey': to };
        return place.include(runCommand(updateColdkey, { flags, dataDir: '/nowhere' }));
      };
      const first = await register(0);
      assert.equal((await hand('//dev:1', '//dev:3', first)).code, 0);
      assert.equal((await chain.node(SUBNET, first))?.coldkey, heir.address);
      assert.equal((await hand('//dev:3', '//dev:1', first)).code, 0);
      const second = await register(1);
      const several = await hand('//dev:1', '//dev:3', second);
      assert.deepEqual([several.code, /another hotkey/.test(several.notes)], [2, true], several.notes);
      assert.equal((await chain.node(SUBNET, second))?.coldkey, coldkey.address);
      const cleaned = await place.include(
        runCommand(cleanExpired, { flags: { rpc: endpoint, coldkey: '//dev:1' }, dataDir: '/nowhere' }),
      );
      assert.match(cleaned.notes, /not sent.*NoExpiredNodes.*nothing to do/);
    });
  });
}

if (spec === undefined) {
  describe.skip("chain: Hypertensor's runtime (TESSERA_HYPERTENSOR_SPEC is not set)", () => it('keeps its rules'));
} else {
  const rules = { dialect: 'hypertensor-f26', queueEpochs: 5, initialColdkeys: await coldkeys() } as const;
  const create = async () => (await createPlace(spec)).place;
  describeRuntime(spec);
  testChain("polkadot.js on Hypertensor's runtime", create, undefined, rules);
  describeOwners(spec);
}
