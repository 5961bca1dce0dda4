// The dialect of Hypertensor's runtime on SCALE written by hand: what it asks, and what it makes of the answers.

import assert from 'node:assert/strict';
import { ApiPromise } from '@polkadot/api';
import { createDialect } from '../../../src/chain/dialects/choose.ts';
import type { Dialect, Reader } from '../../../src/chain/dialects/dialect.ts';
import { stateDiscarded } from '../../../src/chain/errors.ts';
import { toPlain } from '../../../src/chain/substrate/plain.ts';
import type { Runtime, RuntimeEvent, StorageEntry } from '../../../src/chain/substrate/runtime.ts';
import { ChainError } from '../../../src/chain/types.ts';
import {
  type Address,
  type Epoch,
  type Hash,
  type NodeId,
  ONE,
  type PeerId,
  type SubnetId,
} from '../../../src/types/ids.ts';
import { concatBytes, fromHex, toHex, u8, u32le, u64le, utf8 } from '../../../src/util/bytes.ts';

const SUBNET = 128_001 as SubnetId;
const EPOCH_LENGTH = 20;
const SLOT = 3;
const COLDKEY = `0x${'c0'.repeat(20)}` as Address;
const HASH = `0x${'ab'.repeat(32)}` as Hash;

const TYPES = {
  PeerInfo: { peerId: 'Bytes', multiaddr: 'Option<Bytes>' },
  NodeClass: { _enum: ['Registered', 'Idle', 'Included', 'Validator'] },
  Classification: { nodeClass: 'NodeClass', startEpoch: 'u32' },
  DelegateAccount: { accountId: '[u8; 20]', rate: 'u128' },
  SubnetNode: {
    id: 'u32',
    hotkey: '[u8; 20]',
    peerInfo: 'PeerInfo',
    bootnodePeerInfo: 'Option<PeerInfo>',
    clientPeerInfo: 'Option<PeerInfo>',
    classification: 'Classification',
    delegateRewardRate: 'u128',
    lastDelegateRewardRateUpdate: 'u32',
    unique: 'Option<Bytes>',
    nonUnique: 'Option<Bytes>',
    delegateAccount: 'Option<DelegateAccount>',
  },
  AttestEntry: { block: 'u32', attestorProgress: 'u128', rewardFactor: 'u128', data: 'Option<Bytes>' },
  Score: { subnetNodeId: 'u32', score: 'u128' },
  ConsensusData: {
    validatorId: 'u32',
    block: 'u32',
    validatorEpochProgress: 'u128',
    validatorRewardFactor: 'u128',
    attests: 'BTreeMap<u32, AttestEntry>',
    subnetNodes: 'Vec<SubnetNode>',
    prioritizeQueueNodeId: 'Option<u32>',
    removeQueueNodeId: 'Option<u32>',
    data: 'Vec<Score>',
    args: 'Option<Bytes>',
  },
  DistributionData: { validatorEmissions: 'u128', weights: 'BTreeMap<u32, u128>' },
  Emergency: { subnetNodeIds: 'Vec<u32>', targetEpochs: 'u32', maxEpoch: 'u32', totalEpochs: 'u32' },
};

