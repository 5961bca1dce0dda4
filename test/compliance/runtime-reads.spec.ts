// What dialects read by (substrate/runtime.ts), against a chain: several values at once, keys of a map, defaults or nothing, events.

import assert from 'node:assert/strict';
import { ApiPromise } from '@polkadot/api';
import { openSigner } from '../../src/chain/accounts.ts';
import { createProvider } from '../../src/chain/substrate/provider.ts';
import { openSocket, type RpcSocket } from '../../src/chain/substrate/rpc-socket.ts';
import { createRuntime, type Query, type Runtime } from '../../src/chain/substrate/runtime.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { createDevChain, type DevChain } from '../../src/devchain/devchain.ts';
import { silentLog } from '../../src/util/log.ts';
import { SUBNET_REQUEST } from './chain.ts';

const SPEC = new URL('../../chain/spec/devnet.json', import.meta.url).pathname;
const deps = { log: silentLog };

describe('runtime: reads', function () {
  this.timeout(60_000);
  let devChain: DevChain;
  let socket: RpcSocket;
  let runtime: Runtime;

  before(async () => {
    devChain = await createDevChain({ spec: SPEC, mode: 'instant' }, deps);
    socket = await openSocket(devChain.endpoint, AbortSignal.timeout(20_000));
    const api = await ApiPromise.create({ provider: createProvider(socket), noInitWarn: true, initWasm: false });
    runtime = createRuntime(api);
    const chain = await connectChain({ endpoints: [devChain.endpoint] }, deps);
    await chain.registerSubnet(await openSigner('//dev:0'), SUBNET_REQUEST);
    await chain.close();
  });
  after(async () => {
    socket?.close();
    await devChain?.close();
  });

  const ask = async ({ method, params, decode }: Query) => decode(await socket.send(method, params));
  const network = (item: string, ...args: unknown[]) => ({ pallet: 'network', item, args });

  it('answers several values of one block in their order, defaults where nothing is stored', async () => {
    const { number } = devChain.head();
    const values = await ask(
      runtime.storages([
        network('totalSubnetUids'),
        { pallet: 'system', item: 'number', args: [] },
        network('subnetOwner', 128_001),
        network('subnetOwner', 128_002),
        network('subnetReputation', 128_002),
        network('totalSubnetUids'),
      ]),
    );
    const owner = (await openSigner('//dev:0')).address;
    assert.deepEqual(values, [128_001, number, owner, undefined, 10n ** 18n, 128_001]);
    assert.deepEqual(await ask(runtime.storages([])), []);
  });

  it('answers nothing instead of a default where that is asked', async () => {
    const entry = network('subnetReputation', 128_002);
    assert.deepEqual(await ask(runtime.storages([{ ...entry, sparse: true }, entry])), [undefined, 10n ** 18n]);
  });

  it('answers the arguments of the keys of a map, all or those that begin alike', async () => {
    const accounts = (await ask(runtime.keys('system', 'account', []))) as readonly (readonly string[])[];
    const owner = (await openSigner('//dev:0')).address;
    assert.ok(accounts.some(([account]) => account?.toLowerCase() === owner));
    assert.deepEqual(await ask(runtime.keys('network', 'subnetOwner', [])), [[128_001]]);
    assert.deepEqual(await ask(runtime.keys('network', 'subnetNodesData', [128_001])), []);
  });

  it('knows arguments of calls, and tells the events of a block', async () => {
    assert.equal(runtime.hasArgument('network', 'registerSubnetNode', 'hotkey'), true);
    assert.equal(runtime.hasArgument('network', 'registerSubnetNode', 'validator_id'), false);
    assert.equal(runtime.hasArgument('network', 'registerNothing', 'hotkey'), false);
    const events = (await ask(runtime.blockEvents())) as readonly { readonly name: string }[];
    assert.ok(events.some(({ name }) => name === 'SubnetRegistered'));
  });
});
