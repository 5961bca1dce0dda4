// This node's audit of an epoch (protocol.md 13): a share of what hosters served lately is judged until shortly before the window closes, and
// the verdicts become one record.

import type { Accused, Auditor } from '../receipts/auditor.ts';
import type { Epoch, NodeId, SubnetId } from '../types/ids.ts';
import type { SignedRecord } from '../types/record.ts';
import type { Pen } from './pen.ts';
import type { EpochFacts } from './roster.ts';

export interface Audits {
  /** Judges until `close` is called for the epoch or all is judged; undefined when there is nothing to say, or this node has said it. */
  audit(epoch: Epoch, facts: EpochFacts, signal: AbortSignal): Promise<SignedRecord | undefined>;
  /** The window of an epoch's audits ends: what is judged by now is all. */
  close(epoch: Epoch): void;
}

export function createAudits(
  { genesis, subnet, node }: { readonly genesis: Uint8Array; readonly subnet: SubnetId; readonly node: NodeId },
  { auditor, pen }: { readonly auditor: Auditor | undefined; readonly pen: Pen },
): Audits {
  let closing: { readonly epoch: Epoch; readonly controller: AbortController } | undefined;

  return {
    async audit(epoch, { roster, policy }, signal) {
      if (auditor === undefined || policy === undefined || pen.signed('au', epoch) !== undefined) return undefined;
      const controller = new AbortController();
      closing = { epoch, controller };
      const others: Accused[] = roster.nodes.flatMap(({ id, peer }) => (id === node ? [] : [{ node: id, peer }]));
      const until = AbortSignal.any([signal, controller.signal]);
      const verdicts = await auditor.audit(others, policy.auditRate, until);
      if (verdicts.length === 0 || signal.aborted) return undefined;
      return pen.sign({ kind: 'au', genesis, subnet, epoch, node, verdicts });
    },
    close(epoch) {
      if (closing?.epoch === epoch) closing.controller.abort();
    },
  };
}
