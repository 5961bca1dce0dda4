// Which nodes a transaction has taken out of a subnet.

import type { NodeId } from '../types/ids.ts';
import type { Receipt } from './types.ts';

/** In the order of the events, which is that of their ids. */
export function removedIn({ events }: Pick<Receipt, 'events'>): readonly NodeId[] {
  const removed = events.filter(({ name }) => name === 'SubnetNodeRemoved');
  return removed.map(({ data }) => data.subnetNodeId).filter((id) => typeof id === 'number') as NodeId[];
}
