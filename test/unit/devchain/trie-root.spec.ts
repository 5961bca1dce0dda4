import assert from 'node:assert/strict';
import fc from 'fast-check';
import { blake2b256 } from '../../../src/devchain/hashing.ts';
import { type Trie, trieDelete, trieSet } from '../../../src/devchain/trie.ts';
import { orderedRoot, trieRoot } from '../../../src/devchain/trie-root.ts';
import { concatBytes, fromHex, toHex, u32le } from '../../../src/util/bytes.ts';

type Pairs = readonly (readonly [string, Uint8Array])[];

function trieOf(pairs: Pairs): Trie {
  return pairs.reduce<Trie>((trie, [key, value]) => trieSet(trie, key, value), undefined);
}

function rootOf(pairs: Pairs, version: 0 | 1): string {
  return toHex(trieRoot(trieOf(pairs), version));
}

/** Root of an encoding written out by hand. */
function hashOf(...bytes: (number | Uint8Array)[]): string {
  return toHex(
    blake2b256(concatBytes(...bytes.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : part)))),
  );
}

const key = (hex: string) => Buffer.from(hex, 'hex').toString('latin1');

// The slow twin: the definition read from the Polkadot specification, over a list of (nibbles, value), no sharing, no cache.
type Entry = { nibbles: number[]; value: Uint8Array };

function slowRoot(pairs: Pairs, version: 0 | 1): string {
  const entries = pairs.map(([name, value]) => ({
    nibbles: [...name].flatMap((char) => [char.charCodeAt(0) >> 4, char.charCodeAt(0) & 15]),
    value,
  }));
  return toHex(blake2b256(entries.length === 0 ? Uint8Array.of(0) : Uint8Array.from(slowNode(entries, version))));
}

function slowNode(entries: Entry[], version: 0 | 1): number[] {
  const shared = sharedNibbles(entries.map((entry) => entry.nibbles));
  const below = entries.map((entry) => ({ ...entry, nibbles: entry.nibbles.slice(shared.length) }));
  const own = below.find((entry) => entry.nibbles.length === 0)?.value;
  const groups = Array.from({ length: 16 }, (_, nibble) => below.filter((entry) => entry.nibbles[0] === nibble));
  const branch = groups.some((group) => group.length > 0);
  const hashed = own !== undefined && version === 1 && own.length >= 33;
  const [prefix, width] = hashed
    ? branch
      ? [0b0001, 4]
      : [0b001, 5]
    : [own === undefined ? 0b10 : branch ? 0b11 : 0b01, 6];
  const bitmap = groups.reduce((bits, group, nibble) => bits + (group.length > 0 ? 2 ** nibble : 0), 0);
  const value = own === undefined ? [] : hashed ? [...blake2b256(own)] : [...slowCompact(own.length), ...own];
  const children = groups
    .filter((group) => group.length > 0)
    .flatMap((group) => {
      const encoded = slowNode(
        group.map((entry) => ({ ...entry, nibbles: entry.nibbles.slice(1) })),
        version,
      );
      const merkle = encoded.length < 32 ? encoded : [...blake2b256(Uint8Array.from(encoded))];
      return [...slowCompact(merkle.length), ...merkle];
    });
  return [
    ...slowHeader(prefix, width, shared.length),
    ...slowPacked(shared),
    ...(branch ? [bitmap % 256, Math.floor(bitmap / 256)] : []),
    ...value,
    ...children,
  ];
}

function sharedNibbles(lists: number[][]): number[] {
  const [first = []] = lists;
  const end = first.findIndex((nibble, index) => lists.some((list) => list[index] !== nibble));
  return end < 0 ? first : first.slice(0, end);
}

function slowHeader(prefix: number, width: number, length: number): number[] {
  const max = 2 ** width - 1;
  const out = [prefix * 2 ** width + Math.min(length, max)];
  if (length < max) return out;
  let rest = length - max;
  while (rest >= 255) {
    out.push(255);
    rest -= 255;
  }
  return [...out, rest];
}

function slowPacked(nibbles: number[]): number[] {
  const even = nibbles.length % 2 === 0 ? nibbles : [0, ...nibbles];
  return Array.from(
    { length: even.length / 2 },
    (_, index) => (even[2 * index] ?? 0) * 16 + (even[2 * index + 1] ?? 0),
  );
}

function slowCompact(length: number): number[] {
  return length < 64 ? [length * 4] : [(length * 4 + 1) % 256, Math.floor((length * 4 + 1) / 256)];
}

