// Sets a development network up on a fresh chain: subnet, nodes, stake, activation, by the same calls that an operator types.
// Blocks are authored as fast as the transactions come.

import { openSigner } from '../chain/accounts.ts';
import type { Chain } from '../chain/types.ts';
import type { Model } from '../model/open.ts';
import type { Identity } from '../p2p/types.ts';
import { type NodeId, ONE, type SubnetId } from '../types/ids.ts';
import type { Policy } from '../types/subnet.ts';
import { encodePolicy, POLICY_DEFAULTS } from '../wire/policy.ts';
import { type NodePlan, needsFunds } from './plan.ts';

/** alith: owner of the subnet and purse of accounts without funds of their own. */
const OWNER = '//dev:0';
const STAKE = 100n * ONE;
const HOTKEY_FUNDS = ONE;
const MAX_BURN = ONE / 100n;
const MAX_SUBNET_COST = 1_000_000n * ONE;

export interface Setup {
  readonly subnet: SubnetId;
  /** In the order of the members. */
  readonly ids: readonly NodeId[];
}

interface Member {
  readonly plan: NodePlan;
  readonly identity: Identity;
}

/** Registers the subnet and all nodes and activates them; the first node is the boot node. */
export async function setUpNetwork(
  members: readonly Member[],
  deps: {
    readonly chain: Chain;
    readonly model: Model;
    readonly cut: string;
    /** What differs from a usual policy. */
    readonly policy?: Partial<Policy> | undefined;
  },
  signal: AbortSignal,
): Promise<Setup> {
  const { chain } = deps;
  const subnet = await registerSubnet(members, deps, signal);
  await fundHotkeys(members, chain, signal);
  // Node ids follow the order of registration, so this is one after the other.
  const ids: NodeId[] = [];
  for (const member of members) {
    const id = await registerNode(member, subnet, chain, signal);
    await chain.activateNode(await openSigner(member.plan.hotkey), subnet, id, { signal });
    ids.push(id);
  }
  await chain.activateSubnet(await openSigner(OWNER), subnet, { signal });
  return { subnet, ids };
}

async function registerSubnet(
  members: readonly Member[],
  { chain, model, cut, policy }: Parameters<typeof setUpNetwork>[1],
  signal: AbortSignal,
): Promise<SubnetId> {
  const first = members[0];
  if (first === undefined) throw new RangeError('a network needs at least one node');
  const { subnet } = await chain.registerSubnet(
    await openSigner(OWNER),
    {
      name: 'stories',
      repo: 'tessera/stories',
      description: `${model.manifest.name}, a development network`,
      misc: encodePolicy({ ...POLICY_DEFAULTS, ...policy, manifest: model.hash, cut }),
      minStake: STAKE,
      maxStake: 10n * STAKE,
      delegateStakePercentage: ONE / 10n,
      bootnodes: new Map([[first.identity.peer, multiaddrOf(first)]]),
      maxCost: MAX_SUBNET_COST,
    },
    { signal },
  );
  return subnet;
}

async function fundHotkeys(members: readonly Member[], chain: Chain, signal: AbortSignal): Promise<void> {
  const owner = await openSigner(OWNER);
  for (const { plan } of members.filter((member) => needsFunds(member.plan))) {
    const { address } = await openSigner(plan.hotkey);
    await chain.transfer(owner, address, HOTKEY_FUNDS, { signal });
  }
}

async function registerNode(member: Member, subnet: SubnetId, chain: Chain, signal: AbortSignal): Promise<NodeId> {
  const { plan, identity } = member;
  const { address } = await openSigner(plan.hotkey);
  const { node } = await chain.registerNode(
    await openSigner(plan.coldkey),
    {
      subnet,
      hotkey: address,
      peerInfo: { peer: identity.peer, multiaddr: multiaddrOf(member) },
      delegateRewardRate: 0n,
      stake: STAKE,
      maxBurn: MAX_BURN,
    },
    { signal },
  );
  return node;
}

function multiaddrOf({ plan, identity }: Member): string {
  return `/ip4/127.0.0.1/tcp/${plan.port}/p2p/${identity.peer}`;
}
