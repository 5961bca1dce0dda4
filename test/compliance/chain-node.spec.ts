// The suite of chain.ts against four validators of chain/node on loopback: the same runtime, other hands. Takes minutes, as blocks take their
// time. TESSERA_CHAIN_NODE names the program (npm run chain:node builds it and says where it is); without it the suite is skipped.
// TESSERA_CHAIN_ENDPOINTS names a network that runs already instead (as npm run chain:transcript does), parted by commas.

import assert from 'node:assert/strict';
import type { LocalValidator } from '../../scripts/chain/local-network.ts';
import { SPEC } from '../../scripts/chain/sums.ts';
import { openSigner } from '../../src/chain/accounts.ts';
import { connectChain } from '../../src/chain/substrate.ts';
import { createDevChain } from '../../src/devchain/devchain.ts';
import { silentLog } from '../../src/util/log.ts';
import { startValidators, until, type Validators } from '../support/validators.ts';
import { type ChainPlace, EPOCH_LENGTH, GRACE_EPOCHS, peer, SUBNET_REQUEST, testChain } from './chain.ts';

const binary = process.env.TESSERA_CHAIN_NODE;
/** Long enough for blocks to be made and passed on by four processes that share two cores with the tests. */
const SLOT_MS = 1000;
/** The longest test runs through five epochs. */
const TIMEOUT_MS = 10 * EPOCH_LENGTH * SLOT_MS;

const GENESIS = { activationGraceEpochs: GRACE_EPOCHS };

async function createPlace(program: string): Promise<ChainPlace> {
  const { chain, close } = await startValidators(program, SLOT_MS, GENESIS);
  const runTo = (block: number) => until(chain, 'best', block, TIMEOUT_MS);
  return { chain, isAlive: true, runTo, include: (work) => work, close };
}

async function ask(endpoint: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(endpoint.replace('ws:', 'http:'), { method: 'POST', headers, body });
  const { result, error } = (await response.json()) as { readonly result?: unknown; readonly error?: { code: number } };
  return error === undefined ? result : { refused: error.code };
}

function describeNetwork(program: string): void {
  describe('chain: a network of four validators', function () {
    this.timeout(TIMEOUT_MS);
    let network: Validators;
    before(async () => {
      network = await startValidators(program, SLOT_MS, GENESIS);
    });
    after(() => network?.close());

    it('answers the subnet API as the dev chain does', async () => {
      const owner = await openSigner('//dev:0');
      const devChain = await createDevChain({ spec: SPEC, mode: 'instant' }, { log: silentLog });
      const devClient = await connectChain({ endpoints: [devChain.endpoint] }, { log: silentLog });
      try {
        const { subnet } = await devClient.registerSubnet(owner, SUBNET_REQUEST);
        assert.equal((await network.chain.registerSubnet(owner, SUBNET_REQUEST)).subnet, subnet);
        for (const [method, ...params] of [
          ['network_getSubnetNodesInfo', subnet],
          ['network_getBootnodes', subnet],
          ['network_getBootnodes', subnet, null],
          ['network_getSubnetNodeInfo', subnet, 1],
          ['network_getValidatorsAndAttestors', subnet],
          ['network_getColdkeyStakes', owner.address],
          ['network_getDelegateStakes', owner.address],
          ['network_getColdkeySubnetNodesInfo', owner.address],
          ['network_getElectedValidatorInfo', subnet, 0],
          ['network_getSubnetClock', 99],
          ['network_proofOfStake', subnet, peer(5), 0, null],
          ['network_proofOfStake', subnet, peer(5), 1, '0x10'],
          ['network_proofOfStake', subnet, peer(5), 256],
          ['network_getSubnetClock', 'x'],
          ['network_getSubnetClock'],
          ['network_getColdkeyStakes', '0x12'],
          ['network_getNothing'],
        ] as const) {
          const [expected, found] = await Promise.all(
            [devChain.endpoint, network.validators[2]?.endpoint ?? ''].map((endpoint) => ask(endpoint, method, params)),
          );
          assert.deepEqual(found, expected, `${method} ${params}`);
        }
      } finally {
        await devClient.close();
        await devChain.close();
      }
    });

    it('finalizes with three of four, not with two, and again when one comes back', async () => {
      const { validators, chain } = network;
      const [, , charlie, dave] = validators as [LocalValidator, LocalValidator, LocalValidator, LocalValidator];
      const reach = (kind: 'best' | 'finalized', block: number) => until(chain, kind, block, TIMEOUT_MS);
      const number = async (kind: 'best' | 'finalized') => (await chain.head(kind)).number;
      await dave.stop();
      await reach('finalized', (await number('best')) + 2);
      await charlie.stop();
      await reach('best', (await number('best')) + 6);
      const stuck = await number('finalized');
      await reach('best', (await number('best')) + 6);
      assert.equal(await number('finalized'), stuck, 'two of four decide nothing');
      await charlie.start();
      await reach('finalized', await number('best'));
    });
  });
}

const endpoints = process.env.TESSERA_CHAIN_ENDPOINTS?.split(',');

async function joinPlace(running: readonly string[]): Promise<ChainPlace> {
  const chain = await connectChain({ endpoints: running }, { log: silentLog });
  const runTo = (block: number) => until(chain, 'best', block, TIMEOUT_MS);
  await runTo(1);
  return { chain, isAlive: true, runTo, include: (work) => work, close: () => chain.close() };
}

if (endpoints !== undefined) {
  testChain('polkadot.js on a network that runs', () => joinPlace(endpoints), TIMEOUT_MS);
} else if (binary === undefined) {
  describe.skip('chain: four validators (TESSERA_CHAIN_NODE is not set)', () => it('keep the rules'));
} else {
  testChain('polkadot.js on four validators', () => createPlace(binary), TIMEOUT_MS);
  describeNetwork(binary);
}
