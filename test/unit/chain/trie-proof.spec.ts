// A proof of storage is taken by the root alone: what a Substrate node answered, what the dev chain's trie makes, and nothing that differs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { checkStateProof, type StateVerdict, stateRootOf } from '../../../src/chain/state-proof.ts';
import { blake2b256, checkTrieProof } from '../../../src/chain/trie-proof.ts';
import { MAX_PROOF_BYTES, MAX_PROOF_HEADER_BYTES, MAX_PROOF_NODES } from '../../../src/chain/types.ts';
import { bytesToKey, keyToBytes } from '../../../src/devchain/hex.ts';
import { type Trie, trieGet, trieKeys, trieSet } from '../../../src/devchain/trie.ts';
import { trieProof } from '../../../src/devchain/trie-proof.ts';
import { trieRoot } from '../../../src/devchain/trie-root.ts';
import type { Hash } from '../../../src/types/ids.ts';
import { concatBytes, fromHex, toHex } from '../../../src/util/bytes.ts';

type Pair = readonly [string, string | null];

interface Vector {
  readonly block: string;
  readonly header: string;
  readonly stateRoot: string;
  readonly keys: { readonly pairs: readonly Pair[]; readonly proof: readonly string[] };
  readonly prefix: { readonly prefix: string; readonly pairs: readonly Pair[]; readonly proof: readonly string[] };
}

const VECTOR = JSON.parse(readFileSync(new URL('../../vectors/state-proof.json', import.meta.url), 'utf8')) as Vector;
const vectorRoot = fromHex(VECTOR.stateRoot);

/** Short keys over few bytes: prefixes of each other, shared nibbles and the empty key all occur. */
const key = fc
  .array(fc.constantFrom(0x00, 0x01, 0x0f, 0x10, 0x1f, 0xf0, 0xff), { maxLength: 4 })
  .map((bytes) => String.fromCharCode(...bytes));
/** On both sides of what is stored by hash, and of what stands in its parent. */
const value = fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.uint8Array({ minLength: 25, maxLength: 40 }));
const state = fc.array(fc.tuple(key, value), { maxLength: 40, size: 'max' });
const version = fc.constantFrom(0 as const, 1 as const);

function trieOf(pairs: readonly (readonly [string, Uint8Array])[]): Trie {
  return pairs.reduce<Trie>((trie, [name, bytes]) => trieSet(trie, name, bytes), undefined);
}

function codeOf(verdict: StateVerdict): string {
  return verdict.ok ? 'ok' : verdict.code;
}

