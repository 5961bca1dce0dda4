// Registrations of the chain's twin that nobody activated in time (chain.md 3.4, call 201).

import type { SubnetId } from '../../types/ids.ts';
import { unbond } from './money.ts';
import {
  type Call,
  ensure,
  epochIn,
  event,
  Refusal,
  type Transition,
  type TwinNode,
  type TwinState,
  type TwinSubnet,
  withLoose,
  withoutEntry,
  withSubnet,
} from './state.ts';

const SWEPT_BY_CLEANING = 16;

export function cleanExpired(id: SubnetId): Call {
  return (state) => {
    const subnet = state.subnets.get(id);
    ensure(subnet !== undefined, 'InvalidSubnetId');
    const swept = sweepExpired(state, subnet, SWEPT_BY_CLEANING);
    ensure(swept.events.length > 0, 'NoExpiredNodes');
    return swept;
  };
}

/** Takes out up to `most` expired nodes, lowest id first; their stake begins to cool down for the coldkey. */
export function sweepExpired(state: TwinState, subnet: TwinSubnet, most: number): Transition {
  if (subnet.state !== 'Active') return { state, events: [] };
  const epoch = epochIn(state, subnet);
  const expired = [...subnet.nodes.values()]
    .filter((node) => node.nodeClass === 'Registered' && epoch > node.startEpoch + subnet.activationGraceEpochs)
    .sort((a, b) => a.id - b.id)
    .slice(0, most);
  const left = expired.reduce((nodes, { id }) => withoutEntry(nodes, id), subnet.nodes);
  return {
    state: expired.reduce((so, node) => unbondAll(so, subnet.id, node), withSubnet(state, { ...subnet, nodes: left })),
    events: expired.map(({ id }) =>
      event('SubnetNodeRemoved', { subnetId: subnet.id, subnetNodeId: id, reason: 'Expired' }),
    ),
  };
}

/** Where the coldkey's ledger is full, the stake stays under the hotkey. */
function unbondAll(state: TwinState, subnet: SubnetId, { hotkey, coldkey, stake }: TwinNode): TwinState {
  try {
    return withLoose(unbond(state, coldkey, stake).state, subnet, hotkey, 0n);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return withLoose(state, subnet, hotkey, stake);
  }
}
