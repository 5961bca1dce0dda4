import assert from 'node:assert/strict';
import { parseShards } from '../../../src/node/shards.ts';

describe('--shards', () => {
  const good: Record<string, number[]> = {
    '0': [0],
    '0-2': [0, 1, 2],
    '0,2-3': [0, 2, 3],
    '2-3,0': [0, 2, 3],
    '1,1-2, 2': [1, 2],
  };
  for (const [text, shards] of Object.entries(good)) {
    it(`${text} is ${shards.join(' ')}`, () => assert.deepEqual(parseShards(text, 4), shards));
  }
  for (const text of ['', '4', '0-4', '2-1', 'all', '0;1', '-1', '0-99999', '1.5']) {
    it(`"${text}" of four shards is refused`, () =>
      assert.throws(() => parseShards(text, 4), { facts: { code: 'OPTION_INVALID', option: 'shards' } }));
  }
});