/** By item: its type, and its default as SCALE where it has one. */
const ITEMS: Readonly<Record<string, readonly [type: string, fallback?: string]>> = {
  number: ['u32', '00000000'],
  subnetSlot: ['u32'],
  subnetMinStakeBalance: ['u128', toHex(u128(100n * ONE))],
  subnetNodeQueueEpochs: ['u32', '03000000'],
  subnetNodesData: ['SubnetNode', '00'.repeat(90)],
  registeredSubnetNodesData: ['SubnetNode', '00'.repeat(90)],
  subnetNodeReputation: ['u128', toHex(u128(ONE))],
  hotkeyOwner: ['[u8; 20]', '00'.repeat(20)],
  hotkeySubnetId: ['u32'],
  coldkeyHotkeys: ['BTreeSet<[u8; 20]>', '00'],
  accountSubnetStake: ['u128', '00'.repeat(16)],
  accountSubnetDelegateStakeShares: ['u128', '00'.repeat(16)],
  totalSubnetDelegateStakeShares: ['u128', '00'.repeat(16)],
  totalSubnetDelegateStakeBalance: ['u128', '00'.repeat(16)],
  subnetElectedValidator: ['u32'],
  subnetConsensusSubmission: ['ConsensusData'],
  minAttestationPercentage: ['u128', toHex(u128((ONE * 66n) / 100n))],
  finalSubnetEmissionWeights: ['DistributionData', '00'.repeat(17)],
  baseValidatorReward: ['u128', toHex(u128(ONE))],
  subnetOwnerPercentage: ['u128', toHex(u128((ONE * 23n) / 100n))],
  subnetNodeElectionSlots: ['Vec<u32>', '00'],
  emergencySubnetNodeElectionData: ['Emergency'],
};

function unused(): never {
  return assert.fail('not asked in these tests');
}

function u128(value: bigint): Uint8Array {
  return concatBytes(u64le(BigInt.asUintN(64, value)), u64le(value >> 64n));
}

/** A SCALE list of up to 63 items. */
function list(...items: readonly Uint8Array[]): Uint8Array {
  return concatBytes(u8(items.length << 2), ...items);
}

function some(value: Uint8Array): Uint8Array {
  return concatBytes(u8(1), value);
}

const NONE = u8(0);

function bytes(text: string): Uint8Array {
  return concatBytes(u8(text.length << 2), utf8(text));
}

type ClassNumber = 0 | 1 | 2 | 3;

function hotkeyOf(id: number): Address {
  return `0x${toHex(u8(id)).repeat(20)}` as Address;
}

function node(id: number, nodeClass: ClassNumber, startEpoch: number): Uint8Array {
  const peer = concatBytes(bytes(`peer${id}`), some(list(...[4, 127, 0, 0, 1, 6, 0x7a, 0x69].map((byte) => u8(byte)))));
  return concatBytes(
    u32le(id),
    fromHex(hotkeyOf(id)),
    ...[peer, NONE, some(concatBytes(bytes('client'), NONE))],
    ...[u8(nodeClass), u32le(startEpoch)],
    ...[u128(0n), u32le(0), NONE, NONE, NONE],
  );
}

interface SubmissionFacts {
  readonly voters: readonly number[];
  readonly scores: readonly bigint[];
  readonly nodes: readonly Uint8Array[];
}

/** Node 1 proposed in block 70, at a third of its bonus. */
function submission({ voters, scores, nodes }: SubmissionFacts): Uint8Array {
  const votes = voters.map((id) =>
    concatBytes(u32le(id), u32le(71), u128(0n), u128(ONE), id === 1 ? some(bytes('root')) : NONE),
  );
  return concatBytes(
    ...[u32le(1), u32le(70), u128(ONE / 10n), u128(ONE / 4n)],
    ...[list(...votes), list(...nodes), NONE, NONE],
    ...[list(...scores.map((score, i) => concatBytes(u32le(i + 1), u128(score)))), some(bytes('args'))],
  );
}

interface World {
  readonly stored: Record<string, Uint8Array>;
  readonly keys?: Record<string, readonly unknown[][]>;
  readonly events?: readonly RuntimeEvent[];
  readonly answer?: (question: readonly unknown[]) => boolean;
  /** Hashes whose state the endpoint no longer has. */
  readonly discarded?: readonly Hash[];
}

/** Knows no chain, only the types of this file. */
const { registry } = new ApiPromise({
  provider: {
    hasSubscriptions: true,
    isClonable: false,
    isConnected: false,
    clone: unused,
    connect: async () => undefined,
    disconnect: async () => undefined,
    on: () => () => undefined,
    send: unused,
    subscribe: unused,
    unsubscribe: unused,
  },
  types: TYPES,
  noInitWarn: true,
  initWasm: false,
});

