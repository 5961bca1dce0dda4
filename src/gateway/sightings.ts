// Records of epochs as they go by on gossip: who said what. Only signed ones of registered nodes are kept, and only of the last epochs. This is
// what explains a score to a person; it decides nothing.

import type { NodeId, PeerId, SubnetId } from '../types/ids.ts';
import type { EpochKind } from '../types/record.ts';
import { equalBytes } from '../util/bytes.ts';
import type { Verify } from '../wire/envelope.ts';
import { decodeRecord, signedMessage } from '../wire/record.ts';

/** Epochs looked back on. */
export const SHOWN_EPOCHS = 12;

export interface Sightings {
  /** Whether the record is one of a node of this subnet, said for the first time. */
  admit(bytes: Uint8Array, now: { readonly epoch: number; readonly peers: ReadonlyMap<NodeId, PeerId> }): boolean;
  /** Nodes that were heard in an epoch, by kind of record. */
  of(epoch: number): Readonly<Partial<Record<EpochKind, readonly number[]>>>;
}

export function createSightings(
  options: { readonly subnet: SubnetId; readonly genesis: Uint8Array },
  verify: Verify,
): Sightings {
  const epochs = new Map<number, Map<EpochKind, Set<NodeId>>>();

  function note(epoch: number, kind: EpochKind, node: NodeId, current: number): boolean {
    const kinds = epochs.get(epoch) ?? new Map<EpochKind, Set<NodeId>>();
    const nodes = kinds.get(kind) ?? new Set<NodeId>();
    if (nodes.has(node)) return false;
    epochs.set(epoch, kinds.set(kind, nodes.add(node)));
    for (const old of epochs.keys()) if (old <= current - SHOWN_EPOCHS) epochs.delete(old);
    return true;
  }

  return {
    admit(bytes, { epoch, peers }) {
      const decoded = decodeRecord(bytes);
      if (!decoded.ok || decoded.record.body.kind === 'an') return false;
      const { body, bodyBytes, signature } = decoded.record;
      const peer = peers.get(body.node);
      const ours = body.subnet === options.subnet && equalBytes(body.genesis, options.genesis);
      const recent = body.epoch <= epoch + 1 && body.epoch > epoch - SHOWN_EPOCHS;
      if (!ours || !recent || peer === undefined) return false;
      return verify(peer, signedMessage(bodyBytes), signature) && note(body.epoch, body.kind, body.node, epoch);
    },
    of: (epoch) =>
      Object.fromEntries(
        [...(epochs.get(epoch) ?? [])].map(([kind, nodes]) => [kind, [...nodes].sort((a, b) => a - b)]),
      ),
  };
}

/** Why a node has its score, in words: from what was heard of it in the epoch that was scored. Pure. */
export function scoreReason(
  { node, share, hosts }: { readonly node: number; readonly share: number; readonly hosts: boolean },
  heard: Readonly<Partial<Record<EpochKind, readonly number[]>>>,
): string {
  const said = (kind: EpochKind): boolean => heard[kind]?.includes(node) ?? false;
  if (Object.keys(heard).length === 0) return 'not watched from here';
  if (share > 0) return hosts && said('hr') ? 'answered its challenge and scored others' : 'scored others in agreement';
  if (hosts && !said('hc')) return 'committed to no answer';
  if (hosts && !said('hr')) return 'committed, and did not reveal';
  if (hosts) return 'its answer did not count: late, or unlike the others';
  return said('sr') ? 'its scores were unlike the others' : 'revealed no scores';
}
