import assert from 'node:assert/strict';
import { stake } from '../../../src/cli/commands/stake.ts';
import { complete } from '../../../src/cli/completion.ts';

describe('shell completion', () => {
  const offered = (...words: string[]) =>
    complete(['tessera', ...words], ['stake', 'status', 'run'], async (word) => (word === 'stake' ? stake : undefined));

  it('offers commands, then action words, then flags', async () => {
    assert.deepEqual(await offered('st'), ['stake', 'status']);
    assert.deepEqual(await offered('stake', ''), ['add', 'remove', 'claim']);
    assert.deepEqual(await offered('stake', 'add', '--am'), ['--amount']);
    assert.deepEqual(await offered('stake', 'add', '--js'), ['--json']);
    assert.deepEqual(await offered('fly', '--'), []);
  });
});
