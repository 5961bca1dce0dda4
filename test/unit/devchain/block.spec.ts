import assert from 'node:assert/strict';
import { type Block, buildBlock } from '../../../src/devchain/block.ts';
import { storageKey } from '../../../src/devchain/hashing.ts';
import { decodeHeader, encodeHeader, headerHash, ZERO_HASH } from '../../../src/devchain/header.ts';
import type { Hex } from '../../../src/devchain/hex.ts';
import { createPool } from '../../../src/devchain/pool.ts';
import type { Runtime } from '../../../src/devchain/runtime.ts';
import { list, vec } from '../../../src/devchain/scale.ts';
import type { State } from '../../../src/devchain/state.ts';
import { trieKeys, trieSet } from '../../../src/devchain/trie.ts';
import { u64le, utf8 } from '../../../src/util/bytes.ts';

const OK = Uint8Array.of(0, 0);
const STALE = Uint8Array.of(1, 0, 3);
const EXHAUSTS = Uint8Array.of(1, 0, 6);

/** A runtime that stores each extrinsic as a key and answers as it is told; `trap` throws. */
function scriptedRuntime(answers: Readonly<Record<string, Uint8Array | 'trap'>>): {
  readonly runtime: Runtime;
  readonly asked: string[];
} {
  const asked: string[] = [];
  let header = new Uint8Array();
  const apply = (state: State, extrinsic: Uint8Array): Uint8Array => {
    const name = Buffer.from(extrinsic).toString();
    asked.push(name);
    state.set(name, Uint8Array.of(1));
    const answer = answers[name] ?? OK;
    if (answer === 'trap') throw new Error('panicked');
    return answer;
  };
  const call = (state: State, method: string, args: Uint8Array = new Uint8Array()): Uint8Array => {
    if (method === 'Core_initialize_block') header = new Uint8Array(args);
    if (method === 'BlockBuilder_inherent_extrinsics') return list([vec(utf8('time'))]);
    if (method === 'BlockBuilder_apply_extrinsic') return apply(state, args);
    return method === 'BlockBuilder_finalize_block' ? header : new Uint8Array();
  };
  const version = {
    specName: '',
    implName: '',
    authoringVersion: 1,
    specVersion: 1,
    implVersion: 1,
    apis: [],
    transactionVersion: 1,
    stateVersion: 1,
  } as const;
  return { runtime: { call, has: () => true, missingHostFunctions: [], version }, asked };
}

const parent: Block = {
  number: 7,
  hash: `0x${'11'.repeat(32)}`,
  header: { parentHash: ZERO_HASH, number: 7, stateRoot: ZERO_HASH, extrinsicsRoot: ZERO_HASH, logs: [] },
  extrinsics: [],
};
const trie = trieSet(undefined, storageKey('Timestamp', 'Now'), u64le(60_000n));

/** Names of transactions, `a<b`: b requires a. Earlier ones have higher priority. */
function candidatesOf(...names: string[]) {
  const pool = createPool({ entries: 100, bytes: 10_000 });
  names.forEach((name, index) => {
    const [required, own = name] = name.split('<');
    const requires = name.includes('<') && required !== undefined ? [required] : [];
    pool.add(
      {
        hash: own as Hex,
        bytes: utf8(own),
        validity: { priority: BigInt(100 - index), requires, provides: [own], longevity: 9n },
      },
      1,
    );
  });
  return pool.candidates();
}

function build(answers: Readonly<Record<string, Uint8Array | 'trap'>>, names: string[], skipSlots = 0) {
  const { runtime, asked } = scriptedRuntime(answers);
  const built = buildBlock({ parent, trie, runtime, candidates: candidatesOf(...names), skipSlots });
  return { ...built, asked, keys: [...trieKeys(built.trie, '')].filter((key) => key.length < 8) };
}

const inherent = Buffer.from(vec(utf8('time'))).toString();

describe('devchain/block', () => {
  it('puts inherents first, then the transactions that the runtime takes', () => {
    const { block, included, asked } = build({}, ['a', 'b']);
    assert.deepEqual(asked, [inherent, 'a', 'b']);
    assert.deepEqual(
      block.extrinsics.map((extrinsic) => Buffer.from(extrinsic.slice(2), 'hex').toString()),
      [inherent, 'a', 'b'],
    );
    assert.deepEqual(
      included.map(({ hash }) => hash),
      ['a', 'b'],
    );
    assert.equal(block.hash, headerHash(block.header));
  });

  it('steps the clock by one slot, or over skipped ones, and names the slot in the digest', () => {
    for (const [skip, slot] of [
      [0, 11n],
      [2, 13n],
    ] as const) {
      const { header } = build({}, [], skip).block;
      assert.deepEqual(header.logs, [`0x066175726120${Buffer.from(u64le(slot)).toString('hex')}`]);
      assert.equal(header.number, 8);
      assert.equal(header.parentHash, parent.hash);
      assert.deepEqual(decodeHeader(encodeHeader(header)), header);
    }
  });

  it('undoes what a refused transaction changed, and does not try those that require it', () => {
    const { included, refused, asked, keys } = build({ a: STALE, c: 'trap' }, ['a', 'a<b', 'c', 'd']);
    assert.deepEqual(asked, [inherent, 'a', 'c', 'd']);
    assert.deepEqual(keys, [inherent, 'd'].sort());
    assert.deepEqual(
      included.map(({ hash }) => hash),
      ['d'],
    );
    assert.deepEqual(
      refused.map(({ entry, reason, trapped }) => [entry.hash, reason, trapped]),
      [
        ['a', 'Transaction is outdated', false],
        ['c', 'panicked', true],
      ],
    );
  });

  it('tries smaller ones when one does not fit, but not for ever', () => {
    const names = Array.from({ length: 12 }, (_, index) => `t${index}`);
    const some = build({ t0: EXHAUSTS, t1: EXHAUSTS }, names);
    assert.equal(some.included.length, 10);
    assert.equal(some.refused.length, 0);
    const none = build(Object.fromEntries(names.map((name) => [name, EXHAUSTS])), names);
    assert.equal(none.asked.length, 1 + 8);
  });

  it('fails when the runtime refuses its own inherent', () => {
    assert.throws(() => build({ [inherent]: STALE }, []), { code: 'BLOCK_INHERENT_REFUSED' });
  });
});