/** Everything but `lacking` is there. */
function runtimeOf(world: World, lacking: readonly string[], registerArguments = ['hotkey']): Runtime {
  const decode = ({ item, args, sparse = false }: StorageEntry): unknown => {
    const [type, fallback] = ITEMS[item] ?? ['Null'];
    const found = world.stored[[item, ...args].join('/')];
    if (found === undefined && (sparse || fallback === undefined)) return undefined;
    return toPlain(registry.createType(type, found ?? fromHex(fallback ?? '')));
  };
  return {
    ...UNUSED,
    missing: ({ calls, storage, apis }) => [...calls, ...storage, ...apis].filter((name) => lacking.includes(name)),
    hasArgument: (_pallet, _call, argument) => registerArguments.includes(argument),
    constant: () => EPOCH_LENGTH,
    storage: (pallet, item, args) => ({ method: 'one', params: [], decode: () => decode({ pallet, item, args }) }),
    storages: (entries) => ({ method: 'several', params: [], decode: () => entries.map(decode) }),
    keys: (_pallet, item) => ({ method: 'keys', params: [], decode: () => world.keys?.[item] ?? [] }),
    api: (_api, _name, args) => ({ method: 'call', params: [], decode: () => world.answer?.(args) }),
    blockEvents: () => ({ method: 'events', params: [], decode: () => world.events ?? [] }),
  };
}

const UNUSED = {
  genesis: HASH,
  specName: 'foreign',
  specVersion: 7,
  symbol: 'TENSOR',
  decimals: 18,
  extrinsic: unused,
  extrinsicHash: unused,
  head: unused,
  header: unused,
  events: unused,
  dryRunError: unused,
  dispatchError: unused,
};

const NOT_OURS = ['activateSubnetNode', 'subnetConsensusResult', 'registerValidator', 'updateMisc'];

function open(world: World): { readonly dialect: Dialect; readonly reader: Reader } {
  const readerAt = (at?: Hash): Reader => ({
    async ask({ decode }, parse) {
      if (at !== undefined && world.discarded?.includes(at)) throw stateDiscarded(at);
      return parse(decode(null));
    },
    pinned: async () => readerAt(at),
    at: readerAt,
    blockHash: async (number) => (number === SETTLED ? HASH : undefined),
  });
  return { dialect: createDialect(runtimeOf(world, NOT_OURS)), reader: readerAt() };
}

const at = (epoch: number): Epoch => epoch as Epoch;
/** The last block of epoch 3 and the one in which it is settled. */
const SETTLED = 4 * EPOCH_LENGTH + SLOT;

