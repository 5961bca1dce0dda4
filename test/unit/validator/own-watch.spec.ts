// Somebody else under the own name: what can only be another node ends this one, what may be its own past costs an epoch (protocol.md 4).

import assert from 'node:assert/strict';
import type { Submission } from '../../../src/chain/types.ts';
import { createMemoryJournal } from '../../../src/store/memory.ts';
import type { StoreError } from '../../../src/store/types.ts';
import type { BlockNumber, Epoch, Hash, NodeId, SubnetId } from '../../../src/types/ids.ts';
import type { EpochKind } from '../../../src/types/record.ts';
import { errorCode } from '../../../src/util/errors.ts';
import { silentLog } from '../../../src/util/log.ts';
import { createOwnWatch } from '../../../src/validator/own-watch.ts';
import { signRecord } from '../../../src/wire/record.ts';

const GENESIS = `0x${'11'.repeat(32)}` as Hash;
const SUBNET = 128_001 as SubnetId;
const NODE = 2 as NodeId;
/** Epoch 7 is 143..162: commits 146..152, reveals 153..155. */
const CLOCK = { slot: 3, epochLength: 20 };
const E = 7 as Epoch;

function recordOf(kind: 'hc' | 'hr' | 'sc' | 'sr', epoch: number, seed = 0) {
  const head = { genesis: new Uint8Array(32), subnet: SUBNET, epoch: epoch as Epoch, node: NODE };
  const bytes = new Uint8Array(32).fill(seed);
  const signer = { sign: () => new Uint8Array(64) };
  if (kind === 'hr' || kind === 'sr') return signRecord({ kind, ...head, salt: bytes, payload: bytes }, signer);
  if (kind === 'sc') return signRecord({ kind, ...head, commitment: bytes }, signer);
  return signRecord({ kind, ...head, commitment: bytes, manifest: bytes, audits: false }, signer);
}

/** A node whose first head is this block. */
function started(block: number) {
  const journal = createMemoryJournal({ genesis: GENESIS });
  const errors: StoreError[] = [];
  const options = { subnet: SUBNET, node: NODE, clock: CLOCK };
  const watch = createOwnWatch(options, { journal, log: silentLog, onElsewhere: (error) => errors.push(error) });
  watch.observe(block as BlockNumber);
  const claim = (kind: string, epoch: number, payload: Uint8Array) =>
    journal.claim({ subnet: SUBNET, node: NODE, epoch: epoch as Epoch, kind }, payload);
  const demands = (kind: EpochKind, epoch: number): string => {
    try {
      watch.demand(kind, epoch as Epoch);
      return 'may sign';
    } catch (error) {
      return errorCode(error);
    }
  };
  return { watch, journal, errors, claim, demands };
}

describe('a watch on the own keys', () => {
  it('knows what the journal knows, however often it comes back', () => {
    const { watch, claim, errors, demands } = started(143);
    const own = recordOf('hc', E);
    claim('hc', E, own.bytes);
    watch.sawRecord(own);
    assert.deepEqual([errors.length, watch.maySign(E), demands('hr', E)], [0, true, 'may sign']);
  });

  it('stops for a record whose window opened after the start, known or not for that slot', () => {
    for (const known of [false, true]) {
      const { watch, claim, errors, demands } = started(143);
      if (known) claim('hr', E, recordOf('hr', E).bytes);
      watch.sawRecord(recordOf('hr', E, 1));
      watch.sawRecord(recordOf('hr', E, 2));
      assert.deepEqual(errors.map(errorCode), ['SIGNED_ELSEWHERE']);
      assert.equal(watch.maySign(E), false);
      assert.deepEqual([demands('hr', E), demands('hc', E + 5)], ['SIGNED_ELSEWHERE', 'SIGNED_ELSEWHERE']);
    }
  });

  it('sits out the epoch of what may have been signed before the start, as behind a restored backup', () => {
    for (const start of [143, 147, 152, 162]) {
      const { watch, errors, demands } = started(start);
      watch.sawRecord(recordOf('hc', E));
      assert.deepEqual(
        [errors.length, watch.maySign(E), watch.maySign((E + 1) as Epoch)],
        [0, false, true],
        `${start}`,
      );
      assert.deepEqual(
        [demands('hr', E), demands('sr', E - 1), demands('hc', E + 1)],
        ['SIGNED_BEFORE', 'SIGNED_BEFORE', 'may sign'],
      );
    }
  });

  it('counts the opening of scores to the epoch in which it is due', () => {
    const { watch, demands } = started(158);
    watch.sawRecord(recordOf('sr', E - 1));
    assert.deepEqual([demands('sc', E), demands('sr', E)], ['SIGNED_BEFORE', 'may sign']);
  });

  it('reads the chain for votes and proposals of its own', () => {
    const submitted = { proposer: 1, attests: [{ nodeId: NODE }] } as unknown as Submission;
    const proposed = { proposer: NODE, attests: [{ nodeId: NODE }] } as unknown as Submission;
    const inTime = started(150);
    inTime.claim('attest', E + 1, new Uint8Array());
    inTime.watch.sawSubmission((E + 1) as Epoch, submitted);
    inTime.claim('propose', E + 2, new Uint8Array());
    inTime.watch.sawSubmission((E + 2) as Epoch, proposed);
    assert.deepEqual(inTime.errors, []);
    inTime.watch.sawSubmission((E + 3) as Epoch, submitted);
    assert.deepEqual(inTime.errors.map(errorCode), ['SIGNED_ELSEWHERE']);
    const restored = started(150);
    restored.watch.sawSubmission(E, proposed);
    assert.deepEqual([restored.errors, restored.watch.maySign(E)], [[], false]);
  });

  it('takes what the journal has forgotten for known', () => {
    const { watch, journal, errors } = started(100_000);
    journal.forget(SUBNET, 4000 as Epoch);
    watch.sawRecord(recordOf('hc', E));
    watch.sawSubmission(E, { proposer: NODE, attests: [] } as unknown as Submission);
    assert.deepEqual([errors.length, watch.maySign(E)], [0, true]);
  });
});
