// Which policy a node that starts goes by, block by block around a change, against what the rosters of the epochs say.

import assert from 'node:assert/strict';
import { openSigner } from '../../../src/chain/accounts.ts';
import { stateDiscarded } from '../../../src/chain/errors.ts';
import { createMemoryChain, foundSubnet, type MemoryChain } from '../../../src/chain/memory.ts';
import type { Chain, Signer } from '../../../src/chain/types.ts';
import { firstBlock, phaseAt } from '../../../src/consensus/phase.ts';
import { readPolicies } from '../../../src/node/policies.ts';
import { createMemoryJournal } from '../../../src/store/memory.ts';
import type { Epoch, SubnetId } from '../../../src/types/ids.ts';
import { silentLog } from '../../../src/util/log.ts';
import { createRosters } from '../../../src/validator/roster.ts';
import { encodePolicy, POLICY_DEFAULTS } from '../../../src/wire/policy.ts';
import { identityOf } from '../client/net.ts';

const { signal } = new AbortController();
const EPOCH_LENGTH = 20;
const OLD = { ...POLICY_DEFAULTS, manifest: 'aa'.repeat(32), cut: 'c' };
const NEW = { ...OLD, manifest: 'bb'.repeat(32) };

const BOOTNODES = new Map([[identityOf(9).peer, `/ip4/127.0.0.1/tcp/30000/p2p/${identityOf(9).peer}`]]);

describe('the policy in force', () => {
  let memory: MemoryChain;
  let owner: Signer;
  let subnet: SubnetId;

  beforeEach(async () => {
    memory = createMemoryChain({ epochLength: EPOCH_LENGTH });
    owner = await openSigner('//dev:0');
    memory.fund(owner.address, 10_000n * 10n ** 18n);
    const hotkey = await openSigner('//dev:1');
    const nodes = [{ hotkey, peerInfo: { peer: identityOf(1).peer } }];
    ({ subnet } = await foundSubnet(memory, { owner, nodes, misc: encodePolicy(OLD), bootnodes: BOOTNODES }));
  });
  afterEach(() => memory.chain.close());

  /** As a node that starts now would read it. */
  async function read(chain: Chain = memory.chain): Promise<readonly [now: string, coming: string | undefined]> {
    const found = await chain.subnet(subnet);
    assert.ok(found !== undefined);
    const { inForce, coming } = await readPolicies(found, chain, signal);
    return [inForce.manifest.slice(0, 2), coming?.manifest.slice(0, 2)];
  }

  async function clockOf() {
    const slot = (await memory.chain.subnet(subnet))?.slot ?? 0;
    return { slot, epochLength: EPOCH_LENGTH };
  }

  async function momentNow() {
    const moment = phaseAt((await memory.chain.head('best')).number, await clockOf());
    assert.ok(moment !== undefined);
    return moment;
  }

  it('is the one from before a change until the second next epoch, as the rosters have it', async () => {
    assert.deepEqual(await read(), ['aa', undefined]);
    // In the first block of an epoch it would count for the epoch before.
    await memory.runTo((await memory.chain.head('best')).number + 3);
    await memory.include(memory.chain.updateMisc(owner, subnet, encodePolicy(NEW)));
    const { epoch: written } = await momentNow();
    const clock = await clockOf();
    const info = await memory.chain.info();
    const journal = createMemoryJournal({ genesis: info.genesis });
    const rosters = createRosters(
      { genesis: info.genesis, subnet, clock },
      { chain: memory.chain, journal, log: silentLog },
    );
    assert.deepEqual(await read(), ['aa', 'bb'], 'right after the change');
    for (const epoch of [written + 1, written + 2, written + 3]) {
      // The roster is read when the epoch's first block is final.
      for (const offset of [0, 5, EPOCH_LENGTH - 1]) {
        await memory.runTo(firstBlock(epoch as Epoch, clock) + offset);
        const expected = epoch < written + 2 ? ['aa', 'bb'] : ['bb', undefined];
        assert.deepEqual(await read(), expected, `epoch of the change + ${epoch - written}, offset ${offset}`);
        const facts = offset < 5 ? undefined : await rosters.read(epoch as Epoch, signal);
        if (offset >= 5) assert.equal(facts?.policy?.manifest.slice(0, 2), expected[0]);
      }
    }
  });

  it('is the one that is written where the endpoint has forgotten the state', async () => {
    await memory.include(memory.chain.updateMisc(owner, subnet, encodePolicy(NEW)));
    const forgetful: Chain = {
      ...memory.chain,
      async subnet(id, at, stop) {
        if (at !== undefined) throw stateDiscarded(at);
        return memory.chain.subnet(id, at, stop);
      },
    };
    assert.deepEqual(await read(forgetful), ['bb', undefined]);
  });

  it('is the first one while the subnet is new', async () => {
    const young = createMemoryChain({ epochLength: EPOCH_LENGTH });
    try {
      young.fund(owner.address, 10_000n * 10n ** 18n);
      const { chain } = young;
      const asked = { ...(await chain.info()), name: 'young', repo: 'r', description: '', misc: encodePolicy(OLD) };
      const amounts = { minStake: 100n * 10n ** 18n, maxStake: 900n * 10n ** 18n, delegateStakePercentage: 10n ** 17n };
      const wanted = { ...asked, ...amounts, bootnodes: BOOTNODES, maxCost: 10n ** 19n };
      const { subnet: id } = await young.include(chain.registerSubnet(owner, wanted));
      const found = await chain.subnet(id);
      assert.ok(found !== undefined);
      assert.deepEqual((await readPolicies(found, chain, signal)).inForce, OLD);
    } finally {
      await young.chain.close();
    }
  });
});
