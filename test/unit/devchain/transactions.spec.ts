import assert from 'node:assert/strict';
import type { Hex } from '../../../src/devchain/hex.ts';
import { createPool } from '../../../src/devchain/pool.ts';
import { vec } from '../../../src/devchain/scale.ts';
import { createBans, submitTransaction, type Validate } from '../../../src/devchain/transactions.ts';
import { utf8 } from '../../../src/util/bytes.ts';

const valid: Validate = () => ({ priority: 1n, requires: [], provides: ['tag'], longevity: 10n });

function bench(validate: Validate = valid) {
  const parts = { pool: createPool({ entries: 2, bytes: 1000 }), bans: createBans(), validate };
  const submit = (bytes: Uint8Array, next = 1) => submitTransaction(bytes, next, parts);
  const codeOf = (bytes: Uint8Array, next = 1) => {
    const result = submit(bytes, next);
    return result.ok ? 'ok' : result.refusal.code;
  };
  return { ...parts, submit, codeOf };
}

describe('devchain/transactions', () => {
  it('takes a valid one once', () => {
    const { submit, codeOf, pool } = bench();
    const result = submit(vec(utf8('a')));
    assert.ok(result.ok && pool.has(result.hash));
    assert.equal(codeOf(vec(utf8('a'))), 'KNOWN');
    assert.equal(codeOf(vec(utf8('b'))), 'LOW_PRIORITY');
  });

  it('asks the runtime only about bytes with the right length in front', () => {
    let asked = 0;
    const { codeOf } = bench((bytes) => {
      asked++;
      return valid(bytes);
    });
    for (const bytes of [[], [0], [4], [4, 1, 2], [8, 1], [3, 0, 0, 0]])
      assert.equal(codeOf(Uint8Array.from(bytes)), 'BAD_FORMAT');
    assert.equal(asked, 0);
  });

  it('turns a trap of the runtime into a refusal', () => {
    const { codeOf } = bench(() => {
      throw new Error('panicked');
    });
    assert.equal(codeOf(vec(utf8('a'))), 'TRAPPED');
  });

  it('keeps banned ones out for three hundred blocks', () => {
    const { submit, codeOf, bans, pool } = bench();
    const first = submit(vec(utf8('a')));
    assert.ok(first.ok);
    pool.remove([first.hash]);
    bans.add(first.hash, 10);
    assert.equal(codeOf(vec(utf8('a')), 11), 'BANNED');
    assert.equal(codeOf(vec(utf8('a')), 309), 'BANNED');
    assert.equal(codeOf(vec(utf8('a')), 310), 'ok');
  });

  it('forgets the oldest of too many bans', () => {
    const bans = createBans();
    for (let index = 0; index < 1025; index++) bans.add(`0x${index}` as Hex, 0);
    assert.equal(bans.has('0x0', 1), false);
    assert.equal(bans.has('0x1', 1), true);
    assert.equal(bans.has('0x1024', 1), true);
  });
});