describe('chain/trie-proof', () => {
  it('takes what a Substrate node answers for single keys, and knows which are not there', () => {
    const { pairs, proof } = VECTOR.keys;
    const question = { keys: pairs.map(([name]) => fromHex(name)), prefixes: [] };
    const verdict = checkTrieProof(vectorRoot, proof.map(fromHex), question);
    assert.ok(verdict.ok);
    assert.deepEqual(
      verdict.values.map((found) => (found === undefined ? null : `0x${toHex(found)}`)),
      pairs.map(([, found]) => found),
    );
    assert.ok(pairs.some(([, found]) => found === null) && pairs.some(([, found]) => (found?.length ?? 0) > 66));
  });

  it('takes all keys below a prefix, and no list that lacks one', () => {
    const { prefix, pairs, proof } = VECTOR.prefix;
    const question = { keys: [], prefixes: [fromHex(prefix)] };
    const verdict = checkTrieProof(vectorRoot, proof.map(fromHex), question);
    assert.ok(verdict.ok);
    assert.deepEqual(
      verdict.entries[0]?.map(([name, found]) => [`0x${toHex(name)}`, `0x${toHex(found)}`]),
      pairs,
    );
    for (const left of proof) {
      const without = proof.filter((one) => one !== left).map(fromHex);
      assert.equal(codeOf(checkTrieProof(vectorRoot, without, question)), 'PROOF_INCOMPLETE');
    }
  });

  it("finds a header's state root, whatever the size of its number", () => {
    assert.equal(`0x${toHex(blake2b256(fromHex(VECTOR.header)))}`, VECTOR.block);
    const [parent, root] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    const numbers = ['04', '1501', '02093d00', '0300000040', '070000000001'];
    for (const number of numbers) {
      const header = concatBytes(parent, fromHex(number), root, new Uint8Array(33));
      assert.deepEqual(stateRootOf(header), root, number);
    }
    assert.deepEqual(stateRootOf(fromHex(VECTOR.header)), vectorRoot);
    assert.equal(stateRootOf(concatBytes(parent, fromHex('04'), root).subarray(0, 64)), undefined);
    assert.equal(stateRootOf(new Uint8Array()), undefined);
  });

  it('takes a header by the hash of its block alone', () => {
    const { pairs, proof } = VECTOR.keys;
    const question = { keys: pairs.map(([name]) => fromHex(name)), prefixes: [] };
    const [header, nodes] = [fromHex(VECTOR.header), proof.map(fromHex)];
    const check = (changed: Uint8Array, block = VECTOR.block) =>
      codeOf(checkStateProof(block as Hash, { header: changed, nodes }, question));
    assert.equal(check(header), 'ok');
    for (let at = 0; at < header.length; at++) {
      assert.equal(check(header.with(at, (header[at] as number) ^ 0x10)), 'PROOF_WRONG_BLOCK');
    }
    assert.equal(check(header, VECTOR.stateRoot), 'PROOF_WRONG_BLOCK');
    const large = new Uint8Array(MAX_PROOF_HEADER_BYTES + 1);
    assert.equal(check(large, `0x${toHex(blake2b256(large))}`), 'PROOF_WRONG_BLOCK', 'not even hashed');
    const short = new Uint8Array(40);
    assert.equal(check(short, `0x${toHex(blake2b256(short))}`), 'PROOF_WRONG_BLOCK', 'no room for a root');
  });

  it('reads from any trie of both layouts what is there and what is not, single keys and all below a prefix', () => {
    fc.assert(
      fc.property(state, version, fc.array(key, { maxLength: 6 }), key, (pairs, layout, probes, prefix) => {
        const trie = trieOf(pairs);
        const below = [...trieKeys(trie, prefix)];
        const nodes = trieProof(trie, [...probes, prefix, ...below], layout);
        const question = { keys: probes.map(keyToBytes), prefixes: [keyToBytes(prefix)] };
        const verdict = checkTrieProof(trieRoot(trie, layout), nodes, question);
        assert.ok(verdict.ok, JSON.stringify(verdict));
        assert.deepEqual(
          verdict.values,
          probes.map((probe) => trieGet(trie, probe)),
        );
        assert.deepEqual(
          verdict.entries[0]?.map(([name, found]) => [bytesToKey(name), found]),
          below.map((name) => [name, trieGet(trie, name)]),
        );
      }),
      { numRuns: 500 },
    );
  });

  it('takes no proof in which anything was altered, left out, added or doubled, nor one of another root', () => {
    const pick = fc.nat();
    fc.assert(
      fc.property(
        state,
        version,
        key,
        fc.array(key, { maxLength: 4 }),
        pick,
        pick,
        (pairs, layout, prefix, keys, a, b) => {
          const trie = trieOf(pairs);
          const nodes = trieProof(trie, [...keys, prefix, ...trieKeys(trie, prefix)], layout);
          const root = trieRoot(trie, layout);
          const question = { keys: keys.map(keyToBytes), prefixes: [keyToBytes(prefix)] };
          const check = (changed: readonly Uint8Array[], under = root) => checkTrieProof(under, changed, question);
          assert.equal(codeOf(check(nodes)), 'ok');
          const at = a % nodes.length;
          const node = nodes[at] as Uint8Array;
          const flipped = node.with(b % node.length, (node[b % node.length] as number) ^ (1 << (a % 8)));
          const mutants: readonly (readonly Uint8Array[])[] = [
            nodes.with(at, flipped),
            nodes.with(at, node.subarray(0, -1)),
            nodes.with(at, concatBytes(node, Uint8Array.of(0))),
            nodes.toSpliced(at, 1),
            [...nodes, flipped],
            [...nodes, node],
            [],
          ];
          for (const mutant of mutants) assert.notEqual(codeOf(check(mutant)), 'ok');
          assert.equal(codeOf(check(nodes, root.with(b % 32, (root[b % 32] as number) ^ 1))), 'PROOF_INCOMPLETE');
          assert.deepEqual(check(nodes.toReversed()), check(nodes), 'the order says nothing');
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes no proof of a state that differs in one value under the root of the other', () => {
    fc.assert(
      fc.property(state, version, key, value, (pairs, layout, changed, bytes) => {
        const trie = trieSet(trieOf(pairs), changed, Uint8Array.of(7, 7, 7));
        const other = trieSet(trie, changed, concatBytes(bytes, Uint8Array.of(1)));
        const question = { keys: [keyToBytes(changed)], prefixes: [] };
        fc.pre(toHex(trieGet(other, changed) as Uint8Array) !== '070707');
        const verdict = checkTrieProof(trieRoot(trie, layout), trieProof(other, [changed], layout), question);
        assert.equal(codeOf(verdict), 'PROOF_INCOMPLETE');
      }),
    );
  });

  it('refuses what is no trie though its hash is the root, and does not throw', () => {
    const refused = (...hexes: string[]): void => {
      for (const hex of hexes) {
        const node = fromHex(hex);
        const verdict = checkTrieProof(blake2b256(node), [node], { keys: [], prefixes: [new Uint8Array()] });
        assert.equal(codeOf(verdict), 'PROOF_MALFORMED', hex);
        assert.match(verdict.ok ? '' : verdict.why, /^the node /, hex);
      }
    };
    // headers that are none, lengths beyond the end, padding, branches without children, bytes to spare, odd keys, a child of 33 bytes
    refused(
      '01',
      '0f',
      '42aa',
      '42aa08bb',
      '4101',
      '411004bb',
      '820000',
      '82aa0000',
      '8200000100',
      '42aa04bb00',
      '4103',
      '410304bb04',
    );
    refused(`80010084${'00'.repeat(33)}`, '80010000', '42aa03ffffffff', '22aa00', '');
    refused(`7f${'ff'.repeat(3)}00`);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (node) => {
        checkTrieProof(blake2b256(node), [node], { keys: [Uint8Array.of(0xaa)], prefixes: [new Uint8Array()] });
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses too much before it is hashed, and ends however the nodes are linked', () => {
    const question = { keys: [], prefixes: [new Uint8Array()] };
    const many = Array.from({ length: MAX_PROOF_NODES + 1 }, () => Uint8Array.of(0));
    assert.equal(codeOf(checkTrieProof(vectorRoot, many, question)), 'PROOF_TOO_LARGE');
    assert.equal(
      codeOf(checkTrieProof(vectorRoot, [new Uint8Array(MAX_PROOF_BYTES + 1)], question)),
      'PROOF_TOO_LARGE',
    );
    // Sixteen times the same child, level upon level: 16^n ways through n nodes.
    let node: Uint8Array = fromHex(`42aa${'80'}${'00'.repeat(32)}`);
    const nodes = [node];
    for (let level = 0; level < 40; level++) {
      const child = concatBytes(Uint8Array.of(32 << 2), blake2b256(node));
      node = concatBytes(Uint8Array.of(0x80, 0xff, 0xff), ...Array.from({ length: 16 }, () => child));
      nodes.push(node);
    }
    assert.equal(codeOf(checkTrieProof(blake2b256(node), nodes, question)), 'PROOF_TOO_LARGE');
    // A key that grows by 500 nibbles per level.
    let deep: Uint8Array = fromHex(`42aa04bb`);
    const chain = [deep];
    for (let level = 0; level < 3; level++) {
      const inner = concatBytes(Uint8Array.of(0xff - 0x40, 255, 182), new Uint8Array(250));
      const link = deep.length < 32 ? deep : blake2b256(deep);
      deep = concatBytes(inner, Uint8Array.of(1, 0, link.length << 2), link);
      chain.push(deep);
    }
    const verdict = checkTrieProof(blake2b256(deep), chain.slice(1), question);
    assert.equal(codeOf(verdict), 'PROOF_TOO_LARGE', JSON.stringify(verdict));
  });
});
