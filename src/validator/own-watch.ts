// Does somebody else sign with this node's keys? Records and extrinsics of the own identity that the own journal does not know answer that
// (protocol.md 4). What may have been signed before this run began (a journal restored from an older copy, or lost) only makes the node sit
// out that epoch; what cannot have been ends it, before two nodes accuse each other for epochs.

import type { Submission } from '../chain/types.ts';
import { type ClockParams, EARLY_BLOCKS, firstBlock, phaseAt, windowOf } from '../consensus/phase.ts';
import type { Journal } from '../store/types.ts';
import { StoreError } from '../store/types.ts';
import type { BlockNumber, Epoch, NodeId, SubnetId } from '../types/ids.ts';
import type { EpochKind, SignedRecord } from '../types/record.ts';
import { equalBytes } from '../util/bytes.ts';
import type { Log } from '../util/log.ts';
import { decodeRecord } from '../wire/record.ts';

export interface OwnWatch {
  observe(block: BlockNumber): void;
  /** A well-formed record of this node, from outside. */
  sawRecord(record: SignedRecord): void;
  /** What stands on chain for an epoch. */
  sawSubmission(epoch: Epoch, submitted: Submission): void;
  /** Whether anything may be signed while an epoch lasts. */
  maySign(epoch: Epoch): boolean;
  /** For a record of `epoch`: throws SIGNED_BEFORE or SIGNED_ELSEWHERE when it must not be signed. */
  demand(kind: EpochKind, epoch: Epoch): void;
}

export interface OwnWatchOptions {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly clock: ClockParams;
}

/** Of who signs twice on purpose. */
export const NO_WATCH: OwnWatch = {
  observe() {},
  sawRecord() {},
  sawSubmission() {},
  maySign: () => true,
  demand() {},
};

/** The endpoint of this run may lag that of the last one. */
const LAG_BLOCKS = 2;

export function createOwnWatch(
  { subnet, node, clock }: OwnWatchOptions,
  deps: {
    readonly journal: Pick<Journal, 'claimed' | 'floor'>;
    /** Somebody else signs: nothing may be signed any more. Called once. */
    readonly onElsewhere: (error: StoreError) => void;
    readonly log: Log;
  },
): OwnWatch {
  let started: BlockNumber | undefined;
  let elsewhere: StoreError | undefined;
  /** Epochs in which something was signed that the journal does not know. */
  const quiet = new Set<Epoch>();

  /** @param opens the first block in which it could have been signed */
  function foreign(what: string, epoch: Epoch, opens: number): void {
    const during = phaseAt(Math.max(opens, clock.slot) as BlockNumber, clock)?.epoch ?? epoch;
    if (started === undefined || elsewhere !== undefined) return;
    if (opens > started + LAG_BLOCKS) {
      elsewhere = signedElsewhere({ subnet, node, epoch, what });
      deps.log.error('signed elsewhere', { epoch, what });
      deps.onElsewhere(elsewhere);
      return;
    }
    if (quiet.has(during)) return;
    quiet.add(during);
    deps.log.warn('signed before', { epoch, what, quiet: during });
  }

  function isClaimed(kind: string, epoch: Epoch): boolean {
    return deps.journal.claimed({ subnet, node, epoch, kind }) !== undefined || epoch < deps.journal.floor(subnet);
  }

  return {
    observe(block) {
      started ??= block;
    },
    sawRecord({ body, bodyBytes }) {
      if (body.kind === 'an' || body.epoch < deps.journal.floor(subnet)) return;
      const claimed = deps.journal.claimed({ subnet, node, epoch: body.epoch, kind: body.kind });
      const own = claimed === undefined ? undefined : decodeRecord(claimed);
      if (own?.ok && equalBytes(own.record.bodyBytes, bodyBytes)) return;
      foreign(body.kind, body.epoch, windowOf(body.kind, body.epoch, clock).opens - EARLY_BLOCKS);
    },
    sawSubmission(epoch, { proposer, attests }) {
      const opens = firstBlock(epoch, clock);
      if (proposer === node && !isClaimed('propose', epoch)) foreign('propose', epoch, opens);
      const hasAttested = proposer !== node && attests.some(({ nodeId }) => nodeId === node);
      if (hasAttested && !isClaimed('attest', epoch)) foreign('attest', epoch, opens);
    },
    maySign: (epoch) => elsewhere === undefined && !quiet.has(epoch),
    demand(kind, epoch) {
      if (elsewhere !== undefined) throw elsewhere;
      const during = phaseAt(windowOf(kind, epoch, clock).opens, clock)?.epoch ?? epoch;
      if (quiet.has(during)) throw signedBefore({ subnet, node, epoch: during, what: kind });
    },
  };
}

interface Signature {
  readonly subnet: SubnetId;
  readonly node: NodeId;
  readonly epoch: Epoch;
  readonly what: string;
}

function signedElsewhere({ subnet, node, epoch, what }: Signature): StoreError {
  return new StoreError(
    { code: 'SIGNED_ELSEWHERE', subnet, node, epoch, what },
    `somebody else signs as node ${node} of subnet ${subnet}: a ${what} of epoch ${epoch} is under its keys, was made while this node ran, ` +
      'and is not in its journal. This node has stopped signing. Find the other process or machine that has these keys and stop it for ' +
      'good, wait two epochs, then start one node; if you know of none, the keys are stolen: remove the node and register with new ones',
  );
}

function signedBefore({ subnet, node, epoch, what }: Signature): StoreError {
  return new StoreError(
    { code: 'SIGNED_BEFORE', subnet, node, epoch, what },
    `node ${node} of subnet ${subnet} signed something in epoch ${epoch} that its journal does not know (restored from an older copy?): ` +
      'it signs nothing more in this epoch, and goes on in the next one',
  );
}
