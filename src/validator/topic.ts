// The gossip topic of a subnet's records (protocol.md 10); announcements have one of their own.

import type { SubnetId } from '../types/ids.ts';

export function recordTopic(subnet: SubnetId): string {
  return `/tessera/records/1/${subnet}`;
}
