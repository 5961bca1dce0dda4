// What follows from witnesses (protocol.md 7): the majority of any quorum, whatever a third of them says.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  chooseWitnesses,
  closingCount,
  type Listed,
  majorityOf,
  quorumOf,
  readWitness,
  toWitnessList,
} from '../../../src/consensus/witness.ts';
import { encodeBitmap } from '../../../src/util/bitmap.ts';

const NONE = { seats: encodeBitmap([], 10), ids: new Uint8Array() };

/** A list of `hc` by seat; the ids are one letter here. */
function hears(...entries: readonly [number, string][]): Listed {
  return new Map([['hc', new Map(entries)]]);
}

describe('quorums', () => {
  it('are two thirds for evidence, a third and one for closing', () => {
    const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 64, 256];
    assert.deepEqual(sizes.map(quorumOf), [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 11, 43, 171]);
    assert.deepEqual(sizes.map(closingCount), [1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 6, 22, 86]);
  });
});

describe('a witness', () => {
  it('comes back from its list as it went, in the order of the seats', () => {
    const id = (byte: number) => new Uint8Array(32).fill(byte);
    const list = toWitnessList(
      new Map([
        [9, id(0xc)],
        [2, id(0xb)],
      ]),
      10,
    );
    const listed = readWitness({ kind: 'wb', held: [NONE, list, NONE] }, 10);
    assert.deepEqual(
      [...(listed?.get('sr') ?? [])],
      [
        [2, '0b'.repeat(16)],
        [9, '0c'.repeat(16)],
      ],
    );
    assert.equal(listed?.get('hr')?.size, 0);
  });

  it('says nothing over another roster or about other kinds', () => {
    assert.equal(readWitness({ kind: 'wb', held: [NONE, NONE, NONE] }, 20), undefined);
    assert.equal(readWitness({ kind: 'wb', held: [NONE, NONE, NONE, NONE] }, 10), undefined);
    assert.equal(
      readWitness({ kind: 'wb', held: [{ ...NONE, seats: Uint8Array.of(0, 0x80) }, NONE, NONE] }, 10),
      undefined,
    );
  });
});

describe('the majority of witnesses', () => {
  it('needs more than half, of one record', () => {
    const all = [hears([0, 'a'], [1, 'x']), hears([0, 'a'], [1, 'y']), hears([0, 'b'], [1, 'x']), hears([2, 'z'])];
    assert.deepEqual([...majorityOf(all, 'hc')], []);
    assert.deepEqual(
      [...majorityOf(all.slice(0, 3), 'hc')],
      [
        [0, 'a'],
        [1, 'x'],
      ],
    );
    assert.deepEqual([...majorityOf([], 'hc')], []);
  });

  it('takes in what all honest ones held and nothing that none of them held, whichever quorum is named', () => {
    const scene = fc.integer({ min: 1, max: 25 }).chain((n) => {
      const faulty = Math.floor((n - 1) / 3);
      const lie = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.constantFrom('a', 'b', 'c')), { maxLength: 4 });
      const lies = fc.array(lie, { minLength: faulty, maxLength: faulty });
      const named = fc.shuffledSubarray(
        Array.from({ length: n }, (_, i) => i),
        { minLength: quorumOf(n) },
      );
      return fc.record({ n: fc.constant(n), lies, named });
    });
    fc.assert(
      fc.property(scene, ({ n, lies, named }) => {
        const honest = hears([0, 'a'], [1, 'b']);
        const all = Array.from({ length: n }, (_, i) => (i < lies.length ? hears(...(lies[i] ?? [])) : honest));
        const found = majorityOf(
          named.map((i) => all[i] as Listed),
          'hc',
        );
        assert.deepEqual(
          [...found],
          [
            [0, 'a'],
            [1, 'b'],
          ],
        );
      }),
    );
  });
});

describe('an honest proposer', () => {
  const all = hears([0, 'a'], [1, 'b'], [2, 'c']);

  it('names every witness that agrees', () => {
    const held = new Map([0, 1, 2, 3, 4].map((seat) => [seat, all]));
    assert.deepEqual([...chooseWitnesses(held, 4)], [0, 1, 2, 3, 4]);
    assert.deepEqual([...chooseWitnesses(new Map(), 1)], []);
  });

  it('leaves out the most different ones, down to the quorum, of equals the higher seat', () => {
    const held = new Map([
      [0, hears([0, 'a'])],
      [1, all],
      [2, all],
      [3, all],
      [4, hears([0, 'a'], [1, 'b'])],
      [5, hears([0, 'a'], [1, 'x'], [2, 'c'])],
    ]);
    assert.deepEqual([...chooseWitnesses(held, 5)], [1, 2, 3, 4, 5]);
    assert.deepEqual([...chooseWitnesses(held, 4)], [1, 2, 3, 4]);
    assert.deepEqual([...chooseWitnesses(held, 6)], [0, 1, 2, 3, 4, 5]);
  });
});