describe('devchain/trie-root', () => {
  it('has the root of the empty trie that every Substrate chain has', () => {
    assert.equal(toHex(trieRoot(undefined, 1)), '03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314');
    assert.equal(toHex(orderedRoot([], 0)), '03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314');
  });

  it('encodes as written out by hand', () => {
    // one leaf: kind 01, 2 nibbles; key aa; value of one byte
    assert.equal(rootOf([[key('aa'), Uint8Array.of(0xbb)]], 1), hashOf(0x42, 0xaa, 0x04, 0xbb));
    // a branch without value over two leaves of 3 nibbles, inlined because they are short (the two-tuple case of Substrate's sp-trie)
    const two: Pairs = [
      [key('4819'), Uint8Array.of(0xfe)],
      [key('1314'), Uint8Array.of(0xff)],
    ];
    const [leaf1, leaf4] = [Uint8Array.of(0x43, 0x03, 0x14, 0x04, 0xff), Uint8Array.of(0x43, 0x08, 0x19, 0x04, 0xfe)];
    assert.equal(rootOf(two, 1), hashOf(0x80, 0b0001_0010, 0, 5 << 2, leaf1, 5 << 2, leaf4));
    // a branch with a value of its own; the child's remaining partial key is empty or odd
    const nested: Pairs = [
      [key('12'), Uint8Array.of(1)],
      [key('1234'), Uint8Array.of(2)],
    ];
    assert.equal(
      rootOf(nested, 1),
      hashOf(0xc2, 0x12, 0b0000_1000, 0, 0x04, 1, 4 << 2, Uint8Array.of(0x41, 0x04, 0x04, 2)),
    );
  });

  it('stores values of 33 bytes and more by hash in version 1 only', () => {
    const [short, long] = [new Uint8Array(32).fill(7), new Uint8Array(33).fill(7)];
    assert.equal(rootOf([[key('aa'), short]], 1), rootOf([[key('aa'), short]], 0));
    assert.equal(rootOf([[key('aa'), long]], 0), hashOf(0x42, 0xaa, 33 << 2, long));
    assert.equal(rootOf([[key('aa'), long]], 1), hashOf(0x22, 0xaa, blake2b256(long)));
  });

  it('writes long partial keys in several bytes', () => {
    for (const [bytes, header] of [
      [31, [0x7e]],
      [32, [0x7f, 1]],
      [159, [0x7f, 255, 0]],
      [160, [0x7f, 255, 2]],
    ] as const) {
      const name = new Uint8Array(bytes).fill(0x5a);
      assert.equal(rootOf([[key(toHex(name)), Uint8Array.of(1)]], 1), hashOf(Uint8Array.from(header), name, 0x04, 1));
    }
  });

  it('equals the slow twin on a state of 300 hashed keys', () => {
    const pairs: Pairs = Array.from({ length: 300 }, (_, index) => [
      key(toHex(blake2b256(u32le(index)))),
      new Uint8Array(index % 70).fill(index),
    ]);
    for (const version of [0, 1] as const) assert.equal(rootOf(pairs, version), slowRoot(pairs, version));
  });

  const pairs = fc.uniqueArray(
    fc.tuple(
      fc
        .array(fc.constantFrom(0x00, 0x01, 0x10, 0x1f, 0xff), { maxLength: 5 })
        .map((bytes) => String.fromCharCode(...bytes)),
      fc.uint8Array({ maxLength: 70, size: 'max' }),
    ),
    { selector: ([name]) => name, maxLength: 40, size: 'max' },
  );

  it('equals the slow twin for any keys and values', () => {
    fc.assert(
      fc.property(pairs, fc.constantFrom(0 as const, 1 as const), (list, version) => {
        assert.equal(rootOf(list, version), slowRoot(list, version));
      }),
    );
  });

  it('is the same after any detour, with roots taken on the way', () => {
    fc.assert(
      fc.property(pairs, pairs, fc.constantFrom(0 as const, 1 as const), (kept, extra, version) => {
        const names = new Set(kept.map(([name]) => name));
        const other = extra.filter(([name]) => !names.has(name));
        let trie: Trie;
        for (const [name, value] of [...other, ...kept]) {
          trie = trieSet(trie, name, value);
          trieRoot(trie, version);
        }
        const otherVersion = version === 0 ? 1 : 0;
        assert.equal(toHex(trieRoot(trie, otherVersion)), rootOf([...other, ...kept], otherVersion));
        for (const [name] of other) {
          trie = trieDelete(trie, name);
          trieRoot(trie, version);
        }
        assert.equal(toHex(trieRoot(trie, version)), rootOf(kept, version));
      }),
    );
  });

  it('numbers the items of a list in compact form', () => {
    const items = Array.from({ length: 70 }, (_, index) => u32le(index));
    const named: Pairs = items.map((item, index) => [
      key(
        toHex(
          index < 64 ? Uint8Array.of(index * 4) : fromHex(`${((index % 64) * 4 + 1).toString(16).padStart(2, '0')}01`),
        ),
      ),
      item,
    ]);
    assert.equal(toHex(orderedRoot(items, 1)), rootOf(named, 1));
  });
});
