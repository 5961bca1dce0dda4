import assert from 'node:assert/strict';
import { openSigner } from '../../../src/chain/accounts.ts';
import { createMemoryChain, foundSubnet, type MemoryChain } from '../../../src/chain/memory.ts';
import type { Signer } from '../../../src/chain/types.ts';
import type { BlockNumber, Epoch, NodeId, PeerId, SubnetId } from '../../../src/types/ids.ts';
import { errorCode } from '../../../src/util/errors.ts';

const bootPeer = `12D3KooW${'z'.repeat(44)}` as PeerId;
const bootnodes = new Map([[bootPeer, `/ip4/127.0.0.1/tcp/1/p2p/${bootPeer}`]]);

interface Story {
  readonly memory: MemoryChain;
  readonly subnet: SubnetId;
  readonly nodes: readonly NodeId[];
  readonly hotkeys: readonly Signer[];
}

async function found(count: number, seed = ''): Promise<Story> {
  const memory = createMemoryChain({ epochLength: 20, seed });
  const owner = await openSigner('//dev:0');
  const hotkeys = await Promise.all(Array.from({ length: count }, (_, i) => openSigner(`//dev:${6 + i}`)));
  const nodes = hotkeys.map((hotkey, i) => ({
    hotkey,
    peerInfo: { peer: `12D3KooW${String.fromCharCode(97 + i).repeat(44)}` as PeerId },
  }));
  return { memory, hotkeys, ...(await foundSubnet(memory, { owner, nodes, bootnodes })) };
}

describe('memory chain', () => {
  it('founds a live subnet and makes a thousand blocks without delay', async () => {
    const { memory, subnet, nodes } = await found(3);
    assert.deepEqual(nodes, [1, 2, 3]);
    await memory.runTo(memory.best.number + 1);
    const epoch = Math.floor((memory.best.number - 3) / 20) as Epoch;
    assert.equal((await memory.chain.subnet(subnet))?.startEpoch, epoch);
    assert.ok(nodes.includes((await memory.chain.electedValidator(subnet, epoch)) as NodeId));
    await memory.runTo(1000);
    assert.equal(memory.best.number, 1000);
  });

  it('is the same chain for the same calls, and another one for another seed', async () => {
    const [a, b, c] = [await found(3), await found(3), await found(3, 'other')];
    for (const { memory } of [a, b, c]) await memory.runTo(200);
    assert.deepEqual(a.memory.best, b.memory.best);
    assert.notEqual(a.memory.best.hash, c.memory.best.hash);
    assert.deepEqual(await a.memory.chain.nodes(a.subnet), await b.memory.chain.nodes(b.subnet));
  });

  it('takes a proposal back with its block, and includes it again unless it was dropped', async () => {
    for (const drop of [false, true]) {
      const { memory, subnet, hotkeys, nodes } = await found(2);
      const { chain } = memory;
      await memory.runTo(memory.best.number + 3);
      const epoch = Math.floor((memory.best.number - 3) / 20) as Epoch;
      const elected = (await chain.electedValidator(subnet, epoch)) as NodeId;
      const proposer = hotkeys[nodes.indexOf(elected)] as Signer;
      const proposal = { subnet, epoch, scores: [], args: new Uint8Array(), attestData: new Uint8Array(32) };
      const { block } = await memory.include(chain.propose(proposer, proposal));
      await memory.reorg(1, drop);
      assert.notEqual(await chain.blockHash(block.number), block.hash);
      assert.equal((await chain.submission(subnet, epoch)) === undefined, drop);
      await assert.rejects(memory.reorg(3), RangeError);
    }
  });

  it('plays an outage: nothing answers, no head is told, and then all is as if nothing had been', async () => {
    const { memory } = await found(1);
    const { chain } = memory;
    const stop = new AbortController();
    const heads = chain.heads('best', stop.signal)[Symbol.asyncIterator]();
    await heads.next();
    memory.setOutage(true);
    await memory.runTo(memory.best.number + 5);
    await assert.rejects(chain.head('best'), (error) => errorCode(error) === 'CHAIN_UNREACHABLE');
    memory.setOutage(false);
    assert.equal((await heads.next()).value.number, memory.best.number);
    assert.deepEqual(await chain.head('best'), memory.best);
  });

  it('forgets old states and old epochs', async () => {
    const memory = createMemoryChain({ epochLength: 20, keptStates: 50 });
    const { hash } = memory.best;
    await memory.runTo(100);
    await assert.rejects(
      memory.chain.nodes(1 as SubnetId, hash),
      (error) => errorCode(error) === 'CHAIN_STATE_DISCARDED',
    );
    assert.equal(await memory.chain.blockHash(0 as BlockNumber), hash, 'hashes stay known');
    assert.equal((await memory.chain.info()).genesis, hash);
  });

  it('takes out two expired registrations when another node registers, and their stake cools down', async () => {
    const { memory, subnet } = await found(1);
    const { chain } = memory;
    const coldkey = await openSigner('//dev:1');
    const keys = await Promise.all([10, 11, 12, 13].map((n) => openSigner(`//dev:${n}`)));
    const register = (i: number) =>
      chain.registerNode(coldkey, {
        subnet,
        hotkey: (keys[i] as Signer).address,
        peerInfo: { peer: `12D3KooW${'defg'.charAt(i).repeat(44)}` as PeerId },
        delegateRewardRate: 0n,
        stake: 100n * 10n ** 18n,
        maxBurn: 10n ** 18n,
      });
    for (const i of [0, 1, 2]) await memory.include(register(i));
    const expires = Math.max(...(await chain.nodes(subnet)).map(({ startEpoch }) => startEpoch)) + 31;
    await memory.runTo(expires * 20 + 2);
    await assert.rejects(memory.include(chain.cleanExpired(coldkey, subnet, { dryRun: true })), /NoExpiredNodes/);
    await memory.runTo(expires * 20 + 3);
    const { node, block, events } = await memory.include(register(3));
    assert.deepEqual(
      (await chain.nodes(subnet)).map(({ id }) => id),
      [1, 4, node],
    );
    const removed = events.filter(({ name }) => name === 'SubnetNodeRemoved');
    assert.deepEqual(
      removed.map(({ data }) => [data.subnetNodeId, data.reason]),
      [
        [2, 'Expired'],
        [3, 'Expired'],
      ],
    );
    const { stakes, unbondings } = await chain.holdings(coldkey.address);
    assert.equal(stakes.length, 2);
    assert.deepEqual(unbondings, [{ claimBlock: block.number + 20, amount: 200n * 10n ** 18n }]);
    assert.deepEqual((await memory.include(chain.cleanExpired(coldkey, subnet))).removed, [4]);
  });

  it('says that something was not included, instead of going on for ever', async () => {
    const memory = createMemoryChain({ epochLength: 20 });
    await assert.rejects(memory.include(new Promise(() => undefined), 5), /not included within 5 blocks/);
  });
});
