// A subnet of five processes on four validators: nobody waits for anybody here, the chain's clock goes on. Takes six minutes, as epochs take
// their time; skipped unless TESSERA_CHAIN_NODE names the chain's node (test/support/validators.ts).

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { BUNDLED_MODEL, openModelOption } from '../../src/cli/session.ts';
import { createFleet } from '../../src/devnet/fleet.ts';
import { findFreePorts, planNodes } from '../../src/devnet/plan.ts';
import { setUpNetwork } from '../../src/devnet/setup.ts';
import { cutShards } from '../../src/model/manifest.ts';
import { createIdentityFile } from '../../src/p2p/identity.ts';
import type { Epoch } from '../../src/types/ids.ts';
import { startValidators, until } from '../support/validators.ts';

const program = process.env.TESSERA_CHAIN_NODE;
/** An epoch of 20 blocks is a minute: enough for every phase on two busy cores. */
const SLOT_MS = 3000;
const EPOCH_LENGTH = 20;
const TIMEOUT_MS = 15 * 60_000;
const SIZE = { hosters: 4, attestors: 1 };

describe('a subnet on four validators', function () {
  this.timeout(TIMEOUT_MS);
  before(function () {
    if (program === undefined) this.skip();
  });

  it('has its epochs accepted by all, also when the endpoint of its nodes goes away', async () => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    await using opened = new AsyncDisposableStack();
    const { validators, chain, folder } = opened.adopt(await startValidators(program ?? '', SLOT_MS), (all) =>
      all.close(),
    );
    const model = await openModelOption(undefined);
    const cut = Object.keys(model.manifest.cuts)[0] ?? '';
    const shardCount = cutShards(model.manifest, cut).length;
    const ports = await findFreePorts(SIZE.hosters + SIZE.attestors, Math.random);
    const nodes = planNodes({ ...SIZE, shardCount, dataDir: folder }, ports).map((plan) => {
      return { plan, identity: createIdentityFile(join(plan.dataDir, 'keys', 'peer_id')) };
    });
    const { subnet, ids } = await setUpNetwork(nodes, { chain, model, cut }, signal);
    const fleet = opened.adopt(createFleet({ onActive() {}, onHead() {}, onEvent() {}, onStopped() {} }), (all) =>
      all.stop(),
    );
    const rpc = validators.map(({ endpoint }) => endpoint);
    const members = nodes.map((node, index) => ({ ...node, id: ids[index] ?? 0 }));
    await fleet.start(members, { rpc, subnet, model: BUNDLED_MODEL });

    const { startEpoch = 0, slot = 0 } = (await chain.subnet(subnet)) ?? {};
    const settled = async (epoch: number) => {
      await until(chain, 'best', (epoch + 1) * EPOCH_LENGTH + slot, TIMEOUT_MS);
      const result = await chain.result(subnet, epoch as Epoch);
      const submission = await chain.submission(subnet, epoch as Epoch);
      assert.deepEqual([result?.outcome, submission?.attests.length], ['Accepted', ids.length], `epoch ${epoch}`);
      return submission;
    };
    const first = await settled(startEpoch + 1);
    assert.deepEqual(
      first?.scores.map(({ nodeId }) => nodeId),
      ids,
    );
    assert.ok(first.scores.every(({ score }) => score > 0n));
    await validators[0]?.stop();
    await settled(startEpoch + 2);
    await settled(startEpoch + 3);
  });
});
