// Facts of an epoch: read once, when h(e) is final, and never asked for again (protocol.md 1, 2).

import assert from 'node:assert/strict';
import type { Head, Subnet, SubnetNode } from '../../../src/chain/types.ts';
import { createMemoryDisk, createMemoryJournal, killHolder } from '../../../src/store/memory.ts';
import type { Address, BlockNumber, Epoch, Hash, NodeId, PeerId, SubnetId } from '../../../src/types/ids.ts';
import type { NodeClass } from '../../../src/types/subnet.ts';
import { silentLog } from '../../../src/util/log.ts';
import { createRosters, type RostersDeps } from '../../../src/validator/roster.ts';
import { encodePolicy, POLICY_DEFAULTS } from '../../../src/wire/policy.ts';

const GENESIS = `0x${'01'.repeat(32)}` as Hash;
const SUBNET = 128_001 as SubnetId;
const OPTIONS = { genesis: GENESIS, subnet: SUBNET, clock: { slot: 3, epochLength: 20 } };
const E = 7 as Epoch;
const policy = { ...POLICY_DEFAULTS, manifest: '04'.repeat(32), cut: 'c' };
const { signal } = new AbortController();

function node(id: number, nodeClass: NodeClass, startEpoch = 0): SubnetNode {
  return {
    id: id as NodeId,
    hotkey: `0x${'0'.repeat(38)}${id}${id}` as Address,
    coldkey: '0x' as Address,
    peerInfo: { peer: `peer${id}` as PeerId },
    nodeClass,
    startEpoch: startEpoch as Epoch,
    stake: 1n,
    reputation: 1n,
  };
}

function hashOf(block: number): Hash {
  return `0x${block.toString(16).padStart(64, '0')}` as Hash;
}

function world(change: { final?: number; misc?: Uint8Array | ((block: number) => Uint8Array); subnet?: boolean } = {}) {
  const { final = 143, misc = encodePolicy(policy), subnet = true } = change;
  const reads: string[] = [];
  const chain: RostersDeps['chain'] = {
    head: async () => ({ number: final as BlockNumber, hash: GENESIS }) satisfies Head,
    blockHash: async (block) => hashOf(block),
    async subnet(_, at) {
      reads.push(`${at}`);
      return subnet ? ({ misc: typeof misc === 'function' ? misc(Number(at)) : misc } as Subnet) : undefined;
    },
    nodes: async () => [
      node(5, 'Validator'),
      node(1, 'Included', 7),
      node(2, 'Idle'),
      node(3, 'Validator', 8),
      node(4, 'Registered'),
    ],
    electable: async () => [5, 3] as NodeId[],
    electedValidator: async (_, epoch) => (epoch === E ? (5 as NodeId) : undefined),
  };
  return { chain, reads };
}

describe('roster', () => {
  const disk = createMemoryDisk();
  const journal = () => {
    killHolder(disk);
    return createMemoryJournal({ genesis: GENESIS, disk });
  };

  beforeEach(() => disk.facts.clear());

  it('waits until h(e) is final', async () => {
    const rosters = createRosters(OPTIONS, { ...world({ final: 142 }), journal: journal(), log: silentLog });
    assert.equal(await rosters.read(E, signal), undefined);
    assert.equal(rosters.known(E), undefined);
  });

  it('seats the included that have started, by id, and knows who may be elected', async () => {
    const { chain, reads } = world();
    const rosters = createRosters(OPTIONS, { chain, journal: journal(), log: silentLog });
    const facts = await rosters.read(E, signal);
    assert.deepEqual(
      facts?.roster.nodes.map(({ id }) => id),
      [1, 5],
    );
    assert.deepEqual(facts?.roster.validators, [3, 5]);
    assert.equal(facts?.roster.live, true);
    assert.deepEqual(facts?.policy, policy);
    assert.deepEqual(reads, [hashOf(123), hashOf(143)], 'h(e-1) for the policy, h(e) for the rest');
    assert.equal(rosters.hasSeat('peer5' as PeerId), true);
    assert.equal(rosters.hasSeat('peer2' as PeerId), false);
  });

  it('remembers through a restart, when the state is long pruned', async () => {
    const first = createRosters(OPTIONS, { ...world(), journal: journal(), log: silentLog });
    const facts = await first.read(E, signal);
    const { chain, reads } = world();
    const second = createRosters(OPTIONS, { chain, journal: journal(), log: silentLog });
    assert.deepEqual(second.known(E), facts);
    assert.deepEqual(await second.read(E, signal), facts);
    assert.deepEqual(reads, []);
  });

  it('goes by a policy from the second epoch after the change on', async () => {
    const changedAt = 130;
    const next = { ...policy, challengeTokens: 32 };
    const misc = (block: number) => encodePolicy(block < changedAt ? policy : next);
    const rosters = createRosters(OPTIONS, { ...world({ final: 300, misc }), journal: journal(), log: silentLog });
    const tokens = async (epoch: number) => (await rosters.read(epoch as Epoch, signal))?.policy?.challengeTokens;
    // 130 lies in epoch 6 (123..142).
    assert.deepEqual([await tokens(6), await tokens(7), await tokens(8)], [16, 16, 32]);
  });

  it('takes the same for proven as for read, and nothing else', async () => {
    const { chain } = world();
    const state = {
      misc: encodePolicy(policy),
      nodes: await chain.nodes(SUBNET),
      electable: await chain.electable(SUBNET),
      elected: await chain.electedValidator(SUBNET, E),
    };
    const [read, told] = [journal(), createMemoryJournal({ genesis: GENESIS })];
    const reading = createRosters(OPTIONS, { chain, journal: read, log: silentLog });
    const facts = await reading.read(E, signal);
    const proven = createRosters(OPTIONS, { chain, journal: told, log: silentLog });
    assert.equal(await proven.adoptProven((E - 1) as Epoch, state, signal), true);
    assert.equal(await proven.adoptProven(E, state, signal), true);
    assert.deepEqual(proven.known(E), facts);
    assert.deepEqual(proven.saved(E), reading.saved(E));
    assert.equal(await reading.adoptProven(E, state, signal), true);
    assert.equal(await reading.adoptProven(E, { ...state, electable: [5 as NodeId] }, signal), false);
    assert.equal(await reading.adoptProven(E, undefined, signal), false);
    assert.deepEqual(reading.known(E), facts);
    assert.equal(await proven.adoptProven((E + 1) as Epoch, state, signal), false, 'not final');
    assert.equal(proven.saved((E + 1) as Epoch), undefined);
  });

  it('has an empty roster where there was no subnet yet, and before the first epoch', async () => {
    const rosters = createRosters(OPTIONS, { ...world({ subnet: false }), journal: journal(), log: silentLog });
    const facts = await rosters.read(E, signal);
    assert.deepEqual([facts?.roster.nodes, facts?.roster.live, facts?.policy], [[], false, undefined]);
    assert.equal((await rosters.read(-1 as Epoch, signal))?.roster.live, false);
  });

  it('has no policy where the owner wrote something else', async () => {
    const rosters = createRosters(OPTIONS, {
      ...world({ misc: new Uint8Array([1]) }),
      journal: journal(),
      log: silentLog,
    });
    const facts = await rosters.read(E, signal);
    assert.equal(facts?.policy, undefined);
    assert.equal(facts?.roster.nodes.length, 2);
  });
});
