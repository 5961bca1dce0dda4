import assert from 'node:assert/strict';
import type { Chain, Head, SubnetNode } from '../../../src/chain/types.ts';
import { createMembers } from '../../../src/node/members.ts';
import type { PeerId, SubnetId } from '../../../src/types/ids.ts';
import type { Access, NodeClass } from '../../../src/types/subnet.ts';
import { silentLog } from '../../../src/util/log.ts';

const SUBNET = 128_001 as SubnetId;
const peer = (name: string): PeerId => name as PeerId;

function node(name: string, nodeClass: NodeClass, client?: string): SubnetNode {
  const clientInfo = client === undefined ? {} : { clientInfo: { peer: peer(client) } };
  return { peerInfo: { peer: peer(name) }, nodeClass, ...clientInfo } as SubnetNode;
}

/** A chain that gives out these heads and, for each reading, the next of these answers; `afterHead` is called when a head has been dealt with. */
function chainOf(heads: readonly number[], answers: (SubnetNode[] | Error)[], afterHead: () => void = () => undefined) {
  const readAt: string[] = [];
  const chain: Pick<Chain, 'heads' | 'nodes'> = {
    async *heads() {
      for (const number of heads) {
        yield { number, hash: `0x${number}` } as Head;
        afterHead();
      }
    },
    nodes: async (_subnet, at) => {
      readAt.push(String(at));
      const answer = answers.shift() ?? [];
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  return { chain, readAt };
}

function membersOf(access: Access, nodes: SubnetNode[], chain = chainOf([], []).chain) {
  return createMembers({ subnet: SUBNET, access, nodes }, { chain, log: silentLog });
}

describe('members of the subnet', () => {
  it('are the nodes of class Idle and above', () => {
    const members = membersOf('open', [node('a', 'Registered'), node('b', 'Idle'), node('c', 'Validator')]);
    assert.deepEqual(members.peers(), ['b', 'c']);
    assert.equal(members.isMember(peer('a')), false);
    assert.equal(members.isMember(peer('c')), true);
  });

  it('may ask as the policy says: anybody, or whoever the chain knows, clients of nodes included', () => {
    const nodes = [node('a', 'Registered', 'a-client')];
    assert.equal(membersOf('open', nodes).mayAsk(peer('stranger')), true);
    const registered = membersOf('registered', nodes);
    const asked = ['a', 'a-client', 'stranger'].map((name) => registered.mayAsk(peer(name)));
    assert.deepEqual(asked, [true, true, false]);
    assert.equal(membersOf('private', nodes).mayAsk(peer('has the key')), true);
  });

  it('are found where the chain says', () => {
    const at = {
      peerInfo: { peer: peer('a'), multiaddr: '/ip4/1.2.3.4/tcp/1/p2p/a' },
      nodeClass: 'Idle',
    } as SubnetNode;
    const members = membersOf('open', [at, node('b', 'Idle')]);
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => members.addressesOf(peer(name))),
      [['/ip4/1.2.3.4/tcp/1/p2p/a'], [], []],
    );
  });

  it('have the stake of their node, under each of its peers', () => {
    const members = membersOf('open', [{ ...node('a', 'Idle', 'a-client'), stake: 7n }]);
    assert.deepEqual(
      ['a', 'a-client', 'stranger'].map((name) => members.stakeOf(peer(name))),
      [7n, 7n, 0n],
    );
  });

  it('are read at finalized heads, some blocks apart, and stay as they were through an outage', async () => {
    const seen: (readonly PeerId[])[] = [];
    const { chain, readAt } = chainOf([10, 11, 14, 15, 20], [[node('b', 'Idle')], new Error('down'), []], () =>
      seen.push(members.peers()),
    );
    const members = membersOf('open', [], chain);
    await members.run(new AbortController().signal);
    assert.deepEqual(readAt, ['0x10', '0x15', '0x20']);
    assert.deepEqual(seen, [['b'], ['b'], ['b'], ['b'], []]);
  });
});
