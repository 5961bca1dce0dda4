// What this node can hand to others: the records that it holds now, and of the last epochs everything that lets anybody verify them again,
// from its archive (protocol.md 10).

import type { Archive } from '../store/types.ts';
import type { Epoch } from '../types/ids.ts';
import type { EpochKind, SignedRecord } from '../types/record.ts';
import type { EvidenceIds } from '../wire/evidence.ts';
import { decodeRecord } from '../wire/record.ts';
import { type Answers, encodeNamed } from './evidence-protocol.ts';
import type { Records } from './records.ts';

/** Epochs that can be verified, the one that lasts included: those of which the chain keeps the submission. */
export const VERIFIABLE_EPOCHS = 64;
/** The scores of the oldest rest on records of two epochs before, and those on the policy of a third. */
export const KEPT_EPOCHS = VERIFIABLE_EPOCHS + 3;
/** Findings in memory where there is no archive: scores of e-1 are checked in e, and records of e-2 are still held. */
const REMEMBERED = 3;
const NAMED = 'named';
const PROOF = 'proof';

export interface Library extends Answers {
  keepRecord(record: SignedRecord): void;
  /** Records of a kind that outlived the last run. */
  stored(kind: EpochKind, epoch: Epoch): readonly Uint8Array[];
  keepNamed(scored: Epoch, ids: EvidenceIds): void;
  /** What proves who was in an epoch; kept where there is an archive. */
  keepProof(epoch: Epoch, proof: Uint8Array): void;
  /** A new epoch has begun: what is too old goes. */
  forget(now: Epoch): void;
}

export function createLibrary(deps: {
  /** Asked when it is there: records are kept here, and looked for there first. */
  readonly records: () => Pick<Records, 'held' | 'byId'>;
  readonly archive: Archive | undefined;
  readonly factsOf: (epoch: Epoch) => Uint8Array | undefined;
}): Library {
  const { archive } = deps;
  const findings = new Map<Epoch, Uint8Array>();

  return {
    keepRecord({ body: { epoch, kind }, id, bytes }) {
      archive?.saveRecord({ epoch, kind, id, bytes });
    },
    stored: (kind, epoch) => archive?.records(kind, epoch) ?? [],
    held(kind, epoch) {
      const now = deps.records().held(kind, epoch);
      return now.length > 0 ? now : (archive?.records(kind, epoch) ?? []).flatMap(decoded);
    },
    byId(id) {
      const now = deps.records().byId(id);
      const bytes = now === undefined ? archive?.record(id) : undefined;
      return bytes === undefined ? now : decoded(bytes)[0];
    },
    named: (scored) => findings.get(scored) ?? archive?.note(NAMED, scored),
    keepNamed(scored, ids) {
      const told = encodeNamed(ids);
      findings.set(scored, told);
      while (findings.size > REMEMBERED) findings.delete(Math.min(...findings.keys()) as Epoch);
      archive?.saveNote(NAMED, scored, told);
    },
    facts: deps.factsOf,
    proof: (epoch) => archive?.note(PROOF, epoch),
    keepProof: (epoch, proof) => archive?.saveNote(PROOF, epoch, proof),
    forget: (now) => archive?.forget((now - KEPT_EPOCHS) as Epoch),
  };
}

function decoded(bytes: Uint8Array): readonly SignedRecord[] {
  const found = decodeRecord(bytes);
  return found.ok ? [found.record] : [];
}