describe("dialect of Hypertensor's runtime", () => {
  describe('is chosen by the metadata', () => {
    const refusal = (lacking: readonly string[], registerArguments: string[]) => {
      try {
        createDialect(runtimeOf({ stored: {} }, lacking, registerArguments));
      } catch (error) {
        assert.ok(error instanceof ChainError && error.facts.code === 'CHAIN_UNSUPPORTED', String(error));
        return { missing: error.facts.missing, message: error.message };
      }
      return assert.fail('not refused');
    };

    it('ours, where the hotkey activates its node', () => {
      assert.equal(createDialect(runtimeOf({ stored: {} }, [])).name, 'tessera');
    });
    it('theirs, where nodes activate from a queue', () => {
      const dialect = createDialect(runtimeOf({ stored: {} }, NOT_OURS));
      assert.equal(dialect.name, 'hypertensor-f26');
      assert.deepEqual(dialect.capabilities, {
        explicitActivation: false,
        consensusResult: false,
        coldkeyPerHotkey: false,
      });
      assert.equal(dialect.activateNode, undefined);
      assert.equal(dialect.updateMisc(SUBNET, u8(1)).name, 'ownerUpdateMisc');
    });
    it('refuses the newest one by name, and says what to do', () => {
      const lacking = NOT_OURS.filter((name) => name !== 'registerValidator');
      const { missing, message } = refusal(lacking, ['validator_id', 'hotkey']);
      assert.deepEqual(missing, ['hypertensor-j26']);
      assert.match(message, /foreign 7 .*validator ids.*use an endpoint/);
      assert.deepEqual(refusal(NOT_OURS, ['validator_id']).missing, ['hypertensor-j26']);
    });
    it('names what a strange one lacks', () => {
      assert.deepEqual(refusal([...NOT_OURS, 'attest'], ['hotkey']).missing, ['attest']);
      const strange = ['registerValidator', 'activateSubnetNode', 'attest'];
      assert.deepEqual(refusal(strange, []).missing, ['activateSubnetNode', 'attest']);
      assert.deepEqual(
        refusal(['registerValidator', 'attest'], ['hotkey']).missing,
        ['attest'],
        'ours of another version',
      );
    });
  });

  it('reads nodes, also those that wait, whose start it reckons from the queue', async () => {
    const { dialect, reader } = open({
      stored: {
        [`subnetNodesData/${SUBNET}/2`]: node(2, 3, 5),
        [`registeredSubnetNodesData/${SUBNET}/7`]: node(7, 0, 6),
        [`subnetNodeReputation/${SUBNET}/2`]: u128(ONE / 2n),
        [`hotkeyOwner/${hotkeyOf(2)}`]: fromHex(COLDKEY),
        [`hotkeyOwner/${hotkeyOf(7)}`]: fromHex(hotkeyOf(9)),
        [`accountSubnetStake/${hotkeyOf(2)}/${SUBNET}`]: u128(100n * ONE),
      },
      keys: {
        subnetNodeIdHotkey: [
          [SUBNET, 7],
          [SUBNET, 2],
        ],
      },
    });
    const nodes = await dialect.nodes(SUBNET)(reader);
    assert.deepEqual(nodes, [
      {
        id: 2,
        hotkey: hotkeyOf(2),
        coldkey: COLDKEY,
        peerInfo: { peer: 'peer2', multiaddr: '/ip4/127.0.0.1/tcp/31337' },
        clientInfo: { peer: 'client' },
        nodeClass: 'Validator',
        startEpoch: 5,
        stake: 100n * ONE,
        reputation: ONE / 2n,
      },
      {
        id: 7,
        hotkey: hotkeyOf(7),
        coldkey: hotkeyOf(9),
        peerInfo: { peer: 'peer7', multiaddr: '/ip4/127.0.0.1/tcp/31337' },
        clientInfo: { peer: 'client' },
        nodeClass: 'Registered',
        startEpoch: 10,
        stake: 0n,
        reputation: ONE,
      },
    ]);
    assert.deepEqual(await dialect.node(SUBNET, 7 as NodeId)(reader), nodes[1]);
    assert.equal(await dialect.node(SUBNET, 3 as NodeId)(reader), undefined, 'the default of the map is no node');
  });

  it('lets those vote who were validators when the proposal was made', async () => {
    const { dialect, reader } = open({
      stored: {
        [`subnetConsensusSubmission/${SUBNET}/3`]: submission({
          voters: [1, 2],
          scores: [5n, 0n, 7n],
          nodes: [node(4, 3, 4), node(3, 2, 1), node(2, 3, 3), node(1, 3, 0), node(5, 1, 1)],
        }),
      },
    });
    const found = await dialect.submission(SUBNET, at(3))(reader);
    assert.deepEqual(found?.validators, [1, 2]);
    assert.equal(found.proposer, 1);
    assert.deepEqual(
      found.nodes.map(({ id, nodeClass }) => [id, nodeClass]),
      [
        [1, 'Validator'],
        [2, 'Validator'],
        [3, 'Included'],
        [4, 'Validator'],
        [5, 'Idle'],
      ],
    );
    assert.deepEqual(
      found.scores,
      [
        { nodeId: 1, score: 5n },
        { nodeId: 3, score: 7n },
      ],
      'without those that were only named',
    );
    assert.deepEqual(found.args, utf8('args'));
    assert.deepEqual(found.attests, [
      { nodeId: 1, block: 71, rewardFactor: ONE, data: utf8('root') },
      { nodeId: 2, block: 71, rewardFactor: ONE, data: new Uint8Array() },
    ]);
    assert.equal(await dialect.submission(SUBNET, at(4))(reader), undefined);
  });

  it('takes the temporary validators of an owner for the electable ones', async () => {
    const slots = { [`subnetNodeElectionSlots/${SUBNET}`]: list(u32le(9), u32le(2)) };
    const usual = open({ stored: slots });
    assert.deepEqual(await usual.dialect.electable(SUBNET)(usual.reader), [2, 9]);
    const emergency = concatBytes(list(u32le(4), u32le(1)), u32le(1), u32le(2), u32le(3));
    const special = open({ stored: { ...slots, [`emergencySubnetNodeElectionData/${SUBNET}`]: emergency } });
    assert.deepEqual(await special.dialect.electable(SUBNET)(special.reader), [1, 4]);
  });

  describe('tells how an epoch ended', () => {
    const three = [1, 2, 3].map((id) => node(id, 3, 0));
    const rewards: RuntimeEvent = {
      pallet: 'Network',
      name: 'SubnetRewards',
      extrinsic: undefined,
      data: {
        subnetId: SUBNET,
        nodeRewards: [
          [1, 10n],
          [2, 20n],
        ],
        delegateStakeReward: 5n,
        nodeDelegateStakeRewards: [[1, 3n]],
        nodeDelegateAccountAllocations: [[1, [COLDKEY, 2n]]],
      },
    };
    const elsewhere = { ...rewards, data: { ...rewards.data, subnetId: 1, delegateStakeReward: 99n } };
    const slashing: RuntimeEvent = {
      pallet: 'Network',
      name: 'Slashing',
      extrinsic: undefined,
      data: { subnetId: SUBNET, accountId: COLDKEY, amount: 77n },
    };

    function world(voters: readonly number[] | undefined, block: number, events: readonly RuntimeEvent[]): World {
      const facts = { voters: voters ?? [], scores: [1n, 2n], nodes: three };
      return {
        events,
        stored: {
          number: u32le(block),
          [`subnetSlot/${SUBNET}`]: u32le(SLOT),
          [`subnetElectedValidator/${SUBNET}/3`]: u32le(1),
          // a million planck for all, of which this subnet has 10 %
          'finalSubnetEmissionWeights/4': concatBytes(
            u128(1_000_000n),
            list(concatBytes(u32le(SUBNET), u128(ONE / 10n))),
          ),
          ...(voters === undefined ? {} : { [`subnetConsensusSubmission/${SUBNET}/3`]: submission(facts) }),
        },
      };
    }
    const ended = (found: World) => {
      const { dialect, reader } = open(found);
      return dialect.result(SUBNET, at(3))(reader);
    };
    /** Nodes, delegators, the bonus of a quarter TENSOR, the owner's 23 % of 100 000. */
    const MINTED = 10n + 20n + 5n + 3n + 2n + ONE / 4n + 23_000n;

    it('accepted, with all that was minted for it', async () => {
      const found = await ended(world([1, 2], SETTLED, [elsewhere, rewards]));
      assert.deepEqual(found, {
        outcome: 'Accepted',
        attestationRatio: (ONE * 2n) / 3n,
        minted: MINTED,
        slashed: 0n,
        bonus: ONE / 4n,
      });
      assert.deepEqual(await ended(world([1, 2], SETTLED + 40, [elsewhere, rewards])), found, 'later too');
    });
    it('accepted with exactly the votes that it needs', async () => {
      const found = world([1, 2], SETTLED, [rewards]);
      const exact = { ...found.stored, minAttestationPercentage: u128((ONE * 2n) / 3n) };
      assert.equal((await ended({ ...found, stored: exact }))?.outcome, 'Accepted');
      const more = { ...found.stored, minAttestationPercentage: u128((ONE * 2n) / 3n + 1n) };
      assert.equal((await ended({ ...found, stored: more }))?.outcome, 'Rejected');
    });
    it('rejected, with what it cost', async () => {
      const found = await ended(world([1], SETTLED, [slashing]));
      assert.deepEqual(found, { outcome: 'Rejected', attestationRatio: ONE / 3n, minted: 0n, slashed: 77n });
    });
    it('empty, which pays the proposer and the owner all the same', async () => {
      const found = world([1, 2, 3], SETTLED, [rewards]);
      const facts = { voters: [1, 2, 3], scores: [0n, 0n], nodes: three };
      const key = `subnetConsensusSubmission/${SUBNET}/3`;
      const result = await ended({ ...found, stored: { ...found.stored, [key]: submission(facts) } });
      assert.deepEqual(result, {
        outcome: 'Empty',
        attestationRatio: ONE,
        minted: MINTED,
        slashed: 0n,
        bonus: ONE / 4n,
      });
    });
    it('absent without a proposal, and nothing while it is open or nobody was elected', async () => {
      const found = await ended(world(undefined, SETTLED, []));
      assert.deepEqual(found, { outcome: 'Absent', attestationRatio: 0n, minted: 0n, slashed: 0n });
      assert.equal(await ended(world([1, 2], SETTLED - 1, [])), undefined);
      const { dialect, reader } = open(world([1, 2], SETTLED, []));
      assert.equal(await dialect.result(SUBNET, at(2))(reader), undefined);
    });
    it('without amounts when the endpoint has forgotten the block that says them', async () => {
      const expected = { outcome: 'Accepted', attestationRatio: ONE, minted: undefined, slashed: undefined };
      const old = world([1, 2, 3], SETTLED + 300, [rewards]);
      assert.deepEqual(await ended({ ...old, discarded: [HASH] }), expected);
    });
  });

  it('asks for nine tenths of the minimum stake, so that one slash cuts nobody off', async () => {
    const peer = '12D3KooW' as PeerId;
    const isThis = (question: readonly unknown[]) =>
      JSON.stringify(question.map(String)) ===
      JSON.stringify([`${SUBNET}`, `0x${toHex(utf8(peer))}`, '3', `${90n * ONE}`]);
    const { dialect, reader } = open({ stored: {}, answer: isThis });
    assert.equal(await dialect.provesStake(SUBNET, peer, 3, undefined)(reader), true);
    assert.equal(await dialect.provesStake(SUBNET, peer, 2, undefined)(reader), false);
    assert.equal(await dialect.provesStake(SUBNET, peer, 3, 90n * ONE)(reader), true, 'as much, said by the caller');
    assert.equal(await dialect.provesStake(SUBNET, peer, 3, 90n * ONE + 1n)(reader), false);
  });

  it('finds stakes by hotkeys, also of nodes that are gone, and what shares are worth', async () => {
    const [first, second, third] = [hotkeyOf(1), hotkeyOf(2), hotkeyOf(3)];
    const { dialect, reader } = open({
      stored: {
        [`coldkeyHotkeys/${COLDKEY}`]: list(...[first, second, third].map(fromHex)),
        [`hotkeySubnetId/${first}`]: u32le(SUBNET),
        [`hotkeySubnetId/${second}`]: u32le(9),
        [`accountSubnetStake/${second}/9`]: u128(4n),
        [`accountSubnetDelegateStakeShares/${COLDKEY}/${SUBNET}`]: u128(500n),
        [`totalSubnetDelegateStakeShares/${SUBNET}`]: u128(990n),
        [`totalSubnetDelegateStakeBalance/${SUBNET}`]: u128(1_999n),
      },
      keys: {
        accountSubnetDelegateStakeShares: [
          [COLDKEY, SUBNET],
          [COLDKEY, 9],
        ],
      },
    });
    assert.deepEqual(await dialect.stakes(COLDKEY)(reader), [{ subnet: 9, hotkey: second, amount: 4n }]);
    assert.deepEqual(await dialect.delegations(COLDKEY)(reader), [{ subnet: SUBNET, shares: 500n, balance: 1000n }]);
  });
});
