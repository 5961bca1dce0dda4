// Founds a development network on its chain, or finds the one that its data directory holds.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Chain, Subnet } from '../chain/types.ts';
import { firstBlock } from '../consensus/phase.ts';
import type { DevChain } from '../devchain/devchain.ts';
import { cutShards } from '../model/manifest.ts';
import type { Model } from '../model/open.ts';
import { createIdentityFile, type OpenIdentity, openIdentity } from '../p2p/identity.ts';
import type { Epoch, SubnetId } from '../types/ids.ts';
import type { Policy } from '../types/subnet.ts';
import { findFreePorts, type NodePlan, planNodes } from './plan.ts';
import { setUpNetwork } from './setup.ts';
import { type DevnetState, DevnetStateError, readState, writeState } from './state.ts';

interface Size {
  readonly hosters: number;
  readonly attestors: number;
  readonly dataDir: string;
  /** What differs from a usual policy, of a new network. */
  readonly policy?: Partial<Policy>;
}

/** A registered node: who it is on the chain and on this machine. */
export interface Member {
  readonly id: number;
  readonly plan: NodePlan;
  readonly identity: OpenIdentity;
}

export interface Founded {
  readonly subnet: Subnet;
  readonly members: readonly Member[];
}

/** The network of the data directory, or a new one. */
export async function foundNetwork(
  options: Size,
  { chain, devchain, model }: { readonly chain: Chain; readonly devchain: DevChain; readonly model: Model },
  signal: AbortSignal,
): Promise<Founded> {
  const known = readState(options.dataDir);
  const cut = Object.keys(model.manifest.cuts)[0] ?? '';
  const shardCount = cutShards(model.manifest, cut).length;
  const size = { ...options, ...known };
  const ports =
    known?.nodes.map(({ port }) => port) ?? (await findFreePorts(options.hosters + options.attestors, Math.random));
  const plans = planNodes({ ...size, shardCount }, ports);
  const nodes = plans.map((plan) => ({ plan, identity: nodeIdentity(plan) }));
  const withIds = (ids: readonly number[]): Member[] => nodes.map((node, i) => ({ ...node, id: ids[i] ?? 0 }));
  if (known !== undefined) {
    const subnet = await readSubnet(chain, known.subnet as SubnetId, signal);
    return { subnet, members: withIds(known.nodes.map(({ id }) => id)) };
  }
  requireUntouched(devchain, options.dataDir);
  const stopAuthoring = devchain.authorOnDemand();
  try {
    const setup = await setUpNetwork(nodes, { chain, model, cut, policy: options.policy }, signal);
    const members = withIds(setup.ids);
    writeState(options.dataDir, stateOf(size, setup.subnet, members));
    return { subnet: await readSubnet(chain, setup.subnet, signal), members };
  } finally {
    stopAuthoring();
  }
}

/** A chain beyond its first block without `devnet.json`: the set-up was interrupted half way, and its names are taken. */
function requireUntouched(devchain: DevChain, dataDir: string): void {
  if (devchain.head().number <= 1) return;
  throw new DevnetStateError(
    { code: 'DEVNET_STATE_INVALID', file: dataDir },
    `the network in ${dataDir} was interrupted while it was set up; remove the folder to begin anew`,
  );
}

function stateOf({ hosters, attestors }: Size, subnet: number, members: readonly Member[]): DevnetState {
  return { subnet, hosters, attestors, nodes: members.map(({ id, plan }) => ({ id, port: plan.port })) };
}

async function readSubnet(chain: Chain, id: SubnetId, signal: AbortSignal): Promise<Subnet> {
  const subnet = await chain.subnet(id, undefined, signal);
  if (subnet === undefined)
    throw new RangeError(`subnet ${id} of devnet.json is not on this chain; begin anew with another --data-dir`);
  return subnet;
}

function nodeIdentity({ dataDir }: NodePlan): OpenIdentity {
  const file = join(dataDir, 'keys', 'peer_id');
  return existsSync(file) ? openIdentity(file) : createIdentityFile(file);
}

/** Authors set-up blocks at once up to the last one before the subnet's first live epoch; answers that epoch, or the current one of a resumed network. */
export async function skipToFirstEpoch(
  subnet: Subnet,
  devchain: DevChain,
  chain: Chain,
  signal: AbortSignal,
): Promise<{ readonly slot: number; readonly epochLength: number; readonly first: Epoch }> {
  const { epochLength } = await chain.info(signal);
  const { slot } = subnet;
  const start = subnet.startEpoch as Epoch;
  const missing = firstBlock(start, { slot, epochLength }) - 1 - devchain.head().number;
  if (missing > 0) await devchain.newBlock(missing);
  const now = Math.floor((devchain.head().number + 1 - slot) / epochLength);
  return { slot, epochLength, first: Math.max(start, now) as Epoch };
}
