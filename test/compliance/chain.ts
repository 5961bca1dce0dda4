// What every implementation of Chain must do (chain.md 3, 4, 10): run for the twin, for the polkadot.js client on the dev chain and on a
// network of validators (20 blocks per epoch, 1 epoch of queue and 2 of grace), and on the dev chain with Hypertensor's own runtime, where
// that is at hand. One chain lives through the whole suite: its tests run in order.

import assert from 'node:assert/strict';
import { openSigner } from '../../src/chain/accounts.ts';
import { payNodes, subnetsEmission } from '../../src/chain/twin/settle.ts';
import {
  type BlockEvents,
  type Chain,
  ChainError,
  type ChainInfo,
  type RegisterNode,
  type RegisterSubnet,
  type Signer,
  type Submission,
} from '../../src/chain/types.ts';
import type { Address, BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';

export interface ChainPlace {
  readonly chain: Chain;
  /** Makes blocks until this one is the best head and `chain` knows it. */
  runTo(block: number): Promise<void>;
  /** Makes the blocks that `work` needs to be included. */
  include<T>(work: Promise<T>): Promise<T>;
  /** Blocks come by themselves, and finality as it can: the place can wait for a block, not keep it from coming. */
  readonly isAlive?: boolean;
  close(): Promise<void>;
}

export const EPOCH_LENGTH = 20;
export const GRACE_EPOCHS = 2;
const SLOT = 3;
const TENSOR = 10n ** 18n;
const ONE = 10n ** 18n;
const SUBNET = 128_001 as SubnetId;
const ROOT = new Uint8Array(32).fill(7);
const ARGS = new Uint8Array([1, 2, 3]);

/** Ed25519 identities of the seeds 01..01, 02..02, ... */
const PEERS = [
  '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5',
  '12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq',
  '12D3KooWRndVhVZPCiQwHBBBdg769GyrPUW13zxwqQyf9r3ANaba',
  '12D3KooWPT98FXMfDQYavZm66EeVjTqP9Nnehn1gyaydqV8L8BQw',
  '12D3KooWHFd1gyNYFqxt7ke9FY2VoVVWY2XSPhvL9vg2pB6wQGfa',
  '12D3KooWK98A5qKRAA9qZccvoJLvcLu68PCFZLNfdd81iQLvHj6W',
] as PeerId[];

export function peer(index: number): PeerId {
  const found = PEERS[index];
  if (found === undefined) throw new RangeError(`no peer ${index}`);
  return found;
}

function address(index: number): string {
  return `/ip4/127.0.0.1/tcp/${30_000 + index}/p2p/${peer(index)}`;
}

export const SUBNET_REQUEST: RegisterSubnet = {
  name: 'suite',
  repo: 'https://example.org/suite',
  description: 'for tests',
  misc: new Uint8Array([0xa1, 0x61, 0x76, 1]),
  minStake: 100n * TENSOR,
  maxStake: 900n * TENSOR,
  delegateStakePercentage: ONE / 10n,
  bootnodes: new Map([[peer(5), address(5)]]),
  maxCost: 10n * TENSOR,
};

function nodeRequest(hotkey: Signer, index: number, changes: Partial<RegisterNode> = {}): RegisterNode {
  return {
    subnet: SUBNET,
    hotkey: hotkey.address,
    peerInfo: { peer: peer(index), multiaddr: address(index) },
    delegateRewardRate: 0n,
    stake: 100n * TENSOR,
    maxBurn: TENSOR,
    ...changes,
  };
}

/** chain.md 5.3 for one subnet whose delegators get this much. */
function expectedPay(submission: Submission, first: number, delegated = 0n) {
  const earned = subnetsEmission(submission.validators.length, EPOCH_LENGTH);
  const owner = (earned * 23n) / 100n;
  const x = (BigInt(submission.block - first) * ONE) / BigInt(EPOCH_LENGTH);
  const proposerFactor = x <= ONE / 4n ? ONE : ((ONE * 3n) / 4n - x) * 2n;
  return { owner, nodes: payNodes(earned - owner - delegated, { ...submission, proposerFactor }) };
}

function sumOf(amounts: ReadonlyMap<NodeId, bigint>): bigint {
  return [...amounts.values()].reduce((sum, amount) => sum + amount, 0n);
}

/** Of what Hypertensor mints for a subnet 23 % are the owner's, 10 % of the rest the delegators'; up to 1 TENSOR on top is the proposer's. */
function checkTheirPay(of: {
  readonly paid: ReadonlyMap<NodeId, bigint>;
  readonly ownerPaid: bigint;
  readonly elected: NodeId;
  readonly minted: bigint;
}): void {
  const { paid, ownerPaid, elected, minted } = of;
  const others = [...paid].filter(([id]) => id !== elected).map(([, pay]) => pay);
  const earned = (ownerPaid * 100n) / 23n;
  const [delegators, nodes] = [((earned - ownerPaid) * 10n) / 100n, ((earned - ownerPaid) * 90n) / 100n];
  assert.ok(ownerPaid > 0n);
  for (const pay of others)
    assert.ok(pay <= nodes / 3n + 10n && pay > ((nodes / 3n) * 98n) / 100n, `${pay} of a third of ${nodes}`);
  const bonus = (paid.get(elected) ?? 0n) - nodes / 3n;
  assert.ok(bonus > ONE / 2n && bonus <= ONE, `bonus ${bonus}`);
  const difference = minted - (sumOf(paid) + ownerPaid + delegators);
  assert.ok(difference >= -100n && difference <= 100n, `minted ${minted}, ${difference} more than was paid`);
}

export interface Rules {
  readonly dialect: ChainInfo['dialect'];
  /** Epochs that a node waits after the one in which it registered. */
  readonly queueEpochs: number;
  /** Who may register while the subnet is registered; default anybody. */
  readonly initialColdkeys?: ReadonlyMap<Address, number>;
}

const TESSERA: Rules = { dialect: 'tessera', queueEpochs: 1 };

export function testChain(
  name: string,
  create: () => Promise<ChainPlace>,
  timeoutMs = 60_000,
  rules: Rules = TESSERA,
): void {
  const isOurs = rules.dialect === 'tessera';
  const request: RegisterSubnet = {
    ...SUBNET_REQUEST,
    ...(rules.initialColdkeys === undefined ? {} : { initialColdkeys: rules.initialColdkeys }),
  };

  describe(`chain: ${name}`, function () {
    this.timeout(timeoutMs);
    let place: ChainPlace;
    let chain: Chain;
    let owner: Signer;
    let coldkey: Signer;
    let hotkeys: readonly Signer[];
    let late: Signer;
    const ids = [1, 2, 3] as NodeId[];

    before(async () => {
      place = await create();
      chain = place.chain;
      owner = await openSigner('//dev:0');
      coldkey = await openSigner('//dev:1');
      hotkeys = await Promise.all([6, 7, 8].map((n) => openSigner(`//dev:${n}`)));
      late = await openSigner('//dev:9');
    });
    after(() => place?.close());

    function hotkey(index: number): Signer {
      const found = hotkeys[index];
      if (found === undefined) throw new RangeError(`no hotkey ${index}`);
      return found;
    }

    /** Includes `work`, which the pallet (or `pallet`) must refuse with this error; the error must tell a person what to do. */
    async function fails(work: Promise<unknown>, error: string, pallet = 'Network'): Promise<void> {
      await assert.rejects(place.include(work), (thrown) => {
        assert.ok(thrown instanceof ChainError, String(thrown));
        assert.equal(thrown.facts.code, 'EXTRINSIC_FAILED', thrown.message);
        if (thrown.facts.code !== 'EXTRINSIC_FAILED') return false;
        assert.deepEqual({ error: thrown.facts.error, pallet: thrown.facts.pallet }, { error, pallet });
        assert.ok(thrown.message.length > error.length + 20, thrown.message);
        return true;
      });
    }

    async function epochNow(): Promise<Epoch> {
      const { number } = await chain.head('best');
      return Math.floor((number - SLOT) / EPOCH_LENGTH) as Epoch;
    }

    function firstBlock(epoch: number): number {
      return epoch * EPOCH_LENGTH + SLOT;
    }

    /** For what must happen within one epoch: blocks that come by themselves may be at the end of one. */
    async function runToNextEpoch(): Promise<void> {
      await place.runTo(firstBlock((await epochNow()) + 1));
    }

    it('says what it is', async () => {
      const info = await chain.info();
      assert.equal(info.dialect, rules.dialect);
      assert.deepEqual(info.capabilities, {
        explicitActivation: isOurs,
        consensusResult: isOurs,
        coldkeyPerHotkey: isOurs,
      });
      assert.equal(info.epochLength, EPOCH_LENGTH);
      assert.equal(info.symbol, 'TENSOR');
      assert.equal(info.decimals, 18);
      assert.equal(info.genesis, await chain.blockHash(0 as BlockNumber));
      assert.equal(await chain.blockHash(1_000_000 as BlockNumber), undefined);
    });

    it('knows accounts, also those that never were', async () => {
      assert.equal((await chain.account(owner.address)).free, 1_000_000n * TENSOR);
      assert.deepEqual(await chain.account(`0x${'77'.repeat(20)}` as Address), { free: 0n, nonce: 0 });
    });

    it('transfers, and says why it cannot', async () => {
      const before = await chain.account(late.address);
      const receipt = await place.include(chain.transfer(owner, late.address, 3n * TENSOR));
      assert.equal((await chain.account(late.address)).free, before.free + 3n * TENSOR);
      assert.equal((await chain.account(owner.address)).nonce, 1);
      assert.match(receipt.extrinsicHash, /^0x[0-9a-f]{64}$/);
      assert.equal(await chain.blockHash(receipt.block.number), receipt.block.hash);
      assert.ok(receipt.events.some(({ pallet, name: event }) => pallet === 'Balances' && event === 'Transfer'));
      await fails(chain.transfer(late, owner.address, 10_000n * TENSOR), 'FundsUnavailable', 'Token');
      assert.equal((await chain.account(late.address)).nonce, 1, 'a failed call counts');
    });

    it('refuses a sender without money before it costs a fee, and names the account', async () => {
      const poor = await openSigner('//dev:40');
      await assert.rejects(place.include(chain.transfer(poor, owner.address, 1n)), (error) => {
        assert.ok(error instanceof ChainError && error.facts.code === 'EXTRINSIC_REJECTED', String(error));
        assert.equal(error.facts.reason, 'Payment');
        assert.equal(error.facts.retry, 'afterAction');
        assert.ok(error.message.includes(poor.address), error.message);
        return true;
      });
    });

    it('gives many transactions of one account their nonces', async () => {
      const before = await chain.account(owner.address);
      const sent = Array.from({ length: 10 }, () => chain.transfer(owner, coldkey.address, 1n));
      const receipts = await place.include(Promise.all(sent));
      assert.equal(new Set(receipts.map(({ extrinsicHash }) => extrinsicHash)).size, 10);
      assert.equal((await chain.account(owner.address)).nonce, before.nonce + 10);
    });

    it('refuses a subnet that is not well described', async () => {
      const onlyOurs: readonly (readonly [Partial<RegisterSubnet>, string])[] = [
        [{ name: '' }, 'InvalidSubnetName'],
        [{ bootnodes: new Map([[peer(0), address(1)]]) }, 'MultiaddrInvalidAddress'],
      ];
      const onlyTheirs: readonly (readonly [Partial<RegisterSubnet>, string])[] = [
        [{ initialColdkeys: new Map() }, 'InvalidSubnetRegistrationInitialColdkeys'],
      ];
      const refused: readonly (readonly [Partial<RegisterSubnet>, string])[] = [
        ...(isOurs ? onlyOurs : onlyTheirs),
        [{ minStake: TENSOR }, 'InvalidSubnetMinStake'],
        [{ maxStake: 1001n * TENSOR }, 'InvalidSubnetMaxStake'],
        [{ minStake: 200n * TENSOR, maxStake: 150n * TENSOR }, 'InvalidSubnetStakeParameters'],
        [{ delegateStakePercentage: 0n }, 'InvalidMinDelegateStakePercentage'],
        [{ bootnodes: new Map() }, 'BootnodesEmpty'],
        [{ bootnodes: new Map([['12D3KooWnot' as PeerId, address(1)]]) }, 'InvalidBootnodePeerId'],
        [{ maxCost: 0n }, 'CostGreaterThanMaxCost'],
      ];
      for (const [change, error] of refused) {
        await fails(chain.registerSubnet(owner, { ...request, ...change }), error);
      }
      assert.equal(await chain.subnet(SUBNET), undefined);
      assert.equal(await chain.subnetByName('suite'), undefined);
    });

    it('registers a subnet', async () => {
      const { subnet } = await place.include(chain.registerSubnet(owner, request));
      assert.equal(subnet, SUBNET);
      assert.equal(await chain.subnetByName('suite'), SUBNET);
      const found = await chain.subnet(SUBNET);
      assert.ok(found !== undefined);
      const { name: called, misc, minStake, maxStake, bootnodes } = SUBNET_REQUEST;
      const { startEpoch: _, ...facts } = found;
      assert.deepEqual(facts, {
        id: SUBNET,
        name: called,
        owner: owner.address,
        state: 'Registered',
        slot: SLOT,
        minStake,
        maxStake,
        misc,
        bootnodes,
        ...(isOurs ? { activationGraceEpochs: GRACE_EPOCHS } : {}),
      });
      await fails(chain.registerSubnet(owner, request), 'SubnetNameExist');
      await fails(chain.registerSubnet(owner, { ...request, name: 'other' }), 'SubnetRepoExist');
    });

    it('refuses nodes that may not register', async () => {
      const [first, second] = [hotkey(0), hotkey(1)];
      const broken = { peer: 'Qm1' as PeerId };
      const refused: readonly (readonly [RegisterNode, string])[] = [
        [nodeRequest(first, 0, { subnet: 99 as SubnetId }), 'InvalidSubnetId'],
        [nodeRequest(coldkey, 0), 'ColdkeyMatchesHotkey'],
        [nodeRequest(first, 0, { clientInfo: { peer: peer(0) } }), isOurs ? 'PeerIdsMustBeUnique' : 'PeerIdExist'],
        [nodeRequest(first, 0, { peerInfo: { peer: 'Qm1' as PeerId } }), 'InvalidPeerId'],
        // theirs has one name for the three roles
        [nodeRequest(first, 0, { clientInfo: broken }), isOurs ? 'InvalidClientPeerId' : 'InvalidPeerId'],
        [nodeRequest(first, 0, { bootnodeInfo: broken }), isOurs ? 'InvalidBootnodePeerId' : 'InvalidPeerId'],
        [nodeRequest(first, 0, { delegateRewardRate: ONE + 1n }), 'InvalidDelegateRewardRate'],
        [nodeRequest(first, 0, { maxBurn: 0n }), 'MaxBurnAmountExceeded'],
        [nodeRequest(first, 0, { stake: 99n * TENSOR }), 'MinStakeNotReached'],
        [nodeRequest(first, 0, { stake: 901n * TENSOR }), 'MaxStakeReached'],
      ];
      for (const [node, error] of refused) await fails(chain.registerNode(coldkey, node), error);
      if (isOurs) {
        const foreign = nodeRequest(first, 0, { peerInfo: { peer: peer(0), multiaddr: address(1) } });
        await fails(chain.registerNode(coldkey, foreign), 'MultiaddrInvalidAddress');
      } else {
        await fails(chain.registerNode(owner, nodeRequest(first, 0)), 'ColdkeyRegistrationWhitelist');
      }
      const poor = hotkey(2);
      await place.include(chain.transfer(poor, owner.address, 950n * TENSOR));
      await fails(chain.registerNode(poor, nodeRequest(second, 1)), 'NotEnoughBalanceToStake');
      assert.deepEqual(await chain.nodes(SUBNET), []);
    });

    it('registers nodes with their stake', async () => {
      await fails(chain.activateSubnet(owner, SUBNET), 'SubnetActivationConditionsNotMetYet');
      await runToNextEpoch();
      for (const [index, id] of ids.entries()) {
        const { node } = await place.include(chain.registerNode(coldkey, nodeRequest(hotkey(index), index)));
        assert.equal(node, id);
      }
      const [first] = await chain.nodes(SUBNET);
      assert.deepEqual(first, {
        id: 1,
        hotkey: hotkey(0).address,
        coldkey: coldkey.address,
        peerInfo: { peer: peer(0), multiaddr: address(0) },
        nodeClass: isOurs ? 'Registered' : 'Validator',
        startEpoch: await epochNow(),
        stake: 100n * TENSOR,
        reputation: ONE,
      });
      assert.deepEqual(await chain.node(SUBNET, ids[0] as NodeId), first);
      assert.deepEqual(await chain.nodeByHotkey(SUBNET, hotkey(0).address), first);
      assert.equal(await chain.node(SUBNET, 9 as NodeId), undefined);
      assert.equal(await chain.nodeByHotkey(SUBNET, owner.address), undefined);
      assert.deepEqual(await chain.nodeByPeerId(SUBNET, peer(0)), first);
      assert.equal(await chain.nodeByPeerId(SUBNET, peer(5)), undefined, 'a boot node of the subnet is no node');
      assert.equal(await chain.nodeByPeerId(99 as SubnetId, peer(0)), undefined);
      const { genesis } = await chain.info();
      assert.equal(await chain.nodeByPeerId(SUBNET, peer(0), genesis), undefined, 'at genesis');
      await fails(chain.registerNode(coldkey, nodeRequest(hotkey(0), 4)), 'HotkeyHasOwner');
      await fails(chain.registerNode(coldkey, nodeRequest(late, 0)), 'PeerIdExist');
      const taken = { peer: peer(1) };
      await fails(
        chain.registerNode(coldkey, nodeRequest(late, 3, { bootnodeInfo: taken })),
        isOurs ? 'BootnodePeerIdExist' : 'PeerIdExist',
      );
      await fails(
        chain.registerNode(coldkey, nodeRequest(late, 3, { clientInfo: taken })),
        isOurs ? 'ClientPeerIdExist' : 'PeerIdExist',
      );
    });

    it('activates nodes of a registered subnet at once as validators, by their hotkey alone', async () => {
      const [first] = ids as [NodeId];
      await fails(chain.activateNode(hotkey(1), SUBNET, first), 'NotUidOwner');
      for (const [index, id] of ids.entries()) await place.include(chain.activateNode(hotkey(index), SUBNET, id));
      if (isOurs) await fails(chain.activateNode(hotkey(0), SUBNET, first), 'SubnetNodeActivatedAlready');
      assert.equal((await chain.node(SUBNET, first))?.nodeClass, 'Validator');
      assert.deepEqual(await chain.electable(SUBNET), ids);
    });

    it('activates the subnet for its owner', async () => {
      const epoch = ((await epochNow()) + 1) as Epoch;
      await place.runTo(firstBlock(epoch));
      await fails(chain.propose(hotkey(0), { subnet: SUBNET, epoch, ...proposal() }), 'NoElectedValidator');
      await fails(chain.activateSubnet(coldkey, SUBNET), 'NotSubnetOwner');
      await fails(chain.activateSubnet(owner, 99 as SubnetId), isOurs ? 'InvalidSubnetId' : 'NotSubnetOwner');
      // theirs weighs subnets by what is delegated to them: while nobody delegates at all, no subnet earns anything
      if (!isOurs) await place.include(chain.delegate(owner, SUBNET, 1000n * TENSOR));
      await place.include(chain.activateSubnet(owner, SUBNET));
      const { number } = await chain.head('best');
      const found = await chain.subnet(SUBNET);
      assert.equal(found?.state, 'Active');
      assert.equal(found?.startEpoch, Math.floor(number / EPOCH_LENGTH) + 1);
      await fails(chain.activateSubnet(owner, SUBNET), 'SubnetActivatedAlready');
    });

    function proposal() {
      return { scores: ids.map((nodeId) => ({ nodeId, score: ONE / 4n })), args: ARGS, attestData: ROOT };
    }

    it('elects, takes the scores of the elected node alone, and pays when enough attest', async () => {
      const live = await chain.subnet(SUBNET);
      // The epoch after the first live one: that one is settled leniently.
      const epoch = ((live?.startEpoch ?? 0) + 1) as Epoch;
      await place.runTo(firstBlock(epoch));
      const elected = await chain.electedValidator(SUBNET, epoch);
      assert.ok(elected !== undefined && ids.includes(elected));
      assert.equal(await chain.electedValidator(SUBNET, (epoch + 1) as Epoch), undefined);
      const proposer = hotkey(ids.indexOf(elected));
      const others = hotkeys.filter((key) => key !== proposer);
      const [other] = others as [Signer];
      const before = await chain.head('best');

      await fails(chain.attest(other, SUBNET, epoch, ROOT), 'InvalidSubnetConsensusSubmission');
      await fails(chain.propose(other, { subnet: SUBNET, epoch, ...proposal() }), 'InvalidValidator');
      const tooMuch = isOurs
        ? [{ nodeId: elected, score: 10n ** 24n + 1n }]
        : ids.map((nodeId) => ({ nodeId, score: 2n ** 127n }));
      const overflow = { ...proposal(), scores: tooMuch };
      await fails(chain.propose(proposer, { subnet: SUBNET, epoch, ...overflow }), 'ScoreOverflow');
      const wrong = { subnet: SUBNET, epoch: (epoch + 1) as Epoch, ...proposal() };
      await assert.rejects(chain.propose(proposer, wrong), (error) => errorCode(error) === 'WRONG_EPOCH');
      await assert.rejects(
        chain.attest(other, SUBNET, (epoch - 1) as Epoch, ROOT),
        (error) => errorCode(error) === 'WRONG_EPOCH',
      );

      const proposed = await place.include(chain.propose(proposer, { subnet: SUBNET, epoch, ...proposal() }));
      const again = await place.include(chain.propose(proposer, { subnet: SUBNET, epoch, ...proposal() }));
      assert.deepEqual(again.block, proposed.block, 'ours is there already: done');
      await fails(chain.propose(other, { subnet: SUBNET, epoch, ...proposal() }), 'InvalidValidator');
      const attested = await place.include(Promise.all(others.map((key) => chain.attest(key, SUBNET, epoch, ROOT))));
      const twice = await place.include(chain.attest(other, SUBNET, epoch, ROOT));
      assert.deepEqual(twice.block, attested[0]?.block);

      const submission = await chain.submission(SUBNET, epoch);
      assert.ok(submission !== undefined);
      assert.equal(submission.proposer, elected);
      assert.equal(submission.block, proposed.block.number);
      assert.deepEqual(submission.scores, proposal().scores);
      assert.deepEqual(submission.args, ARGS);
      assert.deepEqual(submission.validators, ids);
      assert.deepEqual(
        submission.nodes.map(({ id, nodeClass }) => [id, nodeClass]),
        ids.map((id) => [id, 'Validator']),
      );
      assert.deepEqual(
        submission.attests.map(({ nodeId, data }) => [nodeId, data]),
        ids.map((id) => [id, ROOT]),
      );
      assert.equal(submission.attests.find(({ nodeId }) => nodeId === elected)?.rewardFactor, ONE);
      assert.equal(await chain.submission(SUBNET, epoch, before.hash), undefined, 'at an older block');
      assert.equal(await chain.result(SUBNET, epoch), undefined);

      const stakes = async () => new Map((await chain.nodes(SUBNET)).map(({ id, stake }) => [id, stake]));
      const [unpaid, poorOwner] = [await stakes(), await chain.account(owner.address)];
      await place.runTo(firstBlock(epoch + 1));
      const result = await chain.result(SUBNET, epoch);
      assert.equal(result?.outcome, 'Accepted');
      assert.equal(result.attestationRatio, ONE);
      assert.equal(result.slashed, 0n);
      const paid = new Map([...(await stakes())].map(([id, after]) => [id, after - (unpaid.get(id) ?? 0n)]));
      const ownerPaid = (await chain.account(owner.address)).free - poorOwner.free;
      const { hash } = await chain.head('best');
      const settled = await chain.events(hash);
      if (isOurs) {
        const expected = expectedPay(submission, firstBlock(epoch));
        assert.equal(result.minted, expected.owner + sumOf(expected.nodes));
        assert.deepEqual(paid, expected.nodes, 'to the planck');
        assert.ok((expected.nodes.get(elected) ?? 0n) > ONE / 100n);
        const reward = settled.find(({ name: event }) => event === 'RewardResult');
        assert.deepEqual(reward, {
          pallet: 'Network',
          name: 'RewardResult',
          data: { subnetId: SUBNET, epoch, attestationPercentage: ONE },
        });
      } else {
        checkTheirPay({ paid, ownerPaid, elected, minted: result.minted ?? 0n });
        assert.ok(settled.some(({ name: event }) => event === 'SubnetRewards'));
      }
    });

    it(isOurs ? 'proves who is in an epoch, by the hash of a block alone' : 'proves no rosters', async () => {
      const { hash: at } = await chain.head('finalized');
      const epoch = await epochNow();
      const proof = await chain.proveRoster(SUBNET, epoch, at);
      if (!isOurs) {
        assert.equal(proof, undefined);
        const refused = await chain.provenRoster(SUBNET, epoch, at, { header: new Uint8Array(), nodes: [] });
        assert.equal(refused.ok ? 'ok' : refused.code, 'PROOF_UNSUPPORTED');
        return;
      }
      assert.ok(proof !== undefined);
      const proven = await chain.provenRoster(SUBNET, epoch, at, proof);
      assert.ok(proven.ok, JSON.stringify(proven));
      const nodes = await chain.nodes(SUBNET, at);
      assert.equal(nodes.length, ids.length);
      assert.deepEqual(proven.state, {
        misc: (await chain.subnet(SUBNET, at))?.misc,
        nodes: nodes.map(({ id, hotkey: key, peerInfo, nodeClass, startEpoch }) => {
          return { id, hotkey: key, peerInfo, nodeClass, startEpoch };
        }),
        electable: await chain.electable(SUBNET, at),
        elected: await chain.electedValidator(SUBNET, epoch, at),
      });
      const none = await chain.proveRoster(99 as SubnetId, epoch, at);
      assert.ok(none !== undefined);
      assert.deepEqual(await chain.provenRoster(99 as SubnetId, epoch, at, none), { ok: true, state: undefined });

      const { genesis } = await chain.info();
      const flip = (bytes: Uint8Array, i: number) => bytes.with(i, (bytes[i] as number) ^ 1);
      const refused = [
        chain.provenRoster(SUBNET, epoch, genesis, proof),
        chain.provenRoster(SUBNET, epoch, at, none),
        chain.provenRoster(99 as SubnetId, epoch, at, proof),
        ...proof.nodes.flatMap((node, i) => [
          chain.provenRoster(SUBNET, epoch, at, { ...proof, nodes: proof.nodes.with(i, flip(node, node.length - 1)) }),
          chain.provenRoster(SUBNET, epoch, at, { ...proof, nodes: proof.nodes.toSpliced(i, 1) }),
        ]),
        chain.provenRoster(SUBNET, epoch, at, { ...proof, header: flip(proof.header, 0) }),
        chain.provenRoster(SUBNET, epoch, at, { ...proof, nodes: [...proof.nodes, new Uint8Array(40)] }),
      ];
      for (const verdict of await Promise.all(refused)) assert.ok(!verdict.ok && verdict.why.length > 10);
      const unknown = `0x${'ab'.repeat(32)}` as Hash;
      const isGone = (error: unknown) => errorCode(error) === 'CHAIN_STATE_DISCARDED';
      await assert.rejects(chain.proveRoster(SUBNET, epoch, unknown), isGone);
    });

    it('calls an epoch without proposal absent, and one without votes rejected', async () => {
      const epoch = await epochNow();
      await place.runTo(firstBlock(epoch + 1) - 3);
      const tooLate = chain.attest(hotkey(0), SUBNET, epoch, ROOT);
      await assert.rejects(tooLate, (error) => errorCode(error) === 'WRONG_EPOCH', 'too few blocks left');
      await place.runTo(firstBlock(epoch + 1));
      assert.equal((await chain.result(SUBNET, epoch))?.outcome, 'Absent');
      const elected = await chain.electedValidator(SUBNET, (epoch + 1) as Epoch);
      const proposer = hotkey(ids.indexOf(elected as NodeId));
      await place.include(chain.propose(proposer, { subnet: SUBNET, epoch: (epoch + 1) as Epoch, ...proposal() }));
      await place.runTo(firstBlock(epoch + 2));
      const result = await chain.result(SUBNET, (epoch + 1) as Epoch);
      assert.equal(result?.outcome, 'Rejected');
      assert.equal(result.attestationRatio, 333_333_333_333_333_333n);
      assert.equal(result.minted, 0n);
      assert.ok((result.slashed ?? 0n) > 0n);
    });

    it('calls an epoch without scores empty, which costs no node reputation', async () => {
      await runToNextEpoch();
      const epoch = await epochNow();
      const proposer = hotkey(ids.indexOf((await chain.electedValidator(SUBNET, epoch)) as NodeId));
      const reputations = async () => (await chain.nodes(SUBNET)).map(({ reputation }) => reputation);
      const before = await reputations();
      await place.include(chain.propose(proposer, { subnet: SUBNET, epoch, ...proposal(), scores: [] }));
      const others = hotkeys.filter((key) => key !== proposer);
      await place.include(Promise.all(others.map((key) => chain.attest(key, SUBNET, epoch, ROOT))));
      assert.deepEqual((await chain.submission(SUBNET, epoch))?.scores, []);
      await place.runTo(firstBlock(epoch + 1));
      assert.equal((await chain.result(SUBNET, epoch))?.outcome, 'Empty');
      const after = await reputations();
      if (isOurs) assert.deepEqual(after, before);
      else assert.ok(after.every((reputation, i) => reputation >= (before[i] ?? 0n)));
    });

    it('tells how the last epochs ended, the newest first', async () => {
      const now = await epochNow();
      const past = await chain.previousResults(SUBNET, 5);
      if (place.isAlive !== true)
        assert.deepEqual(
          past.map(({ epoch, outcome }) => [now - epoch, outcome]),
          [
            [1, 'Empty'],
            [2, 'Absent'],
            [3, 'Rejected'],
            [4, 'Absent'],
            [5, 'Accepted'],
          ],
        );
      assert.ok(past.length >= 4 && past.every(({ epoch }) => epoch < now));
      for (const { epoch, ...result } of past) assert.deepEqual(result, await chain.result(SUBNET, epoch), `${epoch}`);
      const live = (await chain.subnet(SUBNET))?.startEpoch ?? 0;
      const all = await chain.previousResults(SUBNET, 1000);
      assert.ok(all.length >= past.length && all.every(({ epoch }) => epoch >= live - 1), 'not before it was live');
      assert.deepEqual(await chain.previousResults(SUBNET, 0), []);
      assert.deepEqual(await chain.previousResults(99 as SubnetId, 5), []);
    });

    it('lets who comes later wait for the start epoch', async () => {
      await runToNextEpoch();
      const registeredIn = await epochNow();
      const { node } = await place.include(chain.registerNode(coldkey, nodeRequest(late, 3)));
      const startEpoch = ((await chain.node(SUBNET, node))?.startEpoch ?? 0) as Epoch;
      assert.equal(startEpoch, registeredIn + rules.queueEpochs);
      assert.equal((await chain.node(SUBNET, node))?.nodeClass, 'Registered');
      const activeFrom = isOurs ? await activateByHand(node, startEpoch) : await activateByQueue(node, startEpoch);
      const active = await chain.node(SUBNET, node);
      assert.equal(active?.nodeClass, 'Idle');
      assert.equal(active?.startEpoch, activeFrom);
      await fails(chain.attest(late, SUBNET, await epochNow(), ROOT), 'InvalidSubnetNodeClassification');
      await fails(chain.attest(owner, SUBNET, await epochNow(), ROOT), 'InvalidHotkeySubnetNodeId');
      assert.deepEqual(await chain.electable(SUBNET), ids);
    });

    /** Both answer with the epoch from which the node counts. */
    async function activateByHand(node: NodeId, startEpoch: Epoch): Promise<number> {
      await fails(chain.activateNode(late, SUBNET, node), 'NotStartEpoch');
      await place.runTo(firstBlock(startEpoch) - 1);
      await place.runTo(firstBlock(startEpoch));
      await place.include(chain.activateNode(late, SUBNET, node));
      return startEpoch + 1;
    }

    async function activateByQueue(node: NodeId, startEpoch: Epoch): Promise<number> {
      const activated = chain.activateNode(late, SUBNET, node);
      await fails(chain.attest(late, SUBNET, await epochNow(), ROOT), 'InvalidSubnetNodeId');
      await place.runTo(firstBlock(startEpoch) - 1);
      assert.equal((await chain.node(SUBNET, node))?.nodeClass, 'Registered');
      await place.runTo(firstBlock(startEpoch));
      assert.equal((await activated).block.number, firstBlock(startEpoch));
      return startEpoch;
    }

    it(isOurs ? 'refuses activation when the grace has passed' : 'never lets a registration expire', async () => {
      const forgetful = await openSigner('//dev:10');
      const { node } = await place.include(chain.registerNode(coldkey, nodeRequest(forgetful, 4)));
      if (!isOurs) return;
      const startEpoch = (await chain.node(SUBNET, node))?.startEpoch ?? 0;
      await place.runTo(firstBlock(startEpoch + GRACE_EPOCHS + 1));
      await fails(chain.activateNode(forgetful, SUBNET, node), 'ActivationGracePassed');
    });

    it('proves stake by peer id, class and start', async () => {
      await runToNextEpoch();
      await place.runTo((await chain.head('best')).number + 3);
      const proves = (index: number, minClass: number) => chain.provesStake(SUBNET, peer(index), minClass);
      // whoever proposed the epoch that was rejected may have less than the minimum
      for (const index of ids.keys()) assert.equal(await proves(index, 3), true, `node ${index + 1}`);
      assert.equal(await proves(3, 1), true, 'Idle');
      assert.equal(await proves(3, 3), false, 'not a validator yet');
      assert.equal(await proves(4, 0), true, 'registered only');
      assert.equal(await proves(4, 1), false);
      assert.equal(await proves(5, 0), true, 'a boot node of the subnet');
      assert.equal(await proves(5, 1), !isOurs);
      assert.equal(await chain.provesStake(99 as SubnetId, peer(0), 0), false);
      const [first] = ids;
      assert.ok(first !== undefined);
      const at = (await chain.head('finalized')).hash;
      const stake = (await chain.node(SUBNET, first, at))?.stake ?? 0n;
      assert.ok(stake > 0n);
      const holds = (minStake: bigint) => chain.provesStake(SUBNET, peer(0), 3, { minStake, at });
      assert.deepEqual([await holds(0n), await holds(stake), await holds(stake + 1n)], [true, true, false]);
      assert.equal(await chain.provesStake(SUBNET, peer(3), 3, { minStake: 0n }), false, 'the class counts as ever');
      if (isOurs)
        assert.equal(await chain.provesStake(SUBNET, peer(5), 0, { minStake: 1n }), false, 'a boot node has no stake');
      const genesis = (await chain.info()).genesis;
      assert.equal(await chain.provesStake(SUBNET, peer(0), 0, { at: genesis }), false, 'at genesis');
    });

    /** Fails before it is sent: the nonce, and with it the fee, stays. */
    async function wouldFail(signer: Signer, work: () => Promise<unknown>, error: string): Promise<void> {
      const { nonce } = await chain.account(signer.address);
      await fails(work(), error);
      assert.equal((await chain.account(signer.address)).nonce, nonce, 'nothing was sent');
    }

    const tried = { dryRun: true } as const;

    it(isOurs ? 'takes out who did not activate in time, for anybody' : 'has no expired registration', async () => {
      const anybody = hotkey(0);
      await fails(chain.cleanExpired(anybody, 99 as SubnetId), 'InvalidSubnetId');
      if (!isOurs) {
        await wouldFail(anybody, () => chain.cleanExpired(anybody, SUBNET), 'NoExpiredNodes');
        return;
      }
      const forgetful = await openSigner('//dev:10');
      const node = (await chain.nodeByHotkey(SUBNET, forgetful.address)) ?? assert.fail('registered before');
      const before = await chain.account(anybody.address);
      const { block, removed } = await place.include(chain.cleanExpired(anybody, SUBNET));
      assert.deepEqual(removed, [node.id]);
      assert.equal((await chain.account(anybody.address)).free, before.free, 'it costs nothing');
      assert.equal(await chain.node(SUBNET, node.id), undefined);
      assert.equal(await chain.nodeByPeerId(SUBNET, peer(4)), undefined);
      const { stakes, unbondings } = await chain.holdings(coldkey.address);
      const claimBlock = (block.number + EPOCH_LENGTH) as BlockNumber;
      assert.deepEqual(unbondings, [{ claimBlock, amount: node.stake }]);
      assert.ok(stakes.every((one) => one.hotkey !== forgetful.address));
      await wouldFail(anybody, () => chain.cleanExpired(anybody, SUBNET, tried), 'NoExpiredNodes');
      await place.runTo(claimBlock);
      await place.include(chain.claimUnbondings(coldkey));
    });

    it('adds stake within the limits of the subnet, and tries a call before it costs a fee', async () => {
      const [first] = ids as [NodeId];
      const of = { subnet: SUBNET, node: first, hotkey: hotkey(0).address };
      const before = (await chain.node(SUBNET, first))?.stake ?? 0n;
      await wouldFail(owner, () => chain.addStake(owner, { ...of, amount: TENSOR }, tried), 'NotKeyOwner');
      const wrong = { ...of, node: 2 as NodeId, amount: TENSOR };
      if (isOurs) await wouldFail(coldkey, () => chain.addStake(coldkey, wrong, tried), 'InvalidSubnetNodeId');
      await wouldFail(coldkey, () => chain.addStake(coldkey, { ...of, amount: 0n }, tried), 'InvalidAmount');
      const much = { ...of, amount: 900n * TENSOR };
      await wouldFail(coldkey, () => chain.addStake(coldkey, much, tried), 'MaxStakeReached');
      await place.include(chain.addStake(coldkey, { ...of, amount: 5n * TENSOR }, tried));
      assert.equal((await chain.node(SUBNET, first))?.stake, before + 5n * TENSOR);
      const { stakes } = await chain.holdings(coldkey.address);
      assert.equal(stakes.find((one) => one.hotkey === of.hotkey)?.amount, before + 5n * TENSOR);
      assert.deepEqual(await chain.holdings(hotkey(0).address), { stakes: [], delegations: [], unbondings: [] });
    });

    it('removes stake down to the minimum, and pays it after the cooldown', async () => {
      await runToNextEpoch();
      const current = await chain.electedValidator(SUBNET, await epochNow());
      // whoever proposed the epoch that was rejected has less than the minimum
      const richest = [...(await chain.nodes(SUBNET))].sort((a, b) => Number(b.stake - a.stake));
      const id = richest.find((one) => ids.includes(one.id) && one.id !== current)?.id as NodeId;
      const key = hotkey(ids.indexOf(id)).address;
      const of = { subnet: SUBNET, hotkey: key };
      const stake = (await chain.node(SUBNET, id))?.stake ?? 0n;
      const spare = stake - 100n * TENSOR;
      assert.ok(spare > 0n, 'paid before');
      await fails(chain.removeStake(owner, { ...of, amount: 1n }), 'NotKeyOwner');
      await fails(chain.removeStake(coldkey, { ...of, amount: 0n }), 'AmountZero');
      await fails(chain.removeStake(coldkey, { ...of, amount: stake + 1n }), 'NotEnoughStakeToWithdraw');
      await fails(chain.removeStake(coldkey, { ...of, amount: spare + 1n }), 'MinStakeNotReached');
      if (current !== undefined) {
        const elected = { subnet: SUBNET, hotkey: hotkey(ids.indexOf(current)).address, amount: 1n };
        await fails(chain.removeStake(coldkey, elected), 'ElectedValidatorCannotUnstake');
        await fails(chain.removeNode(coldkey, SUBNET, current), 'ElectedValidatorCannotRemove');
      }
      const { block } = await place.include(chain.removeStake(coldkey, { ...of, amount: spare }));
      const claimBlock = (block.number + EPOCH_LENGTH) as BlockNumber;
      assert.deepEqual((await chain.holdings(coldkey.address)).unbondings, [{ claimBlock, amount: spare }]);
      await fails(chain.claimUnbondings(coldkey), 'NoStakeUnbondingsOrCooldownNotMet');
      await place.runTo(claimBlock);
      const before = (await chain.account(coldkey.address)).free;
      await place.include(chain.claimUnbondings(coldkey));
      const gained = (await chain.account(coldkey.address)).free - before;
      assert.ok(gained > spare - TENSOR / 1000n && gained < spare, 'all of it, less the fee');
      assert.deepEqual((await chain.holdings(coldkey.address)).unbondings, []);
    });

    it('delegates: shares of a pool that can be transferred, and turned back', async () => {
      const [from, to] = [coldkey, late];
      await fails(chain.delegate(from, 99 as SubnetId, TENSOR), 'InvalidSubnetId');
      await fails(chain.delegate(from, SUBNET, 999n), 'MinDelegateStakeDepositNotReached');
      await fails(chain.undelegate(from, SUBNET, 1n), 'NotEnoughStakeToWithdraw');
      await place.include(chain.delegate(from, SUBNET, TENSOR));
      const [held] = (await chain.holdings(from.address)).delegations;
      assert.equal(held?.subnet, SUBNET);
      if (isOurs) assert.deepEqual(held, { subnet: SUBNET, shares: TENSOR * 1000n, balance: TENSOR });
      // the shares of a pool that was paid before anybody delegated are few, and rounded down
      else assert.ok(held.balance > (TENSOR * 9n) / 10n && held.balance <= TENSOR, String(held.balance));
      const half = held.shares / 2n;
      const zero = chain.transferDelegation(from, { subnet: SUBNET, to: to.address, shares: 0n });
      await fails(zero, isOurs ? 'AmountZero' : 'NotEnoughStakeToWithdraw');
      await place.include(chain.transferDelegation(from, { subnet: SUBNET, to: to.address, shares: half }));
      assert.equal((await chain.holdings(to.address)).delegations[0]?.shares, half);
      await fails(chain.undelegate(from, SUBNET, held.shares), 'NotEnoughStakeToWithdraw');
      const left = held.shares - half;
      const { block } = await place.include(chain.undelegate(from, SUBNET, left));
      const waiting = await chain.holdings(from.address);
      assert.deepEqual(waiting.delegations, []);
      const [unbonding] = waiting.unbondings;
      assert.equal(unbonding?.claimBlock, block.number + EPOCH_LENGTH);
      const worth = (held.balance * left) / held.shares;
      const lost = worth - unbonding.amount;
      assert.ok(lost >= -10n && lost <= (isOurs ? 10n : worth / 100n), `${unbonding.amount} of ${worth}`);
    });

    it('pays delegators their part of an accepted epoch', async () => {
      const worth = async () => (await chain.holdings(late.address)).delegations[0]?.balance ?? 0n;
      const epoch = ((await epochNow()) + 1) as Epoch;
      await place.runTo(firstBlock(epoch));
      const elected = await chain.electedValidator(SUBNET, epoch);
      const proposer = hotkey(ids.indexOf(elected as NodeId));
      await place.include(chain.propose(proposer, { subnet: SUBNET, epoch, ...proposal() }));
      const others = hotkeys.filter((key) => key !== proposer);
      await place.include(Promise.all(others.map((key) => chain.attest(key, SUBNET, epoch, ROOT))));
      const before = await worth();
      const submission = await chain.submission(SUBNET, epoch);
      await place.runTo(firstBlock(epoch + 1));
      const paid = (await worth()) - before;
      if (!isOurs) {
        assert.ok(paid > 0n);
        return;
      }
      const earned = subnetsEmission(3, EPOCH_LENGTH);
      const rest = earned - (earned * 23n) / 100n;
      assert.ok(paid > rest / 10n - 10n && paid <= rest / 10n, `${paid} of ${rest / 10n}`);
      assert.ok(submission !== undefined);
      const expected = expectedPay(submission, firstBlock(epoch), rest / 10n);
      const result = await chain.result(SUBNET, epoch);
      const nodes = [...expected.nodes.values()].reduce((sum, pay) => sum + pay, 0n);
      assert.equal(result?.minted, expected.owner + rest / 10n + nodes);
    });

    it('changes the peers under which a node is known', async () => {
      const [first] = ids as [NodeId];
      const of = { subnet: SUBNET, node: first, role: 'node' } as const;
      // theirs asks the coldkey for it, and takes a peer id that a node has, even this one, for taken
      const [key, next] = isOurs ? [hotkey(0), peer(0)] : [coldkey, peer(5)];
      const moved = { peer: next, multiaddr: `/ip4/127.0.0.1/tcp/31999/p2p/${next}` };
      await fails(chain.updatePeer(owner, of, moved), 'NotKeyOwner');
      const unknown = chain.updatePeer(key, { ...of, node: 77 as NodeId }, moved);
      await fails(unknown, isOurs ? 'InvalidSubnetNodeId' : 'NotKeyOwner');
      if (!isOurs) await fails(chain.updatePeer(hotkey(0), of, moved), 'NotKeyOwner');
      await fails(chain.updatePeer(key, of, { peer: peer(1) }), 'PeerIdExist');
      await place.include(chain.updatePeer(key, of, moved));
      assert.deepEqual((await chain.node(SUBNET, first))?.peerInfo, moved);
      const client = { ...of, role: 'client' } as const;
      const twice = chain.updatePeer(coldkey, client, { peer: next });
      await fails(twice, isOurs ? 'PeerIdsMustBeUnique' : 'PeerIdExist');
      const free = isOurs ? peer(5) : peer(0);
      await place.include(chain.updatePeer(coldkey, client, { peer: free }));
      assert.deepEqual((await chain.node(SUBNET, first))?.clientInfo, { peer: free });
      assert.equal((await chain.nodeByPeerId(SUBNET, free))?.id, first, 'by any of its peers');
      await place.include(chain.updatePeer(coldkey, client, undefined));
      assert.equal((await chain.node(SUBNET, first))?.clientInfo, undefined);
      assert.equal(await chain.nodeByPeerId(SUBNET, free), undefined);
      assert.deepEqual((await chain.node(SUBNET, first))?.peerInfo, moved);
    });

    it('gives a node another hotkey, which acts for it from then on', async () => {
      await runToNextEpoch();
      const [first] = ids as [NodeId];
      const [old, next] = [hotkey(0), await openSigner('//dev:11')];
      const keys = { hotkey: old.address, next: next.address };
      await fails(chain.updateHotkey(owner, keys), 'NotKeyOwner');
      await fails(chain.updateHotkey(coldkey, { ...keys, next: hotkey(1).address }), 'HotkeyHasOwner');
      await fails(chain.updateHotkey(coldkey, { ...keys, next: coldkey.address }), 'ColdkeyMatchesHotkey');
      const node = await chain.node(SUBNET, first);
      await place.include(chain.updateHotkey(coldkey, keys));
      assert.deepEqual(await chain.node(SUBNET, first), { ...node, hotkey: next.address });
      assert.equal((await chain.nodeByHotkey(SUBNET, next.address))?.id, first);
      assert.equal(await chain.nodeByHotkey(SUBNET, old.address), undefined);
      const { stakes } = await chain.holdings(coldkey.address);
      assert.deepEqual(
        stakes.filter((one) => one.hotkey === next.address || one.hotkey === old.address),
        [{ subnet: SUBNET, hotkey: next.address, amount: node?.stake }],
      );
      await runToNextEpoch();
      const epoch = await epochNow();
      await fails(chain.attest(old, SUBNET, epoch, ROOT), 'InvalidHotkeySubnetNodeId');
      await fails(chain.attest(next, SUBNET, epoch, ROOT), 'InvalidSubnetConsensusSubmission');
      await fails(chain.updateHotkey(coldkey, keys), 'NotKeyOwner');
      await place.include(chain.updateHotkey(coldkey, { hotkey: next.address, next: old.address }));
      const again = await chain.node(SUBNET, first);
      assert.ok(again !== undefined);
      // an epoch has passed, in which it may have been the one to propose
      const { reputation } = again;
      assert.deepEqual(again, { ...node, reputation }, 'the old one is free to be taken again');
    });

    it('hands a node to another coldkey', async () => {
      await runToNextEpoch();
      const [first] = ids as [NodeId];
      const heir = await openSigner('//dev:3');
      const key = hotkey(0).address;
      await fails(chain.updateColdkey(owner, { hotkey: key, next: heir.address }), 'NotKeyOwner');
      await fails(chain.updateColdkey(coldkey, { hotkey: key, next: key }), 'ColdkeyMatchesHotkey');
      const [node, before] = [await chain.node(SUBNET, first), await chain.holdings(coldkey.address)];
      assert.ok(before.stakes.length > 1 && before.unbondings.length > 0);
      await place.include(chain.updateColdkey(coldkey, { hotkey: key, next: heir.address }));
      assert.deepEqual(await chain.node(SUBNET, first), { ...node, coldkey: heir.address });
      const [left, got] = [await chain.holdings(coldkey.address), await chain.holdings(heir.address)];
      const moved = before.stakes.filter((one) => !isOurs || one.hotkey === key);
      assert.deepEqual(new Set(got.stakes), new Set(moved));
      assert.equal(left.stakes.length, before.stakes.length - moved.length);
      assert.deepEqual((isOurs ? left : got).unbondings, before.unbondings);
      assert.deepEqual((isOurs ? got : left).unbondings, []);
      const of = { subnet: SUBNET, node: first, hotkey: key, amount: TENSOR };
      await fails(chain.addStake(coldkey, of), 'NotKeyOwner');
      await place.include(chain.updateColdkey(heir, { hotkey: key, next: coldkey.address }));
      assert.deepEqual(await chain.node(SUBNET, first), node);
      assert.deepEqual(new Set((await chain.holdings(coldkey.address)).stakes), new Set(before.stakes));
    });

    it('changes policy and boot nodes for the owner alone', async () => {
      const misc = new Uint8Array([0xa1, 0x61, 0x76, 2]);
      await fails(chain.updateMisc(coldkey, SUBNET, misc), 'NotSubnetOwner');
      await place.include(chain.updateMisc(owner, SUBNET, misc));
      assert.deepEqual((await chain.subnet(SUBNET))?.misc, misc);
      const add = new Map([[peer(0), address(0)]]);
      await fails(chain.updateBootnodes(coldkey, SUBNET, { add, remove: [] }), 'InvalidAccess');
      const wrong = new Map([[peer(0), address(1)]]);
      if (isOurs)
        await fails(chain.updateBootnodes(owner, SUBNET, { add: wrong, remove: [] }), 'MultiaddrInvalidAddress');
      await place.include(chain.updateBootnodes(owner, SUBNET, { add, remove: [peer(5)] }));
      assert.deepEqual((await chain.subnet(SUBNET))?.bootnodes, add);
      await place.include(chain.updateBootnodes(owner, SUBNET, { add: SUBNET_REQUEST.bootnodes, remove: [peer(0)] }));
    });

    it('lets a node leave, and gives its stake back', async () => {
      const node = await chain.nodeByHotkey(SUBNET, late.address);
      assert.ok(node !== undefined);
      await fails(chain.removeNode(owner, SUBNET, node.id), 'NotKeyOwner');
      await fails(chain.removeNode(owner, SUBNET, 77 as NodeId), isOurs ? 'InvalidSubnetNodeId' : 'NotKeyOwner');
      await place.include(chain.removeNode(late, SUBNET, node.id));
      assert.equal(await chain.node(SUBNET, node.id), undefined);
      const left = async () =>
        (await chain.holdings(coldkey.address)).stakes.find((one) => one.hotkey === late.address);
      assert.equal((await left())?.amount, node.stake, 'it stays under the hotkey');
      const other = (await openSigner('//dev:11')).address;
      await place.include(chain.updateHotkey(coldkey, { hotkey: late.address, next: other }));
      const { stakes } = await chain.holdings(coldkey.address);
      assert.equal(stakes.find((one) => one.hotkey === other)?.amount, node.stake, 'and goes with it');
      assert.equal(await left(), undefined);
      await place.include(chain.updateHotkey(coldkey, { hotkey: other, next: late.address }));
      await fails(chain.registerNode(coldkey, nodeRequest(late, 3)), 'HotkeyHasOwner');
      const of = { subnet: SUBNET, hotkey: late.address };
      await place.include(chain.removeStake(coldkey, { ...of, amount: node.stake }));
      assert.equal(await left(), undefined);
      await place.include(chain.registerNode(coldkey, nodeRequest(late, 3)));
    });

    it('lets a node climb to validator by accepted epochs, at no cost of reputation', async () => {
      const { id, startEpoch } = (await chain.nodeByHotkey(SUBNET, late.address)) ?? assert.fail('registered before');
      await place.runTo(firstBlock(startEpoch));
      await place.include(chain.activateNode(late, SUBNET, id));
      const ladder = ['Idle'];
      for (let epochs = 0; epochs < 8 && ladder.at(-1) !== 'Validator'; epochs += 1) {
        await runToNextEpoch();
        const epoch = await epochNow();
        const nodes = await chain.nodes(SUBNET);
        const seats = nodes.filter(
          (node) => ['Included', 'Validator'].includes(node.nodeClass) && node.startEpoch < epoch,
        );
        const proposer = hotkey(ids.indexOf((await chain.electedValidator(SUBNET, epoch)) as NodeId));
        const scores = seats.map((node) => ({ nodeId: node.id, score: ONE / 4n }));
        await place.include(chain.propose(proposer, { subnet: SUBNET, epoch, ...proposal(), scores }));
        const others = hotkeys.filter((key) => key !== proposer);
        await place.include(Promise.all(others.map((key) => chain.attest(key, SUBNET, epoch, ROOT))));
        await place.runTo(firstBlock(epoch + 1));
        const { nodeClass, reputation } = (await chain.node(SUBNET, id)) ?? assert.fail('it left');
        assert.equal(reputation, ONE);
        if (nodeClass !== ladder.at(-1)) ladder.push(nodeClass);
      }
      assert.deepEqual(ladder, ['Idle', 'Included', 'Validator']);
      assert.ok((await chain.electable(SUBNET)).includes(id));
    });

    it('waits for finality when asked', async () => {
      const { number: start } = await chain.head('best');
      let final = false;
      const work = chain.transfer(owner, coldkey.address, 1n, { until: 'finalized' }).then((receipt) => {
        final = true;
        return receipt;
      });
      await place.runTo(start + 1);
      assert.equal(final, false);
      for (let block = start + 2; !final && block < start + 20; block++) await place.runTo(block);
      const receipt = await work;
      assert.ok((await chain.head('finalized')).number >= receipt.block.number);
    });

    it('tells heads: the current one, then newer ones, until the signal', async () => {
      for (const kind of ['best', 'finalized'] as const) {
        const stop = new AbortController();
        const start = await chain.head(kind);
        const seen: number[] = [];
        for await (const head of chain.heads(kind, stop.signal)) {
          assert.equal(await chain.blockHash(head.number), head.hash);
          seen.push(head.number);
          if (seen.length === 1) await place.runTo((await chain.head('best')).number + 1);
          else stop.abort();
        }
        const [before = 0, after = 0] = seen;
        if (place.isAlive === true)
          assert.ok(start.number <= before && before < after, `${kind} ${start.number} ${seen}`);
        else assert.deepEqual(seen, [start.number, start.number + 1], kind);
      }
      const [finalized, best] = [await chain.head('finalized'), await chain.head('best')];
      const behind = best.number - finalized.number;
      assert.ok(place.isAlive === true ? behind >= 0 && behind < 10 : behind === 2, `finality is ${behind} behind`);
    });

    it('says how far apart blocks are', async () => {
      const { blockMs } = await chain.info();
      assert.ok(blockMs !== undefined && blockMs > 0);
      if (place.isAlive !== true) assert.equal(blockMs, 6_000);
    });

    it('tells the events of a subnet block by block, none twice and none left out', async () => {
      const { number: start } = await chain.head('finalized');
      const after = (start - 5) as BlockNumber;
      const stop = new AbortController();
      try {
        const told = chain.subnetEvents(SUBNET, { after }, stop.signal)[Symbol.asyncIterator]();
        const found: BlockEvents[] = [];
        const take = async () => {
          const { value } = await told.next();
          assert.ok(value !== undefined);
          found.push(value);
        };
        for (let i = 0; i < 5; i += 1) await take();
        const { block } = await place.include(chain.updateMisc(owner, SUBNET, new Uint8Array([0xa1, 0x61, 0x76, 2])));
        const wanted = block.number + 1;
        // Finality is two or three blocks behind.
        await place.runTo(wanted + 4);
        while ((found.at(-1)?.block.number ?? 0) < wanted) await take();
        const expected: BlockEvents[] = [];
        for (let number = after + 1; number <= wanted; number += 1) {
          const hash = await chain.blockHash(number as BlockNumber);
          assert.ok(hash !== undefined);
          const all = await chain.events(hash);
          const events = all.filter(({ data }) => data.subnetId === SUBNET);
          expected.push({ block: { number: number as BlockNumber, hash }, events });
        }
        assert.deepEqual(found, expected);
        const changed = found.find(({ block: { number } }) => number === block.number);
        assert.ok((changed?.events.length ?? 0) > 0, 'the change of the policy is among them');
        const others = chain.subnetEvents(99 as SubnetId, { after }, stop.signal)[Symbol.asyncIterator]();
        for (let i = 1; i <= 5; i += 1)
          assert.deepEqual((await others.next()).value, { block: found[i - 1]?.block, events: [] });
      } finally {
        stop.abort();
      }
    });

    it('refuses states that are not there, and ends with the signal', async () => {
      const nowhere = `0x${'ee'.repeat(32)}` as Hash;
      const isDiscarded = (error: unknown) => errorCode(error) === 'CHAIN_STATE_DISCARDED';
      await assert.rejects(chain.nodes(SUBNET, nowhere), isDiscarded);
      await assert.rejects(chain.subnet(SUBNET, nowhere), isDiscarded);
      await assert.rejects(chain.events(nowhere), isDiscarded);
      const why = new Error('no longer wanted');
      await assert.rejects(chain.nodes(SUBNET, undefined, AbortSignal.abort(why)), why);
      await assert.rejects(chain.transfer(owner, coldkey.address, 1n, { signal: AbortSignal.abort(why) }), why);
    });

    it('ends its streams and refuses when it is closed', async () => {
      const heads = chain.heads('best', new AbortController().signal)[Symbol.asyncIterator]();
      await heads.next();
      const next = heads.next();
      await chain.close();
      assert.equal((await next).done, true);
      await assert.rejects(chain.nodes(SUBNET), (error) => errorCode(error) === 'CHAIN_UNREACHABLE');
    });
  });
}
