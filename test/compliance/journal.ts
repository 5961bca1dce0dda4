// What every journal must do (src/store/types.ts): write once per slot, survive being killed, refuse a second holder and another chain.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Journal, Slot } from '../../src/store/types.ts';
import type { Epoch, Hash, NodeId, SubnetId } from '../../src/types/ids.ts';
import { errorCode } from '../../src/util/errors.ts';

/** One place on disk (or its twin). */
export interface JournalPlace {
  open(genesis: Hash): Journal;
  remove(): void;
}

export const GENESIS = `0x${'11'.repeat(32)}` as Hash;
const OTHER_GENESIS = `0x${'22'.repeat(32)}` as Hash;

export function slot(epoch: number, kind = 'hc', node = 1): Slot {
  return { subnet: 128_001 as SubnetId, node: node as NodeId, epoch: epoch as Epoch, kind };
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => errorCode(error) === code;
}

export function testJournal(name: string, create: () => JournalPlace): void {
  describe(`journal: ${name}`, () => {
    let place: JournalPlace;
    let journal: Journal;
    const bytes = (...values: number[]) => new Uint8Array(values);

    beforeEach(() => {
      place = create();
      journal = place.open(GENESIS);
    });
    afterEach(() => {
      journal.close();
      place.remove();
    });

    it('writes a slot once, answers same for the same bytes and refuses others', () => {
      assert.equal(journal.claimed(slot(5)), undefined);
      assert.equal(journal.claim(slot(5), bytes(1, 2)), 'written');
      assert.equal(journal.claim(slot(5), bytes(1, 2)), 'same');
      assert.throws(() => journal.claim(slot(5), bytes(1, 3)), hasCode('SIGNED_ALREADY'));
      assert.throws(() => journal.claim(slot(5), bytes()), hasCode('SIGNED_ALREADY'));
      assert.deepEqual(journal.claimed(slot(5)), bytes(1, 2));
    });

    it('lists what was claimed and kept, in order', () => {
      const slots = [slot(10), slot(9, 'hr'), slot(9, 'hc'), slot(9, 'hc', 3), slot(100)];
      for (const [i, one] of slots.entries()) journal.claim(one, bytes(i));
      journal.keep(slot(7), bytes(70));
      const told = journal
        .list('claims')
        .map(({ slot: { node, epoch, kind }, payload }) => [node, epoch, kind, ...payload]);
      assert.deepEqual(told, [
        [1, 9, 'hc', 2],
        [1, 9, 'hr', 1],
        [1, 10, 'hc', 0],
        [1, 100, 'hc', 4],
        [3, 9, 'hc', 3],
      ]);
      assert.deepEqual(journal.list('openings'), [{ slot: slot(7), payload: bytes(70) }]);
    });

    it('keeps slots of other epochs, kinds and nodes apart, and openings apart from claims', () => {
      journal.claim(slot(5), bytes(1));
      assert.equal(journal.claim(slot(6), bytes(2)), 'written');
      assert.equal(journal.claim(slot(5, 'hr'), bytes(3)), 'written');
      assert.equal(journal.claim(slot(5, 'hc', 2), bytes(4)), 'written');
      assert.equal(journal.keep(slot(5), bytes(9, 9)), 'written');
      assert.equal(journal.keep(slot(5), bytes(9, 9)), 'same');
      assert.throws(() => journal.keep(slot(5), bytes(9)), hasCode('SIGNED_ALREADY'));
      assert.deepEqual(journal.kept(slot(5)), bytes(9, 9));
      assert.deepEqual(journal.claimed(slot(5)), bytes(1));
    });

    it('takes an empty payload for a payload', () => {
      assert.equal(journal.claim(slot(1), bytes()), 'written');
      assert.deepEqual(journal.claimed(slot(1)), bytes());
      assert.equal(journal.claim(slot(1), bytes()), 'same');
      assert.throws(() => journal.claim(slot(1), bytes(0)), hasCode('SIGNED_ALREADY'));
    });

    it('does not share memory with its caller', () => {
      const payload = bytes(1, 2);
      journal.claim(slot(1), payload);
      payload[0] = 7;
      journal.claimed(slot(1))?.fill(8);
      assert.deepEqual(journal.claimed(slot(1)), bytes(1, 2));
    });

    it('saves facts once', () => {
      assert.equal(journal.fact('roster/5'), undefined);
      journal.saveFact('roster/5', bytes(1));
      journal.saveFact('roster/5', bytes(1));
      assert.throws(() => journal.saveFact('roster/5', bytes(2)), hasCode('FACT_DIFFERS'));
      assert.deepEqual(journal.fact('roster/5'), bytes(1));
    });

    it('forgets old epochs of one subnet, and signs nothing of them any more, also after a restart', () => {
      const other = { ...slot(3), subnet: 9 as SubnetId };
      for (const one of [slot(3), slot(4), slot(5), other]) journal.claim(one, bytes(1));
      journal.keep(slot(4), bytes(2));
      for (const name of ['epoch/128001/4', 'epoch/128001/5', 'epoch/9/4']) journal.saveFact(name, bytes(3));
      journal.forget(slot(0).subnet, 5 as Epoch);
      journal.forget(slot(0).subnet, 2 as Epoch);
      journal.close();
      journal = place.open(GENESIS);
      assert.deepEqual(
        journal.list('claims').map(({ slot: { subnet, epoch } }) => [Number(subnet), Number(epoch)]),
        [
          [9, 3],
          [128_001, 5],
        ],
      );
      assert.deepEqual(journal.list('openings'), []);
      const facts = ['epoch/128001/4', 'epoch/128001/5', 'epoch/9/4'].map((name) => journal.fact(name) !== undefined);
      assert.deepEqual(facts, [false, true, true]);
      assert.equal(journal.floor(slot(0).subnet), 5);
      for (const epoch of [3, 4]) assert.throws(() => journal.claim(slot(epoch), bytes(1)), hasCode('SLOT_PAST'));
      assert.throws(() => journal.keep(slot(4), bytes(2)), hasCode('SLOT_PAST'));
      assert.equal(journal.claim(slot(5, 'hr'), bytes(1)), 'written');
    });

    it('is there again after it was closed', () => {
      journal.claim(slot(5), bytes(1));
      journal.keep(slot(5), bytes(2));
      journal.saveFact('f', bytes(3));
      journal.close();
      journal = place.open(GENESIS);
      assert.deepEqual(journal.claimed(slot(5)), bytes(1));
      assert.deepEqual(journal.kept(slot(5)), bytes(2));
      assert.deepEqual(journal.fact('f'), bytes(3));
      assert.throws(() => journal.claim(slot(5), bytes(9)), hasCode('SIGNED_ALREADY'));
    });

    it('refuses a second holder, and writes after close', () => {
      assert.throws(() => place.open(GENESIS), hasCode('JOURNAL_LOCKED'));
      journal.close();
      journal.close();
      assert.throws(() => journal.claim(slot(1), bytes(1)));
    });

    it('refuses the file of another chain, and is not harmed by the attempt', () => {
      journal.claim(slot(5), bytes(1));
      journal.close();
      assert.throws(() => place.open(OTHER_GENESIS), hasCode('JOURNAL_FOREIGN'));
      journal = place.open(GENESIS);
      assert.deepEqual(journal.claimed(slot(5)), bytes(1));
    });

    it('answers as a map that is written once, for any sequence of claims', () => {
      const model = new Map<string, string>();
      const claims = fc.array(fc.record({ epoch: fc.nat(3), kind: fc.constantFrom('hc', 'sr'), byte: fc.nat(2) }), {
        maxLength: 8,
      });
      fc.assert(
        fc.property(claims, (steps) => {
          for (const { epoch, kind, byte } of steps) {
            const key = `${epoch}/${kind}`;
            const known = model.get(key);
            const run = () => journal.claim(slot(epoch, kind), bytes(byte));
            if (known === undefined) assert.equal(run(), 'written');
            else if (known === String(byte)) assert.equal(run(), 'same');
            else assert.throws(run, hasCode('SIGNED_ALREADY'));
            if (known === undefined) model.set(key, String(byte));
          }
        }),
        { numRuns: 20, seed: 1 },
      );
    });
  });
}
