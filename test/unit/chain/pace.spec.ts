import assert from 'node:assert/strict';
import { MEASURED_BLOCKS, measurePace } from '../../../src/chain/pace.ts';
import type { Head } from '../../../src/chain/types.ts';

const head = (number: number): Head => ({ number, hash: '0x00' }) as unknown as Head;

describe('how far apart blocks are', () => {
  it('is the average of the last ones, without genesis, and asked for now and then', async () => {
    let asked = 0;
    const pace = measurePace(async (block) => {
      asked += 1;
      return block <= 20 ? 1_000_000 + 6_000 * block : 1_000_000 + 6_000 * 20 + 12_000 * (block - 20);
    });
    assert.equal(await pace.blockMs(undefined, undefined), undefined);
    assert.equal(await pace.blockMs(head(1), undefined), undefined);
    assert.equal(asked, 0);
    assert.equal(await pace.blockMs(head(3), undefined), 6_000);
    assert.equal(await pace.blockMs(head(3 + MEASURED_BLOCKS - 1), undefined), 6_000);
    assert.equal(asked, 2);
    assert.equal(await pace.blockMs(head(28), undefined), 9_000, 'half of them took twice as long');
    assert.equal(asked, 4);
  });

  it('is what was known while the chain cannot be asked', async () => {
    let answer = async (block: number): Promise<number | undefined> => 500 * block;
    const pace = measurePace((block) => answer(block));
    assert.equal(await pace.blockMs(head(40), undefined), 500);
    answer = async () => {
      throw new Error('away');
    };
    assert.equal(await pace.blockMs(head(80), undefined), 500);
    answer = async () => undefined;
    assert.equal(await pace.blockMs(head(80), undefined), 500);
    const ended = AbortSignal.abort(new Error('enough'));
    answer = () => Promise.reject(ended.reason as Error);
    await assert.rejects(pace.blockMs(head(90), ended), /enough/);
  });
});
