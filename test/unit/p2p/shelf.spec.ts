import assert from 'node:assert/strict';
import { bestRecord, createShelf, refusal } from '../../../src/p2p/shelf.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);
const never = () => false;
const newer = (_key: string, held: Uint8Array, next: Uint8Array) => (next[0] ?? 0) > (held[0] ?? 0);

describe('shelf', () => {
  it('keeps the first value of a key and takes the same one again', () => {
    const shelf = createShelf(never);
    assert.equal(shelf.put('a', bytes(1)), true);
    assert.equal(shelf.put('a', bytes(2)), false);
    assert.equal(shelf.put('a', bytes(1)), true);
    assert.deepEqual(shelf.get('a'), bytes(1));
    assert.equal(shelf.get('b'), undefined);
  });

  it('keeps what it was given, not what becomes of it', () => {
    const shelf = createShelf(never);
    const value = bytes(1);
    shelf.put('a', value);
    value[0] = 9;
    assert.deepEqual(shelf.get('a'), bytes(1));
  });

  it('lets a value be replaced where the rule says so, and only forwards', () => {
    const shelf = createShelf(newer);
    assert.equal(shelf.put('a', bytes(2)), true);
    assert.equal(shelf.put('a', bytes(3)), true);
    assert.equal(shelf.put('a', bytes(1)), false);
    assert.deepEqual(shelf.get('a'), bytes(3));
  });

  it('lets the oldest go beyond its number of records', () => {
    const shelf = createShelf(never, { records: 2, bytes: 1000 });
    for (const key of ['a', 'b', 'c']) shelf.put(key, bytes(1));
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => shelf.get(key) !== undefined),
      [false, true, true],
    );
  });

  it('lets the oldest go beyond its number of bytes, replaced values not counted', () => {
    const shelf = createShelf(newer, { records: 100, bytes: 10 });
    shelf.put('a', new Uint8Array(4).fill(1));
    shelf.put('b', new Uint8Array(4).fill(1));
    for (let i = 2; i < 20; i += 1) shelf.put('b', new Uint8Array(4).fill(i));
    assert.ok(shelf.get('a') !== undefined);
    shelf.put('c', new Uint8Array(4));
    assert.equal(shelf.get('a'), undefined);
    assert.ok(shelf.get('b') !== undefined && shelf.get('c') !== undefined);
  });

  it('believes the first of several values, or the one that replaces the others', () => {
    const values = [bytes(2), bytes(3), bytes(1)];
    assert.deepEqual(bestRecord(never, 'a', values), bytes(2));
    assert.deepEqual(bestRecord(newer, 'a', values), bytes(3));
    assert.equal(bestRecord(newer, 'a', []), undefined);
  });

  it('is not reached by records that the rules refuse', async () => {
    const judged: string[] = [];
    const rules = {
      maxRecordBytes: 4,
      judge: async (key: string) => {
        judged.push(key);
        if (key.endsWith('/bad')) throw new Error('no roster');
        return key.endsWith('/late') ? ('ignore' as const) : ('accept' as const);
      },
    };
    const table: [string, number, RegExp | undefined][] = [
      ['/tsr/hc/1', 4, undefined],
      ['/tsr/hc/1', 5, /longer than 4 bytes/],
      ['/pk/hc/1', 1, /no record lives/],
      [`/tsr/${'x'.repeat(300)}`, 1, /no record lives/],
      ['/tsr/late', 1, /judged 'ignore'/],
      ['/tsr/bad', 1, /not judged: no roster/],
    ];
    for (const [key, length, why] of table) {
      const reason = await refusal(rules, key, new Uint8Array(length));
      if (why === undefined) assert.equal(reason, undefined);
      else assert.match(reason ?? '', why);
    }
    assert.deepEqual(judged, ['/tsr/hc/1', '/tsr/late', '/tsr/bad']);
  });
});
