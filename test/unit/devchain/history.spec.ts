import assert from 'node:assert/strict';
import type { Block } from '../../../src/devchain/block.ts';
import { ZERO_HASH } from '../../../src/devchain/header.ts';
import type { Hex } from '../../../src/devchain/hex.ts';
import { createHistory, type History } from '../../../src/devchain/history.ts';
import { trieSet } from '../../../src/devchain/trie.ts';

function block(number: number, fork = 'a'): Block {
  const header = { parentHash: ZERO_HASH, number, stateRoot: ZERO_HASH, extrinsicsRoot: ZERO_HASH, logs: [] };
  return { number, hash: `0x${fork}${number}` as Hex, header, extrinsics: [] };
}

const trie = (number: number) => trieSet(undefined, 'n', Uint8Array.of(number));

function historyOf(blocks: number, keptStates?: number): History {
  const history = createHistory(block(0), trie(0), keptStates);
  for (let number = 1; number <= blocks; number++) history.append(block(number), trie(number));
  return history;
}

describe('devchain/history', () => {
  it('finds blocks by number and hash, with their states', () => {
    const history = historyOf(3);
    assert.equal(history.head().number, 3);
    assert.equal(history.byNumber(2)?.hash, '0xa2');
    assert.equal(history.byHash('0xA2')?.number, 2);
    assert.equal(history.byHash('0xb2'), undefined);
    assert.deepEqual(history.stateAfter(block(2)), trie(2));
  });

  it('discards old states and keeps their blocks', () => {
    const history = historyOf(5, 3);
    assert.throws(() => history.stateAfter(block(2)), { code: 'STATE_DISCARDED' });
    assert.deepEqual(history.stateAfter(block(3)), trie(3));
    assert.equal(history.byNumber(0)?.hash, '0xa0');
  });

  it('retracts from the top, remembers what it took away for a while', () => {
    const history = historyOf(3);
    assert.deepEqual(
      history.retract(2).map(({ number }) => number),
      [3, 2],
    );
    history.append(block(2, 'b'), trie(20));
    assert.equal(history.byNumber(2)?.hash, '0xb2');
    assert.equal(history.byHash('0xa2')?.number, 2);
    assert.deepEqual(history.stateAfter(block(2)), trie(2));
    for (let round = 0; round < 64; round++) {
      history.append(block(3, `c${round}`), trie(0));
      history.retract(1);
    }
    assert.equal(history.byHash('0xa2'), undefined);
    assert.throws(() => history.retract(3), { code: 'REORG_TOO_DEEP' });
  });

  it('retracts no further than to a state that it keeps, and then nothing', () => {
    const history = historyOf(10, 3);
    for (const depth of [3, 10, 11]) assert.throws(() => history.retract(depth), { code: 'REORG_TOO_DEEP' });
    assert.equal(history.head().number, 10);
    history.retract(2);
    assert.ok(history.stateAfter(history.head()));
  });

  it('moves finality forward only, up to the head', () => {
    const history = historyOf(5);
    assert.deepEqual(
      history.finalize(2).map(({ number }) => number),
      [1, 2],
    );
    assert.deepEqual(history.finalize(1), []);
    assert.deepEqual(history.finalize(-3), []);
    assert.equal(history.finalized().number, 2);
    assert.equal(history.finalize(99).length, 3);
    history.unfinalize(1);
    assert.equal(history.finalized().number, 1);
  });
});
